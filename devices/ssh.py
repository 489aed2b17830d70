"""Another Linux machine: the measuring worker runs there, and OpenSSH carries the lines."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import os
import shlex
import time
from collections.abc import Sequence
from typing import Any, Self

from devices.artifact import Artifact
from devices.base import ExecutableModel, FloatArray
from devices.environment import Environment
from devices.errors import (
    ArtifactError,
    DeviceError,
    InputError,
    LutierError,
    MissingExtraError,
    UnknownNameError,
)
from devices.link import Ending, Link
from devices.ssh_address import Address, ssh_options, worker_command
from devices.ssh_trouble import Place, install_there, no_greeting, shown, went_away
from devices.target import Target
from devices.wire import (
    CHUNK_BYTES,
    GREETING,
    PROTOCOL_VERSION,
    decode_array,
    decode_bytes,
    decode_error,
    decode_line,
    encode_array,
    encode_bytes,
    encode_line,
    lutier_version,
)

GREETING_SECONDS = 60.0
ANSWER_SECONDS = 900.0
"""For one visit, or for loading one model; a Raspberry Pi may need minutes to import torch."""
_MOST_NOISE = 1000


class SshDevice:
    """``ssh:HOST``: models run on the CPU of another Linux machine, and are timed there.

    Lutier is installed on both machines, in the same version, and ``ssh HOST`` logs in without a
    question. Two variables of the environment say more: ``LUTIER_SSH_PYTHON``, the Python there
    (``python3`` by default, a relative path is that from the home folder), and
    ``LUTIER_SSH_OPTIONS``, options for ``ssh``, such as ``-F FILE`` or ``-J GATEWAY``.

    Args:
        address: ``[USER@]HOST[:PORT]``.
        greeting_seconds: how long the worker may take to start.
        answer_seconds: how long it may take over one call.

    Raises:
        InputError: an address or options that cannot be read.
        MissingExtraError: there is no ``ssh`` on this machine.
        DeviceError: no connection, no Python or Lutier there, or another version of it.
    """

    def __init__(
        self,
        address: str,
        *,
        greeting_seconds: float = GREETING_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        where = Address.parse(address)
        options = ssh_options(os.environ.get("LUTIER_SSH_OPTIONS", ""))
        # ssh starts in the home folder, and what is quoted there is not expanded.
        python = os.environ.get("LUTIER_SSH_PYTHON", "").removeprefix("~/") or "python3"
        self._place = Place(
            f"ssh:{address}", where.host, shlex.join(["ssh", *options, *where.words]), python
        )
        self._answer_seconds = answer_seconds
        self._greeted = False
        self._start = time.monotonic()
        self._asked = 0
        self._sent: set[str] = set()
        self._link = Link(worker_command(where, options, python), self._explain)
        try:
            self._formats = self._greet(greeting_seconds)
        except BaseException:
            self._link.close()
            raise

    @property
    def name(self) -> str:
        """``ssh:HOST``, as it was written."""
        return self._place.name

    @property
    def pid(self) -> int:
        """Of the ssh process on this machine."""
        return self._link.pid

    @property
    def runtimes(self) -> Sequence[str]:
        """Names of the runtimes Lutier drives there, installed or not."""
        return tuple(self._formats)

    def artifact_format(self, runtime: str) -> str:
        """The model file format a runtime loads."""
        if runtime not in self._formats:
            raise UnknownNameError.of(f"runtime of {self.name}", runtime, self._formats)
        return self._formats[runtime]

    def environment(self, target: Target) -> Environment:
        """Chip, cores, governor and the runtime's version, of that machine.

        They are the facts that ``cpu`` gives there: who asks is none of them.

        Raises:
            InputError: more threads than that machine has cores, or an option the runtime does not
                have.
            MissingExtraError: the runtime is not installed there.
            DeviceError: the machine went away.
        """
        self.artifact_format(target.runtime)
        facts = self.ask("environment", "tell what machine it is", target=_there(target)).get(
            "facts"
        )
        if not isinstance(facts, dict):
            raise self.nonsense("facts", facts)
        return Environment.of(
            {shown(str(name)): shown(str(value)) for name, value in facts.items()}
        )

    def load(self, artifact: Artifact, target: Target) -> ExecutableModel:
        """Send a model file, once in a connection, and load it there.

        Raises:
            ArtifactError: a file the runtime cannot load, or one that is not what it was.
            InputError: more threads than that machine has cores, an option the runtime does not
                have, or a file of another format.
            DeviceError: the machine went away.
        """
        self.artifact_format(target.runtime)
        self._send(artifact)
        number = self.ask(
            "load",
            f"load {artifact.key}",
            sha256=artifact.sha256,
            key=artifact.key,
            format=artifact.format,
            input_shape=list(artifact.input_shape),
            target=_there(target),
        ).get("model")
        if type(number) is not int:
            raise self.nonsense("model", number)
        return _FarModel(self, number, artifact.key)

    def _send(self, artifact: Artifact) -> None:
        if artifact.sha256 in self._sent:
            return
        try:
            contents = artifact.path.read_bytes()
        except OSError as error:
            raise ArtifactError(
                f"cannot read the model file of {artifact.key}", str(error)
            ) from error
        if hashlib.sha256(contents).hexdigest() != artifact.sha256:
            raise ArtifactError(
                f"{artifact.path.name} ({artifact.key}) is not what it was when it was written",
                hint="write it again",
            )
        for start in range(0, max(len(contents), 1), CHUNK_BYTES):
            part = contents[start : start + CHUNK_BYTES]
            self.ask(
                "put",
                f"take the model file of {artifact.key}",
                sha256=artifact.sha256,
                data=encode_bytes(part),
                last=start + CHUNK_BYTES >= len(contents),
            )
        self._sent.add(artifact.sha256)

    def close(self) -> None:
        """End the worker, and with it the connection."""
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def is_open(self) -> bool:
        """Whether the worker can still be asked."""
        return self._link.is_open

    def ask(self, call: str, doing: str, **arguments: object) -> dict[str, Any]:
        """Make the worker do something; see :mod:`devices.worker` for what.

        Args:
            call: name of the call.
            doing: in words, for the error where no answer comes: it was to DOING.
            **arguments: of the call.

        Returns:
            The fields of the answer, as they came.

        Raises:
            LutierError: what the worker raised.
            DeviceError: the machine went away.
        """
        self._asked += 1
        request = encode_line({"id": self._asked, "call": call, **arguments})
        line = self._link.ask(request, seconds=self._answer_seconds, doing=doing)
        try:
            reply = decode_line(line)
        except InputError as error:
            raise self.nonsense(call, line[:80]) from error
        if reply.get("id") != self._asked:
            raise self.nonsense("id", reply.get("id"))
        if "error" in reply:
            raise self._said_there(decode_error(reply["error"]))
        return reply

    def _greet(self, seconds: float) -> dict[str, str]:
        """Wait for the worker's first line; the formats of its runtimes.

        What a login script prints before it is passed over.
        """
        deadline = self._start + seconds
        for _ in range(_MOST_NOISE):
            line = self._link.ask(b"", seconds=deadline - time.monotonic(), doing="greet")
            if line.lstrip().startswith(f'{{"{GREETING}"'.encode()):
                break
            self._link.hear(line)
        else:
            raise DeviceError(
                f"{self.name} prints and prints before the worker speaks",
                shown(line[:80].decode(errors="replace")).strip(),
                "a login script there that prints nothing where there is no terminal",
            )
        self._greeted = True
        try:
            greeting = decode_line(line)
        except InputError as error:
            raise self.nonsense("greeting", line[:80]) from error
        # As it calls itself: the one to install into.
        python = shown(str(greeting.get("python") or self._place.python))[:300]
        self._place = dataclasses.replace(self._place, python=python)
        theirs = shown(f"Lutier {greeting.get('lutier')} with protocol {greeting[GREETING]}")[:80]
        ours = f"Lutier {lutier_version()} with protocol {PROTOCOL_VERSION}"
        if theirs != ours:
            raise DeviceError(
                f"{self.name} has {theirs}, and this machine has {ours}",
                "both must be the same, or other things are timed than those that are written",
                install_there(self._place),
            )
        formats = greeting.get("formats")
        if not isinstance(formats, dict):
            raise self.nonsense("formats", formats)
        return {str(name): str(value) for name, value in formats.items()}

    def _explain(self, ending: Ending) -> DeviceError:
        if self._greeted:
            return went_away(self._place, ending)
        waited = time.monotonic() - self._start
        return no_greeting(self._place, dataclasses.replace(ending, seconds=waited))

    def _said_there(self, error: LutierError) -> LutierError:
        """An error of the worker, so that nobody takes that machine for this one."""
        what, why, hint = (shown(text) for text in (error.what, error.why, error.hint))
        why = f"{why} (said by {self.name})" if why else f"said by {self.name}"
        if isinstance(error, MissingExtraError) and hint.startswith("pip "):
            hint = f"{self._place.ssh}, and there {self._place.python} -m {hint}"
        return type(error)(what, why, hint)

    def nonsense(self, name: str, value: object) -> DeviceError:
        """The error of an answer that cannot be used; nothing more is asked after it."""
        self._link.close()
        return DeviceError(
            f"{self.name} answered what no worker answers",
            f"{name} is {str(value)[:80]!r}",
            install_there(self._place),
        )


class _FarModel:
    """A model loaded on that machine."""

    def __init__(self, device: SshDevice, number: int, key: str) -> None:
        self._device = device
        self._number = number
        self._key = key
        self._is_loaded = True

    def time_ms(self, *, warmup: int, runs: int) -> list[float]:
        samples = self._device.ask(
            "time", f"time {self._key}", model=self._number, warmup=warmup, runs=runs
        ).get("samples_ms")
        if (
            not isinstance(samples, list)
            or len(samples) != runs
            or not all(type(each) is float and 0 < each < math.inf for each in samples)
        ):
            raise self._device.nonsense("samples_ms", samples)
        return samples

    def run(self, inputs: FloatArray) -> FloatArray:
        reply = self._device.ask(
            "run", f"run {self._key}", model=self._number, **encode_array(inputs)
        )
        shape, data = reply.get("shape"), reply.get("data")
        try:
            return decode_array(tuple(shape or ()), decode_bytes(data or ""))
        except (InputError, TypeError, ValueError) as error:
            raise self._device.nonsense("output", shape) from error

    def close(self) -> None:
        """Give back what it holds there; where the machine is gone, nothing is left to give."""
        if self._is_loaded and self._device.is_open:
            self._device.ask("unload", f"unload {self._key}", model=self._number)
        self._is_loaded = False


def _there(target: Target) -> str:
    """The target as that machine calls it: its own CPU."""
    return str(dataclasses.replace(target, device="cpu"))
