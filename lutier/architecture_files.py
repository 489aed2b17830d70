"""Networks of a space as small JSON files: which space, and which network of it.

The two fields are also in the ``result.json`` of a search, so what reads one reads the other.
"""

from __future__ import annotations

import json
from pathlib import Path

from devices.errors import InputError
from devices.files import write_at_once
from lutier.results import RESULT_FILE, read_result
from search.architecture import Architecture
from search.spaces.registry import open_architecture

_FIELDS = {"architecture", "space"}
_MOST_BYTES = 1 << 20


def write_architecture(path: Path, architecture: Architecture) -> None:
    """Write a network's id and its space."""
    document = {"architecture": architecture.id, "space": architecture.space}
    write_at_once(path, json.dumps(document, indent=2) + "\n")


def read_architecture(path: Path) -> Architecture:
    """The network in a file that :func:`write_architecture` or a search wrote.

    Args:
        path: the file, or the folder that a search left.

    Raises:
        InputError: no such file, no network in it, or one that its space does not have.
    """
    file = path / RESULT_FILE if path.is_dir() else path
    if not file.is_file():
        raise InputError(f"no file {file}")
    document = _small_json(file)
    if not isinstance(document, dict) or set(document) != _FIELDS:
        return read_result(file).load_architecture()
    if not all(isinstance(value, str) for value in document.values()):
        raise InputError(f"{file} is not a network", "its two fields are text")
    # A file holds a network, not a name that could mean another one some day.
    if ":" not in document["architecture"]:
        raise InputError(
            f"{document['architecture'][:80]!r} in {file} is not an architecture",
            "it is written SPACE:CODE",
        )
    architecture = open_architecture(document["architecture"])
    if architecture.space != document["space"]:
        raise InputError(
            f"{file} contradicts itself",
            f"{architecture} is not of the space {document['space'][:200]}",
        )
    return architecture


def find_architecture(text: str) -> Architecture:
    """The network that a person names: a published one, an id, or a file.

    Args:
        text: as :func:`~search.spaces.registry.open_architecture` takes it; or a path that ends in
            ``.json`` or is a folder.

    Raises:
        InputError, UnknownNameError: as :func:`read_architecture` and ``open_architecture``.
    """
    path = Path(text)
    if path.suffix.lower() == ".json" or path.is_dir():
        return read_architecture(path)
    return open_architecture(text)


def _small_json(file: Path) -> object:
    """The contents; None where they are too large for a network and nothing else."""
    try:
        if file.stat().st_size > _MOST_BYTES:
            return None
        document: object = json.loads(file.read_bytes())
    except (ValueError, RecursionError):
        return None
    except OSError as error:
        raise InputError(f"{file} cannot be read", str(error)[:200]) from error
    return document
