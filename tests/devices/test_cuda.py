"""GPUs: what is refused and why; with a GPU, the contract with every runtime."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pynvml_stand_in import NVMLError, PynvmlStandIn

from devices.artifact import Artifact, ArtifactFolder
from devices.base import Device
from devices.cuda import CudaDevice, gpu_names
from devices.errors import DeviceError, InputError, MissingExtraError, UnknownNameError
from devices.registry import open_device
from devices.target import Target
from devices.testing import DeviceContract
from profiler.jobs import Job, make_artifact
from profiler.ops import OpSpec

KEYS = ("linear/4/out=3", "conv/2x4x4/out=3,kernel=3")


def artifacts(folder: Path, file_format: str) -> list[Artifact]:
    jobs = [Job.of_op(OpSpec.parse(key)) for key in KEYS]
    return [make_artifact(job, file_format, 1, ArtifactFolder(folder)) for job in jobs]


def pytorch(gpus: Sequence[str] = ("Toy GPU",), cuda: str | None = "12.8") -> Any:
    """A stand-in for torch that knows some GPUs; their identities are 70, 71, ..."""
    return SimpleNamespace(
        __version__="2.13.0+cpu" if cuda is None else "2.13.0+cu128",
        version=SimpleNamespace(cuda=cuda),
        cuda=SimpleNamespace(
            device_count=lambda: len(gpus),
            get_device_properties=lambda n: SimpleNamespace(name=gpus[n], uuid=70 + n),
        ),
    )


def opened(address: str = "0", nvml: PynvmlStandIn | None = None) -> CudaDevice:
    identity = f"GPU-7{address}"
    return CudaDevice(address, torch=pytorch(["A", "B"]), nvml=nvml or PynvmlStandIn(identity))


@pytest.mark.parametrize("address", ["", "a", "-1", "0,1", "1.0", "²", "00000"])
def test_a_gpu_is_named_by_its_number(address: str) -> None:
    with pytest.raises(InputError, match=r"named by its number\. Try: cuda:0"):
        CudaDevice(address, torch=pytorch(), nvml=PynvmlStandIn())


@given(st.text(max_size=8))
def test_any_address_is_a_gpu_or_an_error_of_one_line(address: str) -> None:
    try:
        said = CudaDevice(address, torch=pytorch(), nvml=PynvmlStandIn("GPU-70")).name
    except InputError as error:
        said = f"error {error}"
    assert len(said.splitlines()) == 1
    assert said == "cuda:0" or said.startswith("error ")


def test_a_number_that_no_gpu_has_is_answered_with_those_there_are() -> None:
    with pytest.raises(UnknownNameError, match=r"'cuda:2': there are cuda:0 \(A\), cuda:1 \(B\)"):
        CudaDevice("2", torch=pytorch(["A", "B"]), nvml=PynvmlStandIn())


def test_no_gpu_is_trouble_of_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with pytest.raises(DeviceError, match=r"PyTorch finds none\. Try: nvidia-smi"):
        CudaDevice("0", torch=pytorch([]), nvml=PynvmlStandIn())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(DeviceError, match=r"finds none; CUDA_VISIBLE_DEVICES is ''"):
        CudaDevice("0", torch=pytorch([]), nvml=PynvmlStandIn())


def test_a_build_of_pytorch_without_cuda_is_named() -> None:
    with pytest.raises(MissingExtraError, match=r"2\.13\.0\+cpu.* built without CUDA.*CUDA build"):
        CudaDevice("0", torch=pytorch(cuda=None), nvml=PynvmlStandIn())


def test_gpus_are_listed_by_device() -> None:
    assert gpu_names(pytorch(["A", "B"])) == {"cuda:0": "A", "cuda:1": "B"}
    assert gpu_names(pytorch([])) == {}


@pytest.mark.skipif(bool(torch.version.cuda), reason="this PyTorch was built with CUDA")
def test_this_build_of_pytorch_has_no_cuda() -> None:
    with pytest.raises(MissingExtraError, match="built without CUDA"):
        open_device("cuda:0")


def test_the_environment_names_gpu_driver_host_and_runtime() -> None:
    with opened("1") as device:
        facts = device.environment(Target.make("cuda:1", "torch", {})).to_dict()
    assert facts["chip"] == "Toy GPU"
    assert facts["host_chip"] not in ("", "Toy GPU")
    assert (facts["driver"], facts["power_cap_w"]) == ("580.65", "300.0")
    assert (facts["runtime"], facts["runtime_version"]) == ("torch", torch.__version__)
    assert facts["tf32_matmul"] in ("on", "off")


def test_another_power_cap_is_another_environment() -> None:
    target = Target.make("cuda:0", "torch", {})
    one = opened().environment(target)
    other = opened(
        nvml=PynvmlStandIn("GPU-70", nvmlDeviceGetEnforcedPowerLimit=250_000)
    ).environment(target)
    assert one.differences(other) == ["power_cap_w: 300.0 -> 250.0"]


def test_its_state_is_read_when_it_is_asked_for() -> None:
    nvml = PynvmlStandIn("GPU-70")
    device = opened(nvml=nvml)
    assert device.health().temperature_c == 41
    nvml.answers["nvmlDeviceGetTemperature"] = 83
    assert device.health().temperature_c == 83
    nvml.answers["nvmlDeviceGetTemperature"] = NVMLError("GPU is lost")
    with pytest.raises(DeviceError, match="GPU is lost"):
        device.health()


def test_it_lets_go_of_the_management_library_once() -> None:
    nvml = PynvmlStandIn("GPU-70")
    device = opened(nvml=nvml)
    device.close()
    device.close()
    assert nvml.calls.count("nvmlShutdown") == 1


def test_an_unknown_runtime_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"runtime of cuda:0 'touch'\. Try: torch"):
        opened().artifact_format("touch")


def test_what_a_runtime_lacks_is_refused(tmp_path: Path) -> None:
    device, cores = opened(), os.cpu_count() or 1
    file = artifacts(tmp_path, "torch-export")[0]
    with pytest.raises(InputError, match="graph=on: onnxruntime has no option graph"):
        device.environment(Target.make("cuda:0", "onnxruntime", {"graph": "on"}))
    with pytest.raises(InputError, match="precision=int8: torch has no option precision"):
        device.load(file, Target.make("cuda:0", "torch", {"precision": "int8"}))
    with pytest.raises(InputError, match=f"this machine has {cores} cores"):
        device.load(file, Target.make("cuda:0", "torch", {"threads": cores + 1}))
    with pytest.raises(InputError, match="onnxruntime loads onnx"):
        device.load(file, Target.make("cuda:0", "onnxruntime", {}))


class OnGpu(DeviceContract):
    runtime = "torch"
    file_format = "torch-export"
    options: dict[str, str] = {}  # noqa: RUF012 - read only

    def make_device(self, tmp_path: Path) -> Device:
        return CudaDevice("0")

    def make_target(self, device: Device) -> Target:
        return Target.make("cuda:0", self.runtime, self.options)

    def make_artifacts(self, tmp_path: Path) -> Sequence[Artifact]:
        return artifacts(tmp_path, self.file_format)


@pytest.mark.gpu
class TestTorch(OnGpu):
    pass


@pytest.mark.gpu
class TestTorchChannelsLast(OnGpu):
    options = {"layout": "channels_last"}  # noqa: RUF012


@pytest.mark.gpu
class TestTorchGraph(OnGpu):
    options = {"graph": "on"}  # noqa: RUF012


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.skipif(find_spec("triton") is None, reason="needs triton: pip install triton")
class TestTorchCompile(OnGpu):
    runtime = "torch-compile"


@pytest.mark.gpu
@pytest.mark.skipif(
    "CUDAExecutionProvider" not in onnxruntime.get_available_providers(),
    reason="needs onnxruntime-gpu in place of onnxruntime",
)
class TestOnnxRuntime(OnGpu):
    runtime = "onnxruntime"
    file_format = "onnx"
