"""Spaces and networks by name: ``mobile?resolution=96&width=0.5``, ``proxyless-mobile``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any
from urllib.parse import parse_qsl

from devices.errors import InputError, UnknownNameError
from search.architecture import Architecture
from search.spaces.base import ChainSpace, SearchSpace
from search.spaces.cifar import proxyless_cifar
from search.spaces.mobile import mobile, mobile_tiny
from search.spaces.nasbench201 import NasBench201, nasbench201
from search.spaces.published import PUBLISHED, published

SpaceFactory = Callable[..., SearchSpace]

ENTRY_POINT_GROUP = "lutier.spaces"
_BUILT_IN: dict[str, SpaceFactory] = {
    "mobile": mobile,
    "mobile-tiny": mobile_tiny,
    "nasbench201": nasbench201,
    "proxyless-cifar": proxyless_cifar,
}


def space_names() -> tuple[str, ...]:
    """Names of all spaces, built in and plugged in, sorted."""
    plugged = {entry.name for entry in entry_points(group=ENTRY_POINT_GROUP)}
    return tuple(sorted(plugged | set(_BUILT_IN)))


def space_factory(name: str) -> SpaceFactory:
    """What makes the space of that name, a function of its parameters.

    Raises:
        UnknownNameError: with the nearest names.
    """
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


def open_space(text: str) -> SearchSpace:
    """The space a string names, parameters after a question mark.

    Raises:
        UnknownNameError: no such space or parameter, with the nearest names.
        InputError: a parameter's value cannot be used.
    """
    name, _, query = text.partition("?")
    make = space_factory(name)
    return make(**_arguments(name, make, query))


def open_chain(text: str, wanted_by: str) -> ChainSpace:
    """The same, of a space that is a chain of blocks.

    Args:
        text: as :func:`open_space` takes it.
        wanted_by: what can search such spaces only, for the message.

    Raises:
        UnknownNameError, InputError: as :func:`open_space`; a space of another kind.
    """
    space = open_space(text)
    if not isinstance(space, ChainSpace):
        raise InputError(
            f"{space.name} is not a chain of blocks",
            f"{wanted_by} searches no other spaces",
            f"lutier search knas --space '{space.name}', or a space of blocks such as mobile-tiny",
        )
    return space


def open_architecture(text: str) -> Architecture:
    """The network that a string names, checked against its space.

    Args:
        text: an :attr:`~search.architecture.Architecture.id`, ``mobile-tiny:000000000``, or with
            the benchmark's own string, ``nasbench201:|none~0|+|...``; or the name of a published
            network, ``proxyless-mobile``, at another resolution or with other classes where they
            follow, ``proxyless-mobile?resolution=192&classes=10``.

    Raises:
        UnknownNameError: no such network, space or parameter, with the nearest names.
        InputError: a parameter's value cannot be used, or the space has no such choices.
    """
    name, colon, code = text.partition(":")
    if colon and code.startswith("|"):
        space = open_space(name)
        if isinstance(space, NasBench201):
            return space.parse(code)
    if colon:
        architecture = Architecture.parse(text)
        return open_space(architecture.space).check(architecture)
    name, _, query = text.partition("?")
    network = published(name)
    return network.architecture(**_arguments(name, network.architecture, query))


def architecture_names() -> tuple[str, ...]:
    """Names of all published networks, sorted."""
    return tuple(sorted(PUBLISHED))


def _arguments(name: str, make: Callable[..., Any], query: str) -> dict[str, Any]:
    """The arguments that the parameters after a question mark stand for."""
    known = inspect.signature(make).parameters
    arguments: dict[str, Any] = {}
    # A parameter is read as the type of its default: plug-ins give theirs numbers or text.
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in known:
            raise UnknownNameError.of(f"parameter of {name}", key, known)
        if key in arguments:
            raise InputError(f"{f'{name}?{query}'[:80]!r} says {key} twice")
        kind = type(known[key].default)
        try:
            arguments[key] = value if kind is str else kind(_plain(value))
        except ValueError:
            raise InputError(f"{name}?{key}={value}", f"not a number ({kind.__name__})") from None
    return arguments
