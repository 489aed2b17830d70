"""Data by name: ``digits``, ``fashion-mnist:DIR``, ``imagefolder:DIR?skip_corrupt=1``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from devices.errors import DatasetError, InputError, UnknownNameError
from search.data.arrays import Shape
from search.data.source import DataSource

DataFactory = Callable[[Shape, int], DataSource]
FolderFactory = Callable[..., DataSource]
"""Called with a folder, an input shape and a seed, and with options by name."""

_SWITCH = {"1": True, "true": True, "0": False, "false": False}


@dataclass(frozen=True)
class _Entry:
    factory: Callable[..., DataSource]
    # How to get the files; nothing where no folder is read.
    source: str | None = None


_DATA: dict[str, _Entry] = {}


def register_data(name: str) -> Callable[[DataFactory], DataFactory]:
    """Decorate a function of an input shape and a seed so that :func:`open_data` knows it."""

    def add(factory: DataFactory) -> DataFactory:
        _add(name, _Entry(factory))
        return factory

    return add


def register_folder(name: str, source: str) -> Callable[[FolderFactory], FolderFactory]:
    """Decorate a function of a folder, an input shape and a seed; opened as ``name:DIR``.

    Its keyword-only parameters are switches, written ``name:DIR?switch=1``.

    Args:
        name: before the colon.
        source: how to get the files, for whoever has none.
    """

    def add(factory: FolderFactory) -> FolderFactory:
        _add(name, _Entry(factory, source))
        return factory

    return add


def _add(name: str, entry: _Entry) -> None:
    if name in _DATA:
        raise InputError(f"data {name!r} are registered already")
    _DATA[name] = entry


def data_names() -> tuple[str, ...]:
    """Names :func:`open_data` knows, sorted."""
    return tuple(sorted(_DATA))


def open_data(text: str, input_shape: Shape, seed: int) -> DataSource:
    """Data by name, resized to what a network takes.

    Args:
        text: a registered name, e.g. ``digits``; with a folder where it is read from files, e.g.
            ``fashion-mnist:/usr/share/datasets/fashion-mnist``.
        input_shape: ``(channels, height, width)`` of the network's input.
        seed: decides which image falls into which split.

    Raises:
        UnknownNameError: no such data or option, with the nearest names.
        InputError: a folder that is not wanted, or an option that is neither 0 nor 1.
        DatasetError: a folder that is missing or empty, or files that are not what they should be.
        MissingExtraError: images that need a package that is not installed.
    """
    name, folder, query = _parts(text)
    entry = _DATA[name]
    if entry.source is None:
        if folder or query:
            raise InputError(f"data {text!r}", f"{name} is read from no folder", f"--data {name}")
        return entry.factory(input_shape, seed)
    options = _options(name, entry.factory, query)
    return entry.factory(_checked(name, folder, entry.source), input_shape, seed, **options)


def full_name(text: str) -> str:
    """The name of data with its folder made absolute, so that it holds from anywhere.

    Raises:
        UnknownNameError: no such data, with the nearest names.
    """
    name, folder, query = _parts(text)
    if not folder:
        return text
    return f"{name}:{Path(folder).expanduser().absolute()}" + (f"?{query}" if query else "")


def _parts(text: str) -> tuple[str, str, str]:
    """Name, folder and options of a text; the name is registered."""
    name, _, rest = text.partition(":")
    folder, _, query = rest.partition("?")
    if not rest:
        name, _, query = name.partition("?")
    if name not in _DATA:
        raise UnknownNameError.of("data", name, _DATA)
    return name, folder, query


def _options(name: str, factory: Callable[..., DataSource], query: str) -> dict[str, Any]:
    known = [
        parameter.name
        for parameter in inspect.signature(factory).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    ]
    options: dict[str, Any] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in known:
            raise UnknownNameError.of(f"option of {name}", key, known)
        if value not in _SWITCH:
            raise InputError(f"{name}: {key}={value}", "it is on or off", f"{key}=1 or {key}=0")
        options[key] = _SWITCH[value]
    return options


def _checked(name: str, folder: str, source: str) -> Path:
    if not folder:
        raise DatasetError(
            f"{name} needs the folder of its files", "none was given", f"{name}:DIR; {source}"
        )
    path = Path(folder).expanduser()
    if not path.is_dir():
        why = "it is a file" if path.exists() else "there is none of that name"
        raise DatasetError(f"{path} is not a folder of {name}", why, source)
    try:
        empty = next(path.iterdir(), None) is None
    except OSError as error:
        raise DatasetError(f"{path} cannot be read", str(error.strerror)) from error
    if empty:
        raise DatasetError(f"{path} is empty", f"files of {name} are wanted", source)
    return path
