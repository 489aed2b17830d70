"""Files that let a search continue where it stopped: written whole, and never mixed up."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from devices.errors import InputError
from devices.files import write_at_once
from profiler.ops import OpSpec
from search.data import DataSource, size_of
from search.data.arrays import ImageArrays
from search.spaces.base import ChainSpace, SearchSpace

Fingerprint = dict[str, str]

_FORMAT = 1


def fingerprint_of(**parts: object) -> Fingerprint:
    """What a run depends on as text by name, so that two runs can be told apart field by field.

    Args:
        parts: configurations, spaces, data, arrays of numbers, or plain values.
    """
    fields: Fingerprint = {"torch": str(torch.__version__)}
    for name, part in parts.items():
        fields.update(_described(name, part))
    return fields


def _described(name: str, part: object) -> Fingerprint:
    if isinstance(part, ChainSpace):
        ops: Sequence[Sequence[OpSpec]] = (part.stem, *part.blocks, part.head)
        return {name: f"{part.name} {_digest([[op.key for op in group] for group in ops])}"}
    if isinstance(part, SearchSpace):
        return {name: f"{part.name} {_digest([op.key for op in part.all_ops()])}"}
    if isinstance(part, DataSource):
        splits = [_split(dataset) for dataset in part.splits.values()]
        return {name: f"{part.name} {_digest(splits)}"}
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        fields: Fingerprint = {}
        for entry in dataclasses.fields(part):
            fields.update(_described(f"{name}.{entry.name}", getattr(part, entry.name)))
        return fields
    if isinstance(part, tuple | list):
        return {name: _digest(part)}
    if isinstance(part, Mapping):
        return {name: _digest([(str(key), value) for key, value in part.items()])}
    return {name: repr(part)}


def _split(dataset: Any) -> list[str]:
    """Every pixel and label of data in memory; of other data only what kind and how many."""
    described = [type(dataset).__name__, str(size_of(dataset))]
    tensors: Sequence[Tensor] = ()
    if isinstance(dataset, TensorDataset):
        tensors = dataset.tensors
    elif isinstance(dataset, ImageArrays):
        tensors = (dataset.pixels, dataset.labels)
        described += [str(dataset.shape), str(dataset.normalisation)]
    if tensors:
        arrays = (tensor.cpu().numpy() for tensor in tensors)
        described += [hashlib.sha256(array.tobytes()).hexdigest() for array in arrays]
    return described


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def save_checkpoint(path: Path, fingerprint: Fingerprint, state: Mapping[str, Any]) -> None:
    """Write a state so that ``path`` holds the old or the new one, whatever happens meanwhile.

    Args:
        path: the file; its folder is made.
        fingerprint: what the run depends on.
        state: tensors and plain values.
    """
    buffer = io.BytesIO()
    contents = {"format": _FORMAT, "fingerprint": fingerprint, "state": dict(state)}
    torch.save(contents, buffer)
    write_at_once(path, buffer.getvalue())


def load_checkpoint(path: Path, fingerprint: Fingerprint) -> dict[str, Any] | None:
    """The state of the same run, or nothing where there is no file.

    Raises:
        InputError: the file is not a checkpoint, or of a run that differs; says in what.
    """
    if not path.exists():
        return None
    start_over = f"delete {path} to start over, or name another file"
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, OSError) as error:
        raise InputError(
            f"{path} cannot be read as a checkpoint", str(error).partition("\n")[0], start_over
        ) from error
    if not (isinstance(stored, dict) and stored.get("format") == _FORMAT):
        raise InputError(f"{path} is not a checkpoint of this version", hint=start_over)
    before: Fingerprint = stored["fingerprint"]
    names = [
        name
        for name in sorted(before.keys() | fingerprint.keys())
        if before.get(name) != fingerprint.get(name)
    ]
    if names:
        told = [f"{name} was {before.get(name)}, is {fingerprint.get(name)}" for name in names]
        raise InputError(f"{path} is of another run", "; ".join(told), start_over)
    state: dict[str, Any] = stored["state"]
    return state
