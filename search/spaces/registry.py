"""Spaces by name: ``mobile``, ``mobile?resolution=96&width=0.5``, or a plug-in's."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any
from urllib.parse import parse_qsl

from devices.errors import InputError, UnknownNameError
from search.spaces.base import ChainSpace
from search.spaces.mobile import mobile, mobile_tiny

SpaceFactory = Callable[..., ChainSpace]

ENTRY_POINT_GROUP = "lutier.spaces"
_BUILT_IN: dict[str, SpaceFactory] = {"mobile": mobile, "mobile-tiny": mobile_tiny}


def space_names() -> tuple[str, ...]:
    """Names of all spaces, built in and plugged in, sorted."""
    plugged = {entry.name for entry in entry_points(group=ENTRY_POINT_GROUP)}
    return tuple(sorted(plugged | set(_BUILT_IN)))


def _factory(name: str) -> SpaceFactory:
    if name in _BUILT_IN:
        return _BUILT_IN[name]
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        if entry.name == name:
            factory: SpaceFactory = entry.load()
            return factory
    raise UnknownNameError.of("space", name, space_names())


def _plain(number: str) -> str:
    """The text, without what Python reads as a number and people do not write."""
    if "_" in number:
        raise ValueError
    return number


def open_space(text: str) -> ChainSpace:
    """The space a string names, parameters after a question mark.

    Raises:
        UnknownNameError: no such space or parameter, with the nearest names.
        InputError: a parameter's value cannot be used.
    """
    name, _, query = text.partition("?")
    factory = _factory(name)
    known = inspect.signature(factory).parameters
    arguments: dict[str, Any] = {}
    # A parameter is read as the type of its default: plug-ins give theirs numbers or text.
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in known:
            raise UnknownNameError.of(f"parameter of {name}", key, known)
        if key in arguments:
            raise InputError(f"{text[:80]!r} says {key} twice")
        kind = type(known[key].default)
        try:
            arguments[key] = value if kind is str else kind(_plain(value))
        except ValueError:
            raise InputError(f"{name}?{key}={value}", f"not a number ({kind.__name__})") from None
    return factory(**arguments)
