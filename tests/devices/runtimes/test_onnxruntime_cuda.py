"""ONNX Runtime on a GPU: refuses to run anything anywhere else."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
import torch

from devices.artifact import Artifact
from devices.errors import ArtifactError, MissingExtraError
from devices.runtimes.base import example_input
from devices.runtimes.onnxruntime import OnnxSession, Provider
from devices.runtimes.onnxruntime_cuda import OnnxRuntimeCuda, provider
from devices.target import Target
from profiler.builders.export import onnx_bytes
from profiler.builders.modules import build_op
from profiler.ops import OpSpec

SPEC = OpSpec.parse("mbconv/4x6x6/out=4,kernel=3,expand=3")
TARGET = Target.make("cuda:0", "onnxruntime", {})
HAS_CUDA = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
on_gpu = pytest.mark.skipif(not HAS_CUDA, reason="needs onnxruntime-gpu in place of onnxruntime")


def written(folder: Path) -> tuple[Artifact, torch.nn.Module]:
    torch.manual_seed(0)
    net = build_op(SPEC).eval()
    path = folder / "m.onnx"
    path.write_bytes(onnx_bytes(net, SPEC.input_shape))
    return Artifact(path, "some/op", "onnx", (1, *SPEC.input_shape), "0" * 64), net


def test_the_provider_is_that_of_the_gpu_and_the_processor_is_none() -> None:
    asked = provider(3)
    assert dict(asked.settings)["device_id"] == "3"
    assert (asked.place, asked.index) == ("cuda", 3)
    assert dict(asked.config)["session.disable_cpu_ep_fallback"] == "1"


@pytest.mark.skipif(HAS_CUDA, reason="this ONNX Runtime was built with CUDA")
def test_a_build_without_cuda_is_refused_with_the_one_that_has_it(tmp_path: Path) -> None:
    artifact, _ = written(tmp_path)
    runtime = OnnxRuntimeCuda(0)
    for ask in (runtime.version, runtime.facts, lambda: runtime.load(artifact, TARGET)):
        with pytest.raises(MissingExtraError, match=r"cannot drive a GPU.*onnxruntime-gpu"):
            ask()


def test_a_build_with_cuda_says_its_versions() -> None:
    library = SimpleNamespace(
        __version__="1.31.0",
        cuda_version="12.8",
        get_available_providers=lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"],
    )
    runtime = OnnxRuntimeCuda(0, library)
    assert runtime.version() == "1.31.0"
    assert runtime.facts() == {
        "cuda_version": "12.8",
        "tf32_matmul": "on",
        "tf32_convolution": "on",
    }


@pytest.mark.skipif(
    "AzureExecutionProvider" not in onnxruntime.get_available_providers(),
    reason="needs a provider that runs none of these nodes: the PyPI build has one",
)
def test_nodes_that_would_run_on_the_processor_are_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Azure's provider stands in for a GPU's: it is there, and it can run none of the nodes."""
    artifact, _ = written(tmp_path)
    stand_in = Provider("AzureExecutionProvider", (), provider(0).config)
    with pytest.raises(ArtifactError, match=r"cannot run all nodes of m\.onnx .*the runtime torch"):
        OnnxSession(artifact, TARGET, stand_in)
    assert capfd.readouterr() == ("", "")


@pytest.mark.gpu
@on_gpu
def test_a_gpu_computes_what_the_module_computes(tmp_path: Path) -> None:
    artifact, net = written(tmp_path)
    model = OnnxRuntimeCuda(0).load(artifact, TARGET)
    inputs = example_input(artifact.input_shape)
    with torch.no_grad():
        expected = net(torch.from_numpy(inputs)).numpy()
    # As far as TF32, which convolutions may use, is exact.
    assert np.allclose(model.run(inputs), expected, atol=1e-2)
    assert all(timing > 0 for timing in model.time_ms(warmup=2, runs=5))
