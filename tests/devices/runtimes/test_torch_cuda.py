"""PyTorch on a GPU. What needs none is tested with a stand-in that notes what it is asked."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from devices.artifact import Artifact
from devices.errors import ArtifactError, DeviceError, MeasurementError, MissingExtraError
from devices.runtimes.base import example_input
from devices.runtimes.torch import TorchModel
from devices.runtimes.torch_cuda import CompiledTorchCuda, CudaPlace, TorchCuda, tf32
from devices.target import Target
from profiler.builders.export import torch_export_bytes
from profiler.builders.modules import build_op
from profiler.ops import OpSpec

KEYS = (
    "mbconv/4x6x6/out=4,kernel=3,expand=3",
    "conv/3x9x7/out=5,kernel=3,stride=2",
    "zero/4x6x6/stride=2",
    "linear/12/out=3",
)


def program(folder: Path, key: str) -> tuple[Artifact, torch.nn.Module]:
    spec = OpSpec.parse(key)
    torch.manual_seed(0)
    net = build_op(spec).eval()
    path = folder / "m.pt2"
    path.write_bytes(torch_export_bytes(net, spec.input_shape))
    return Artifact(path, key, "torch-export", (1, *spec.input_shape), "0" * 64), net


class StandIn:
    """As much of ``torch.cuda`` as is used, on the processor, with a note of each use."""

    def __init__(
        self, elapsed_ms: float = 0.25, broken: bool = False, is_full: bool = False
    ) -> None:
        self.notes: list[str] = []
        self.is_full = is_full
        self.elapsed_ms = elapsed_ms
        self.broken = broken

    @contextlib.contextmanager
    def device(self, name: str) -> Iterator[None]:
        self.notes.append(f"on {name}")
        if self.is_full:
            raise RuntimeError("CUDA out of memory.\nTried to allocate 2 GiB")
        yield
        self.notes.append(f"off {name}")

    def synchronize(self) -> None:
        self.notes.append("synchronize")

    def Event(self, enable_timing: bool) -> SimpleNamespace:  # noqa: N802 - torch's own spelling
        assert enable_timing
        return SimpleNamespace(
            record=lambda: self.notes.append("record"),
            synchronize=lambda: self.notes.append("wait"),
            elapsed_time=lambda end: self.elapsed_ms,
        )

    def Stream(self) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(wait_stream=lambda other: self.notes.append("side waits"))

    def current_stream(self) -> SimpleNamespace:
        return SimpleNamespace(wait_stream=lambda other: self.notes.append("main waits"))

    @contextlib.contextmanager
    def stream(self, stream: object) -> Iterator[None]:
        self.notes.append("side begins")
        yield
        self.notes.append("side ends")

    def CUDAGraph(self) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(replay=lambda: self.notes.append("replay"))

    @contextlib.contextmanager
    def graph(self, graph: object) -> Iterator[None]:
        self.notes.append("capture begins")
        if self.broken:
            raise RuntimeError("operation not permitted when stream is capturing\nmore")
        yield
        self.notes.append("capture ends")


def test_each_inference_is_between_two_events_that_are_waited_for() -> None:
    cuda = StandIn()
    place = CudaPlace("cuda:0", cuda)
    timings = place.time_calls_ms(lambda: cuda.notes.append("call"), warmup=2, runs=2)
    assert timings == [0.25, 0.25]
    timed = ["record", "call", "record", "wait"]
    assert cuda.notes == ["call", "call", "synchronize", *timed, *timed]


@pytest.mark.parametrize("elapsed_ms", [0.0, -1.0])
def test_a_time_that_is_not_positive_is_no_latency(elapsed_ms: float) -> None:
    place = CudaPlace("cuda:0", StandIn(elapsed_ms))
    with pytest.raises(MeasurementError, match=f"took {elapsed_ms} ms on cuda:0"):
        place.time_calls_ms(lambda: None, warmup=0, runs=1)


def test_a_capture_comes_after_runs_on_a_stream_beside() -> None:
    cuda = StandIn()

    def forward(x: torch.Tensor) -> tuple[torch.Tensor]:
        cuda.notes.append("forward")
        return (x + 1,)

    example = torch.zeros(3)
    replayed = CudaPlace("cuda:0", cuda).captured(forward, example)
    before = ["side waits", "side begins", *["forward"] * 3, "side ends", "main waits"]
    assert cuda.notes == [*before, "capture begins", "forward", "capture ends"]
    cuda.notes.clear()
    assert replayed(example).tolist() == [1, 1, 1]
    assert cuda.notes == ["replay"]


def test_a_graph_computes_other_inputs_and_keeps_its_example() -> None:
    seen: list[torch.Tensor] = []

    def forward(x: torch.Tensor) -> torch.Tensor:
        seen.append(x)
        return x

    cuda = StandIn()
    example = torch.tensor([1.0, 2.0])
    replayed = CudaPlace("cuda:0", cuda).captured(forward, example)
    # The stand-in replays nothing, but what it would read is where the input must be.
    assert replayed(torch.tensor([5.0, 6.0])).tolist() == [5, 6]
    assert cuda.notes[-1] == "replay"
    assert example.tolist() == [1, 2]
    assert seen[-1].tolist() == [1, 2]


def test_a_program_that_cannot_be_captured_is_refused(tmp_path: Path) -> None:
    artifact, _ = program(tmp_path, KEYS[1])
    place = CudaPlace("cpu", StandIn(broken=True))
    target = Target.make("cuda:0", "torch", {"graph": "on"})
    with pytest.raises(ArtifactError, match=r"cannot be captured as a graph.*graph=off") as caught:
        TorchModel(artifact, target, place=place)
    assert len(str(caught.value).splitlines()) == 1


def test_a_gpu_without_room_is_trouble_of_the_device(tmp_path: Path) -> None:
    artifact, _ = program(tmp_path, KEYS[1])
    place = CudaPlace("meta", StandIn(is_full=True))
    with pytest.raises(DeviceError, match=r"cannot be put on meta: CUDA out of memory") as caught:
        TorchModel(artifact, Target.make("cuda:0", "torch", {}), place=place)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_a_whole_program_moves(tmp_path: Path, key: str, layout: str) -> None:
    """Tensors of the meta device refuse to meet others, as those of a GPU do."""
    artifact, _ = program(tmp_path, key)
    cuda = StandIn()
    target = Target.make("cuda:0", "torch", {"layout": layout})
    model = TorchModel(artifact, target, place=CudaPlace("meta", cuda))
    assert model.time_ms(warmup=1, runs=3) == [0.25] * 3
    assert cuda.notes.count("on meta") == cuda.notes.count("off meta") == 2


def test_tf32_is_read_from_the_settings_of_any_version() -> None:
    def settings(matmul: Any, cudnn: Any) -> Any:
        cuda = SimpleNamespace(matmul=SimpleNamespace(**matmul))
        return SimpleNamespace(backends=SimpleNamespace(cuda=cuda, cudnn=SimpleNamespace(**cudnn)))

    new = {"fp32_precision": "none"}, {"conv": SimpleNamespace(fp32_precision="tf32")}
    assert tf32(settings(*new)) == ("off", "on")
    assert tf32(settings({"allow_tf32": True}, {"allow_tf32": False})) == ("on", "off")


def test_the_facts_say_tf32_and_leave_it_as_it_is() -> None:
    before = (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32)
    facts = TorchCuda(0).facts()
    assert facts["tf32_convolution"] == ("on" if before[0] else "off")
    assert facts["tf32_matmul"] == ("on" if before[1] else "off")
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) == before


def test_the_compiler_of_a_gpu_is_part_of_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def installed(name: str) -> str:
        return "3.7.0" if name == "triton" else version(name)

    monkeypatch.setattr("devices.runtimes.torch_cuda.version", installed)
    assert CompiledTorchCuda(0).version() == f"{torch.__version__} with triton 3.7.0"


@pytest.mark.skipif(bool(torch.version.cuda), reason="this PyTorch was built with CUDA")
def test_a_missing_compiler_of_a_gpu_is_named() -> None:
    with pytest.raises(MissingExtraError, match=r"needs Triton .*pip install triton"):
        CompiledTorchCuda(0).version()


@pytest.mark.gpu
@pytest.mark.parametrize("runtime", [TorchCuda, CompiledTorchCuda])
@pytest.mark.parametrize("options", [{}, {"layout": "channels_last"}, {"graph": "on"}])
@pytest.mark.parametrize("key", KEYS)
def test_a_gpu_computes_what_the_module_computes(
    tmp_path: Path, runtime: type[TorchCuda], options: dict[str, str], key: str
) -> None:
    artifact, net = program(tmp_path, key)
    model = runtime(0).load(artifact, Target.make("cuda:0", runtime.name, options))
    for factor in (1, 2):
        inputs = factor * example_input(artifact.input_shape)
        with torch.no_grad():
            expected = net(torch.from_numpy(inputs)).numpy()
        # As far as TF32, which convolutions may use, is exact.
        assert np.allclose(model.run(inputs), expected, atol=1e-2 * factor)
        assert all(timing > 0 for timing in model.time_ms(warmup=2, runs=5))


@pytest.mark.gpu
def test_more_work_takes_a_gpu_longer(tmp_path: Path) -> None:
    medians = []
    for key in ("conv/64x8x8/out=64,kernel=3", "conv/64x512x512/out=256,kernel=7"):
        artifact, _ = program(tmp_path, key)
        model = TorchCuda(0).load(artifact, Target.make("cuda:0", "torch", {}))
        medians.append(float(np.median(model.time_ms(warmup=10, runs=20))))
        model.close()
    assert medians[1] > medians[0]
