"""The CPU of this machine: the contract with every runtime, and what it refuses."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import onnxruntime
import pytest
import torch

from devices.artifact import Artifact, ArtifactFolder
from devices.base import Device, ExecutableModel
from devices.errors import InputError, UnknownNameError
from devices.host import HostDevice
from devices.target import Target
from devices.testing import DeviceContract
from profiler.jobs import Job, make_artifact
from profiler.ops import OpSpec

KEYS = ("linear/4/out=3", "conv/2x4x4/out=3,kernel=3")


def artifacts(folder: Path, file_format: str) -> list[Artifact]:
    jobs = [Job.of_op(OpSpec.parse(key)) for key in KEYS]
    return [make_artifact(job, file_format, 1, ArtifactFolder(folder)) for job in jobs]


class TestOnnxRuntime(DeviceContract):
    def make_device(self, tmp_path: Path) -> Device:
        return HostDevice()

    def make_target(self, device: Device) -> Target:
        return Target.make("cpu", "onnxruntime", {})

    def make_artifacts(self, tmp_path: Path) -> Sequence[Artifact]:
        return artifacts(tmp_path, "onnx")


class TestLiteRt(DeviceContract):
    def make_device(self, tmp_path: Path) -> Device:
        return HostDevice()

    def make_target(self, device: Device) -> Target:
        return Target.make("cpu", "litert", {})

    def make_artifacts(self, tmp_path: Path) -> Sequence[Artifact]:
        return artifacts(tmp_path, "tflite")


class TestTorch(DeviceContract):
    def make_device(self, tmp_path: Path) -> Device:
        return HostDevice()

    def make_target(self, device: Device) -> Target:
        return Target.make("cpu", "torch", {})

    def make_artifacts(self, tmp_path: Path) -> Sequence[Artifact]:
        return artifacts(tmp_path, "torch-export")


class TestTorchChannelsLast(TestTorch):
    def make_target(self, device: Device) -> Target:
        return Target.make("cpu", "torch", {"layout": "channels_last"})


@pytest.mark.slow
class TestTorchCompile(TestTorch):
    @pytest.fixture(autouse=True)
    def own_cache(
        self, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One cache folder for this run of the tests: headers are compiled once."""
        base = tmp_path_factory.getbasetemp() / "inductor"
        monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(base))

    def make_target(self, device: Device) -> Target:
        return Target.make("cpu", "torch-compile", {"layout": "channels_last"})


@pytest.fixture
def device() -> HostDevice:
    return HostDevice()


def test_its_models_compute(device: HostDevice, tmp_path: Path) -> None:
    target = Target.make("cpu", "onnxruntime", {})
    model = device.load(artifacts(tmp_path, "onnx")[0], target)
    assert isinstance(model, ExecutableModel)


def test_an_unknown_runtime_is_answered_with_the_nearest(device: HostDevice) -> None:
    with pytest.raises(UnknownNameError, match=r"runtime of cpu 'touch'\. Try: torch"):
        device.artifact_format("touch")
    with pytest.raises(UnknownNameError):
        device.environment(Target.make("cpu", "touch", {}))


@pytest.mark.parametrize(
    ("runtime", "file_format"), [("onnxruntime", "onnx"), ("torch", "torch-export")]
)
def test_more_threads_than_cores_are_refused(
    device: HostDevice, tmp_path: Path, runtime: str, file_format: str
) -> None:
    cores = os.cpu_count() or 1
    target = Target.make("cpu", runtime, {"threads": cores + 1})
    with pytest.raises(InputError, match=f"threads={cores + 1}: this machine has {cores} cores"):
        device.load(artifacts(tmp_path, file_format)[0], target)


def test_a_file_of_another_runtime_is_refused(device: HostDevice, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="format onnx: torch loads torch-export"):
        device.load(artifacts(tmp_path, "onnx")[0], Target.make("cpu", "torch", {}))


def test_the_environment_names_the_runtime_and_its_version(device: HostDevice) -> None:
    versions = {"onnxruntime": onnxruntime.__version__, "torch": torch.__version__}
    for runtime, version in versions.items():
        facts = device.environment(Target.make("cpu", runtime, {})).to_dict()
        assert (facts["runtime"], facts["runtime_version"]) == (runtime, str(version))
        assert device.runtime_version(runtime) == str(version)


def test_the_environment_of_compiled_programs_names_the_compiler(device: HostDevice) -> None:
    facts = device.environment(Target.make("cpu", "torch-compile", {})).to_dict()
    pytorch, compiler = facts["runtime_version"].split(" with ")
    assert pytorch == torch.__version__
    assert compiler.split()[1][0].isdigit()


@pytest.mark.parametrize(
    ("runtime", "option"), [("torch", "graph=on"), ("torch-compile", "graph=on")]
)
def test_an_option_the_runtime_lacks_is_refused(
    device: HostDevice, runtime: str, option: str
) -> None:
    with pytest.raises(InputError, match=f"{option}: {runtime} has no option graph; it has layout"):
        device.environment(Target.parse(f"cpu/{runtime}?{option}"))


def test_the_environment_does_not_depend_on_the_options(device: HostDevice) -> None:
    ids = {
        device.environment(Target.make("cpu", "onnxruntime", {"threads": n, "batch": n})).id
        for n in (1, 2)
    }
    assert len(ids) == 1
