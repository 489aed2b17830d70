"""The lines that this side and a worker on another machine exchange.

Each line is one JSON object and ends with a newline. The worker speaks first::

    <- {"lutier_worker": 1, "lutier": "0.1.0", "python": "/usr/bin/python3", "formats": {...}}
    -> {"id": 1, "call": "environment", "target": "cpu/onnxruntime?threads=1"}
    <- {"id": 1, "facts": {"chip": "...", ...}}
    -> {"id": 2, "call": "time", "model": 1, "warmup": 2, "runs": 5}
    <- {"id": 2, "error": {"kind": "MeasurementError", "what": "...", "why": "...", "hint": "..."}}

``devices.worker`` lists the calls.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NoReturn

import numpy as np

from devices import errors
from devices.base import FloatArray
from devices.errors import DeviceError, InputError, LutierError

PROTOCOL_VERSION = 1
GREETING = "lutier_worker"
"""Name whose value in the worker's first line is the protocol's version."""
MAX_LINE_BYTES = 64 * 2**20
CHUNK_BYTES = 2**20
"""Of a model file, in one line."""
_MAX_TEXT = 1000
_ERRORS: Mapping[str, type[LutierError]] = {
    name: value
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, LutierError)
}


def lutier_version() -> str:
    """The installed version of Lutier; ``unknown`` where it runs without being installed."""
    try:
        return version("lutier")
    except PackageNotFoundError:
        return "unknown"


def encode_line(message: Mapping[str, Any]) -> bytes:
    """An object as one line.

    Raises:
        InputError: longer than a line may be.
    """
    line = json.dumps(message, allow_nan=False, separators=(",", ":")).encode() + b"\n"
    if len(line) > MAX_LINE_BYTES:
        raise InputError(
            f"{len(line)} bytes are too many for one line",
            f"{MAX_LINE_BYTES} are the most that are sent at once",
            "a smaller batch",
        )
    return line


def decode_line(line: bytes) -> dict[str, Any]:
    """The object of a line.

    Raises:
        InputError: anything else than one JSON object.
    """
    try:
        message = json.loads(line, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{_shorten(line)} is not a line of JSON", str(error)[:200]) from error
    if not isinstance(message, dict):
        raise InputError(f"{_shorten(line)} is not a JSON object")
    return message


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _shorten(line: bytes) -> str:
    return repr(line[:80])[1:]


def encode_error(error: LutierError) -> dict[str, str]:
    """An error as plain values; of a subclass that others defined, the nearest of ours."""
    kind = next(each.__name__ for each in type(error).__mro__ if each.__name__ in _ERRORS)
    texts = {"what": error.what, "why": error.why, "hint": error.hint}
    return {"kind": kind, **{name: text[:_MAX_TEXT] for name, text in texts.items()}}


def decode_error(value: object) -> LutierError:
    """The error that :func:`encode_error` wrote; of an unknown kind, a :class:`DeviceError`."""
    fields = value if isinstance(value, dict) else {"what": f"an error that says {value!r:.200}"}
    what, why, hint = (str(fields.get(name, ""))[:_MAX_TEXT] for name in ("what", "why", "hint"))
    return _ERRORS.get(str(fields.get("kind")), DeviceError)(what, why, hint)


def encode_bytes(data: bytes) -> str:
    """Bytes as base64."""
    return base64.b64encode(data).decode()


def decode_bytes(text: str) -> bytes:
    """Bytes from base64.

    Raises:
        InputError: it is not base64.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError("data that is not base64", str(error)) from error


def encode_array(array: FloatArray) -> dict[str, Any]:
    """An array of float32 as plain values: its shape, and its bytes, the last axis fastest."""
    return {
        "shape": list(array.shape),
        "data": encode_bytes(np.ascontiguousarray(array, dtype="<f4").tobytes()),
    }


def decode_array(shape: tuple[int, ...], data: bytes) -> FloatArray:
    """The array that :func:`encode_array` wrote.

    Raises:
        InputError: more or fewer bytes than the shape takes.
    """
    if len(data) != 4 * math.prod(shape):
        raise InputError(f"{len(data)} bytes are no float32 array of shape {shape}")
    array = np.frombuffer(data, dtype="<f4").reshape(shape)
    return array.astype(np.float32)
