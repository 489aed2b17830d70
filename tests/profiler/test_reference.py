"""The reference: a small model, the same every time, that shows the speed of the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from devices.artifact import ArtifactFolder
from devices.errors import MeasurementError
from devices.host import HostDevice
from devices.target import Target
from profiler.jobs import make_artifact
from profiler.ops import OpSpec
from profiler.reference import REFERENCE_OP, Reference, reference_job


class Answering:
    """A model that takes what it is told."""

    def __init__(self, *times_ms: float) -> None:
        self._times_ms = times_ms
        self.asked: list[tuple[int, int]] = []

    def time_ms(self, *, warmup: int, runs: int) -> list[float]:
        self.asked.append((warmup, runs))
        return list(self._times_ms[:runs])

    def close(self) -> None:
        raise AssertionError("whoever loaded it closes it")


def test_it_is_the_faster_of_two_runs_after_an_untimed_one() -> None:
    model = Answering(2.0, 1.5, 0.1)
    assert Reference(model).time_ms() == 1.5
    assert model.asked == [(1, 2)]


def test_a_reference_that_cannot_be_run_says_so() -> None:
    class Broken(Answering):
        def time_ms(self, *, warmup: int, runs: int) -> list[float]:
            raise MeasurementError("the reference crashed")

    with pytest.raises(MeasurementError, match="crashed"):
        Reference(Broken()).time_ms()


def test_its_file_is_the_same_every_time(tmp_path: Path) -> None:
    shas = set()
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        folder = ArtifactFolder(tmp_path / name)
        shas.add(make_artifact(reference_job(), "onnx", 1, folder).sha256)
    assert len(shas) == 1


def test_it_is_not_mistaken_for_the_op_it_is_made_of() -> None:
    job = reference_job()
    assert job.key != REFERENCE_OP.key
    assert job.input_shape == REFERENCE_OP.input_shape
    assert OpSpec.parse(REFERENCE_OP.key) == REFERENCE_OP


def test_it_can_be_timed_on_this_machine(tmp_path: Path) -> None:
    target = Target.make("cpu", "onnxruntime", {})
    artifact = make_artifact(reference_job(), "onnx", 1, ArtifactFolder(tmp_path))
    with HostDevice() as device:
        model = device.load(artifact, target)
        assert Reference(model).time_ms() > 0
        model.close()
