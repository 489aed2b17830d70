"""The contract: a device that breaks it fails it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import pytest

from devices import testing
from devices.artifact import Artifact, ArtifactFolder
from devices.base import Device, LoadedModel
from devices.environment import Environment
from devices.errors import MissingEntryError, UnknownNameError
from devices.target import Target


class Model:
    def __init__(self, timing_ms: float, missing: int) -> None:
        self._timing_ms = timing_ms
        self._missing = missing

    def time_ms(self, *, warmup: int, runs: int) -> list[float]:
        return [self._timing_ms] * (runs - self._missing)

    def close(self) -> None:
        pass


class Toy:
    """A device that keeps the contract, but for the fault it is given."""

    name = "toy"
    runtimes = ("abacus",)

    def __init__(self, fault: str) -> None:
        self._fault = fault
        self._counter = itertools.count()

    def artifact_format(self, runtime: str) -> str:
        if runtime not in self.runtimes and self._fault != "takes any runtime":
            raise UnknownNameError.of("runtime", runtime, self.runtimes)
        return "onnx"

    def environment(self, target: Target) -> Environment:
        if self._fault == "no facts":
            return Environment.of({})
        drifting = str(next(self._counter)) if self._fault == "drifting facts" else ""
        return Environment.of({"beads": f"10{drifting}"})

    def load(self, artifact: Artifact, target: Target) -> LoadedModel:
        if not artifact.path.exists() and self._fault != "loads what is not there":
            raise MissingEntryError(f"no {artifact.key}")
        timing_ms = 0.0 if self._fault == "a timing of zero" else 1.0
        return Model(timing_ms, missing=int(self._fault == "a timing too few"))

    def close(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class Contract(testing.DeviceContract):
    """The contract of a toy; not collected, since its name does not begin with Test."""

    def __init__(self, fault: str) -> None:
        self._fault = fault

    def make_device(self, tmp_path: Path) -> Device:
        return Toy(self._fault)

    def make_target(self, device: Device) -> Target:
        return Target.make("toy", "abacus", {})

    def make_artifacts(self, tmp_path: Path) -> Sequence[Artifact]:
        folder = ArtifactFolder(tmp_path)
        return [
            folder.add(key.encode(), key=key, file_format="onnx", input_shape=(1, 4))
            for key in ("one", "two")
        ]


def failures(fault: str, tmp_path: Path) -> set[str]:
    """Names of the contract's tests that fail."""
    failed = set()
    names = [name for name in dir(testing.DeviceContract) if name.startswith("test_")]
    for name in names:
        try:
            getattr(Contract(fault), name)(tmp_path)
        except AssertionError:
            failed.add(name)
    return failed


def test_a_device_that_keeps_the_contract_passes(tmp_path: Path) -> None:
    assert failures("", tmp_path) == set()


@pytest.mark.parametrize(
    ("fault", "caught_by"),
    [
        ("no facts", "test_environment_is_stable"),
        ("drifting facts", "test_environment_is_stable"),
        ("a timing of zero", "test_timings_are_positive_and_as_many_as_asked"),
        ("a timing too few", "test_timings_are_positive_and_as_many_as_asked"),
        ("takes any runtime", "test_unknown_runtime_is_refused"),
        ("loads what is not there", "test_a_missing_file_or_entry_is_a_typed_error"),
    ],
)
def test_a_device_that_breaks_it_fails(fault: str, caught_by: str, tmp_path: Path) -> None:
    assert caught_by in failures(fault, tmp_path)
