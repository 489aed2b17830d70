"""The measuring worker that runs on another machine: ``python -m devices.worker``.

It answers the calls that come in on standard input, in order, one line each (see
:mod:`devices.wire`), until its input ends:

- ``environment``: ``target`` -> ``facts``.
- ``put``: ``sha256``, ``data`` (base64, the next part of a model file), ``last`` -> ``size_bytes``.
- ``load``: ``sha256`` of a file that was put, ``key``, ``format``, ``input_shape``, ``target``
  -> ``model``, a number.
- ``time``: ``model``, ``warmup``, ``runs`` -> ``samples_ms``.
- ``run``: ``model``, ``shape``, ``data`` -> ``shape``, ``data`` (base64 of float32).
- ``unload``: ``model`` -> nothing.

Model files lie in a temporary folder that is removed at the end.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import math
import os
import re
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, TypeVar

from devices.artifact import Artifact
from devices.base import Device, ExecutableModel, LoadedModel
from devices.errors import ArtifactError, DeviceError, InputError, LutierError, UnknownNameError
from devices.host import HostDevice
from devices.target import Target
from devices.wire import (
    GREETING,
    MAX_LINE_BYTES,
    PROTOCOL_VERSION,
    decode_array,
    decode_bytes,
    decode_line,
    encode_array,
    encode_error,
    encode_line,
    lutier_version,
)

_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST_RUNS = 1_000_000
_MOST_VALUES = 2**30
_T = TypeVar("_T")


def serve(requests: BinaryIO, replies: BinaryIO, device: Device, folder: Path) -> None:
    """Greet, then answer one line with one line until the requests end.

    Whatever the lines hold, the answer is a reply or an error. A line that is too long is
    answered with an error and ends it: where the next one begins cannot be known.

    Args:
        requests: lines come from here.
        replies: lines go there.
        device: what runs the models.
        folder: where model files are kept.
    """
    session = _Session(device, folder)
    formats = {name: device.artifact_format(name) for name in device.runtimes}
    greeting = {
        GREETING: PROTOCOL_VERSION,
        "lutier": lutier_version(),
        "python": sys.executable,
        "formats": formats,
    }
    _say(replies, encode_line(greeting))
    while line := requests.readline(MAX_LINE_BYTES + 1):
        if len(line) > MAX_LINE_BYTES:
            trouble = InputError(f"a line of more than {MAX_LINE_BYTES} bytes")
            _say(replies, encode_line({"id": None, "error": encode_error(trouble)}))
            return
        if not line.endswith(b"\n"):
            # The connection was cut in the middle of a line.
            return
        _say(replies, session.answer(line))


def _say(replies: BinaryIO, line: bytes) -> None:
    replies.write(line)
    replies.flush()


class _Session:
    """What one connection has put and loaded."""

    def __init__(self, device: Device, folder: Path) -> None:
        self._device = device
        self._folder = folder
        self._models: dict[int, tuple[LoadedModel, Artifact]] = {}
        self._loaded = 0
        self._calls: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "environment": self._environment,
            "put": self._put,
            "load": self._load,
            "time": self._time,
            "run": self._run,
            "unload": self._unload,
        }

    def answer(self, line: bytes) -> bytes:
        """The line that answers a line."""
        number: int | None = None
        try:
            request = decode_line(line)
            number = _field(request, "id", int)
            name = _field(request, "call", str)
            if name not in self._calls:
                raise UnknownNameError.of("call", name[:80], self._calls)
            # A reply that is too long for a line is an error too.
            return encode_line({"id": number, **self._calls[name](request)})
        except LutierError as error:
            return encode_line({"id": number, "error": encode_error(error)})

    def _environment(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return {"facts": self._device.environment(_target(request)).to_dict()}

    def _put(self, request: Mapping[str, Any]) -> dict[str, Any]:
        path = self._path(request)
        partial = path.with_suffix(".part")
        data, last = decode_bytes(_field(request, "data", str)), _field(request, "last", bool)
        try:
            with partial.open("ab") as file:
                file.write(data)
                size_bytes = file.tell()
            if last:
                with partial.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                if digest != path.name:
                    partial.unlink()
                    raise ArtifactError(
                        f"model file {path.name[:12]} arrived with other contents",
                        f"they are {digest[:12]}",
                        "the same command again",
                    )
                partial.replace(path)
        except OSError as error:
            raise DeviceError(
                f"model file {path.name[:12]} cannot be kept",
                str(error),
                f"make room in {self._folder.parent}, or set TMPDIR there",
            ) from error
        return {"size_bytes": size_bytes}

    def _load(self, request: Mapping[str, Any]) -> dict[str, Any]:
        path = self._path(request)
        if not path.is_file():
            raise InputError(f"model file {path.name[:12]} was not put")
        artifact = Artifact(
            path,
            _field(request, "key", str),
            _field(request, "format", str),
            _shape(request, "input_shape"),
            path.name,
        )
        model = self._device.load(artifact, _target(request))
        self._loaded += 1
        self._models[self._loaded] = (model, artifact)
        return {"model": self._loaded}

    def _time(self, request: Mapping[str, Any]) -> dict[str, Any]:
        model, _ = self._model(request)
        warmup = _count(request, "warmup", 0)
        runs = _count(request, "runs", 1)
        enabled = gc.isenabled()
        gc.disable()
        try:
            return {"samples_ms": model.time_ms(warmup=warmup, runs=runs)}
        finally:
            if enabled:
                gc.enable()

    def _run(self, request: Mapping[str, Any]) -> dict[str, Any]:
        model, artifact = self._model(request)
        shape = _shape(request, "shape")
        if shape != artifact.input_shape:
            raise InputError(
                f"an input of shape {shape}", f"{artifact.key} takes {artifact.input_shape}"
            )
        if not isinstance(model, ExecutableModel):
            raise InputError(f"{artifact.key} can be timed and not run")
        inputs = decode_array(shape, decode_bytes(_field(request, "data", str)))
        return encode_array(model.run(inputs))

    def _unload(self, request: Mapping[str, Any]) -> dict[str, Any]:
        model, _ = self._model(request)
        model.close()
        del self._models[_field(request, "model", int)]
        return {}

    def _model(self, request: Mapping[str, Any]) -> tuple[LoadedModel, Artifact]:
        number = _field(request, "model", int)
        if number not in self._models:
            raise InputError(f"no model {str(number)[:40]} is loaded")
        return self._models[number]

    def _path(self, request: Mapping[str, Any]) -> Path:
        digest = _field(request, "sha256", str)
        # Part of a path from here on: nothing else may pass.
        if not _SHA256.fullmatch(digest):
            raise InputError(f"{digest[:80]!r} is not a SHA-256 in hex")
        return self._folder / digest


def _field(request: Mapping[str, Any], name: str, kind: type[_T]) -> _T:
    value = request.get(name)
    # By type and not by isinstance: true is no number.
    if type(value) is not kind:
        raise InputError(f"{name}={str(value)[:80]!r} is not of type {kind.__name__}")
    return value


def _count(request: Mapping[str, Any], name: str, least: int) -> int:
    value = _field(request, name, int)
    if not least <= value <= _MOST_RUNS:
        raise InputError(f"{name} must be from {least} to {_MOST_RUNS}")
    return value


def _shape(request: Mapping[str, Any], name: str) -> tuple[int, ...]:
    value = _field(request, name, list)
    sizes_only = len(value) <= 16 and all(type(n) is int and 1 <= n <= _MOST_VALUES for n in value)
    if not sizes_only or math.prod(value) > _MOST_VALUES:
        raise InputError(f"{name}={str(value)[:80]} is not a shape")
    return tuple(value)


def _target(request: Mapping[str, Any]) -> Target:
    return Target.parse(_field(request, "target", str))


def _end(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def main() -> None:
    """Serve on standard input and output, and keep both from everything else in this process."""
    # As the command line does; read when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # What libraries print, in Python or in C, goes to standard error: it would break the lines.
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    for number in (signal.SIGTERM, signal.SIGHUP):
        # So that the model files are removed.
        signal.signal(number, _end)
    # Nobody may be left to read a reply: then there is nothing to do but end.
    with (
        tempfile.TemporaryDirectory(prefix="lutier-worker-") as folder,
        HostDevice() as device,
        requests,
        contextlib.suppress(BrokenPipeError),
        replies,
    ):
        serve(requests, replies, device, Path(folder))


if __name__ == "__main__":
    main()
