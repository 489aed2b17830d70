"""A device that answers from a recording: everything can be tried without the machine itself."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from devices.artifact import Artifact
from devices.base import LoadedModel
from devices.environment import Environment
from devices.errors import InputError, MissingEntryError, UnknownNameError
from devices.files import write_at_once
from devices.target import Target

FORMAT_VERSION = 1


def write_recording(
    path: Path, target: Target, environment: Environment, samples_ms: Mapping[str, Sequence[float]]
) -> None:
    """Write what a device answered, for :class:`ReplayDevice` to answer again.

    Args:
        path: JSON file to write; replaced at once, never half.
        target: what was measured on.
        environment: the machine's facts at the time.
        samples_ms: latencies in ms by artifact key, in the order they were measured.
    """
    document = {
        "lutier_recording": FORMAT_VERSION,
        "target": str(target),
        "environment": environment.to_dict(),
        "samples_ms": {key: list(values) for key, values in samples_ms.items()},
    }
    write_at_once(path, json.dumps(document, indent=1, sort_keys=True))


class ReplayDevice:
    """``replay:FILE``: answers with recorded latencies, in the order they were recorded.

    It runs nothing: what was not recorded is an error, never a guess.

    Args:
        address: path of the recording.

    Raises:
        InputError: no such file, or not a recording.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        document = _read(address)
        self._recorded = Target.parse(document["target"])
        self._environment = Environment.of(document["environment"])
        self._samples_ms: dict[str, list[float]] = document["samples_ms"]

    @property
    def name(self) -> str:
        """``replay:FILE``."""
        return f"replay:{self._address}"

    @property
    def runtimes(self) -> Sequence[str]:
        """The one runtime that was recorded."""
        return (self._recorded.runtime,)

    @property
    def recorded_target(self) -> Target:
        """The target that was recorded."""
        return self._recorded

    def artifact_format(self, runtime: str) -> str:
        """Recordings answer by key, whatever the file holds: the smallest format will do."""
        self._check_runtime(runtime)
        return "onnx"

    def _check_runtime(self, runtime: str) -> None:
        if runtime not in self.runtimes:
            raise UnknownNameError.of(f"runtime of {self.name}", runtime, self.runtimes)

    def environment(self, target: Target) -> Environment:
        """The facts of the machine that was recorded."""
        self._check_target(target)
        return self._environment

    def _check_target(self, target: Target) -> None:
        self._check_runtime(target.runtime)
        if target.options != self._recorded.options:
            raise InputError(
                f"{self.name} was recorded on {self._recorded}",
                f"it cannot answer for {target}",
                f"{self.name}/{str(self._recorded).rpartition('/')[2]}",
            )

    def load(self, artifact: Artifact, target: Target) -> LoadedModel:
        """Find what was recorded for the artifact's key.

        Raises:
            MissingEntryError: nothing was.
        """
        self._check_target(target)
        if artifact.key not in self._samples_ms:
            raise MissingEntryError(
                f"{artifact.key} is not in the recording {self._address}",
                f"it holds {len(self._samples_ms)} others",
                "record it on the device itself",
            )
        return _Recorded(self._samples_ms[artifact.key])

    def close(self) -> None:
        """Nothing to let go of."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class _Recorded:
    """Recorded latencies, over and over. Untimed runs are not taken from the recording."""

    def __init__(self, samples_ms: Sequence[float]) -> None:
        self._endless: Iterator[float] = itertools.cycle(samples_ms)

    def time_ms(self, *, warmup: int, runs: int) -> list[float]:
        return list(itertools.islice(self._endless, runs))

    def close(self) -> None:
        """Nothing to let go of."""


def _read(address: str) -> dict[str, Any]:
    path = Path(address)
    try:
        found = bool(address) and path.is_file()
        document = json.loads(path.read_text(encoding="utf-8")) if found else None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{address} is not a recording", str(error)[:200]) from error
    if not found:
        raise InputError(f"no recording at {address!r}", hint="replay:FILE with an existing FILE")
    if not isinstance(document, dict) or "lutier_recording" not in document:
        raise InputError(f"{address} is not a recording", "it lacks 'lutier_recording'")
    version = document["lutier_recording"]
    if version != FORMAT_VERSION or isinstance(version, bool):
        raise InputError(
            f"{address} is a recording of format {version!r}",
            f"this version of Lutier reads format {FORMAT_VERSION}",
        )
    target, facts, samples = (
        document.get("target"),
        document.get("environment"),
        document.get("samples_ms"),
    )
    if not (isinstance(target, str) and isinstance(facts, dict) and isinstance(samples, dict)):
        raise InputError(f"{address} is not a whole recording", "target, facts or samples missing")
    if not all(isinstance(value, str) for value in facts.values()):
        raise InputError(f"{address} is not a whole recording", "a fact is not text")
    for key, values in samples.items():
        if not isinstance(values, list) or not values or not all(map(_is_latency, values)):
            raise InputError(
                f"{address} has no usable latencies for {key[:80]!r}",
                "they must be a list of positive numbers in ms",
            )
    return document


def _is_latency(value: object) -> bool:
    # Compared, not converted: a whole number may be larger than any float. NaN compares as false.
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and 0 < value <= sys.float_info.max
    )
