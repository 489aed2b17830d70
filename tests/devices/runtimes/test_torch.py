"""Torch: computes what the module computed, puts its threads back, refuses broken programs."""

from __future__ import annotations

import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from devices.artifact import Artifact
from devices.base import ExecutableModel
from devices.errors import ArtifactError, MeasurementError
from devices.runtimes.base import example_input
from devices.runtimes.torch import TorchRuntime
from devices.target import Target
from profiler.builders.export import torch_export_bytes
from profiler.builders.modules import build_op
from profiler.ops import OpSpec

SPEC = OpSpec.parse("mbconv/4x6x6/out=4,kernel=3,expand=3")
SHAPE = (2, 4, 6, 6)
TARGET = Target.make("cpu", "torch", {"batch": 2})


def module() -> torch.nn.Module:
    torch.manual_seed(0)
    return build_op(SPEC).eval()


@pytest.fixture(scope="module")
def whole() -> bytes:
    return torch_export_bytes(module(), SPEC.input_shape, batch=2)


def written(path: Path, contents: bytes, shape: tuple[int, ...] = SHAPE) -> Artifact:
    path.write_bytes(contents)
    return Artifact(path, "some/op", "torch-export", shape, "0" * 64)


def rewritten(path: Path, whole: Path, change: Callable[[str, bytes], bytes | None]) -> Artifact:
    """A program whose members were changed, or left out where the change is None."""
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(path, "w") as archive:
        for name in source.namelist():
            contents = change(name, source.read(name))
            if contents is not None:
                archive.writestr(name, contents)
    return Artifact(path, "some/op", "torch-export", SHAPE, "0" * 64)


def load(artifact: Artifact) -> ExecutableModel | None:
    """The loaded program; None where it was refused."""
    try:
        return TorchRuntime().load(artifact, TARGET)
    except ArtifactError:
        return None


@pytest.mark.parametrize("threads", [1, 2])
def test_a_program_computes_what_the_module_computes(
    tmp_path: Path, whole: bytes, threads: int
) -> None:
    target = Target.make("cpu", "torch", {"batch": 2, "threads": threads})
    model = TorchRuntime().load(written(tmp_path / "m.pt2", whole), target)
    inputs = example_input(SHAPE)
    with torch.no_grad():
        expected = module()(torch.from_numpy(inputs)).numpy()
    assert np.allclose(model.run(inputs), expected, atol=1e-6)
    assert len(model.time_ms(warmup=1, runs=3)) == 3
    assert np.allclose(model.run(inputs), expected, atol=1e-6)


def test_the_version_is_the_installed_one() -> None:
    assert TorchRuntime().version() == torch.__version__


@pytest.mark.parametrize("own", [1, 2, 3])
def test_the_process_keeps_its_threads_and_modes(tmp_path: Path, whole: bytes, own: int) -> None:
    model = TorchRuntime().load(written(tmp_path / "m.pt2", whole), TARGET)
    before = torch.get_num_threads()
    torch.set_num_threads(own)
    try:
        model.time_ms(warmup=0, runs=1)
        model.run(example_input(SHAPE))
        assert torch.get_num_threads() == own
    finally:
        torch.set_num_threads(before)
    assert not torch.is_inference_mode_enabled()
    assert torch.is_grad_enabled()


def test_a_failing_program_is_a_measurement_error_and_the_threads_come_back(
    tmp_path: Path, whole: bytes
) -> None:
    model = TorchRuntime().load(written(tmp_path / "m.pt2", whole, (2, 5, 6, 6)), TARGET)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with pytest.raises(MeasurementError, match="some/op loaded but did not run") as caught:
            model.time_ms(warmup=0, runs=1)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert len(str(caught.value).splitlines()) == 1
    assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(tmp_path: Path, whole: bytes, kept: float) -> None:
    artifact = written(tmp_path / "cut.pt2", whole[: int(len(whole) * kept)])
    with pytest.raises(ArtifactError, match=r"cannot load cut\.pt2 \(some/op\)") as caught:
        TorchRuntime().load(artifact, TARGET)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("contents", [b"hello", b"\x00" * 1000, b"PK\x05\x06" + bytes(18)])
def test_another_kind_of_file_is_refused(tmp_path: Path, contents: bytes) -> None:
    assert load(written(tmp_path / "m.pt2", contents)) is None


def test_a_checkpoint_and_a_foreign_archive_are_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(2)}, tmp_path / "checkpoint.pt2")
    with zipfile.ZipFile(tmp_path / "foreign.pt2", "w") as archive:
        archive.writestr("letter.txt", "dear reader")
    for name in ("checkpoint.pt2", "foreign.pt2"):
        artifact = Artifact(tmp_path / name, "op", "torch-export", SHAPE, "0" * 64)
        assert load(artifact) is None


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.pt2", tmp_path):
        assert load(Artifact(path, "op", "torch-export", SHAPE, "0" * 64)) is None


def test_a_damaged_file_is_refused_or_computes_the_same(tmp_path: Path, whole: bytes) -> None:
    rng = random.Random(0)
    expected = module()(torch.from_numpy(example_input(SHAPE))).detach().numpy()
    for _ in range(40):
        damaged = bytearray(whole)
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        model = load(written(tmp_path / "m.pt2", bytes(damaged)))
        assert model is None or np.allclose(model.run(example_input(SHAPE)), expected, atol=1e-6)


@pytest.mark.parametrize("junk", [None, b"{}"], ids=["gone", "junk"])
@pytest.mark.parametrize(
    "member",
    ["models/model.json", "data/weights/model_weights_config.json", "data/weights/weight_0"],
)
def test_a_program_that_lacks_a_part_is_refused(
    tmp_path: Path, whole: bytes, member: str, junk: bytes | None
) -> None:
    original = tmp_path / "whole.pt2"
    original.write_bytes(whole)
    names = zipfile.ZipFile(original).namelist()
    assert any(name.endswith(member) for name in names)
    artifact = rewritten(
        tmp_path / "m.pt2",
        original,
        lambda name, contents: junk if name.endswith(member) else contents,
    )
    assert load(artifact) is None


class Convolutions(TorchDispatchMode):
    """Notes, for every convolution, whether its input and its weights are channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[bool, bool]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if "conv" in str(func):
            last = torch.channels_last
            self.seen.append(
                (
                    args[0].is_contiguous(memory_format=last) and not args[0].is_contiguous(),
                    args[1].is_contiguous(memory_format=last),
                )
            )
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_convolutions_meet_the_layout_of_the_target(
    tmp_path: Path, whole: bytes, layout: str
) -> None:
    target = Target.make("cpu", "torch", {"batch": 2, "layout": layout})
    model = TorchRuntime().load(written(tmp_path / "m.pt2", whole), target)
    with Convolutions() as convolutions:
        model.time_ms(warmup=0, runs=1)
        model.run(example_input(SHAPE))
    # Three convolutions, in the checked call, the timed one and the one that computes.
    assert len(convolutions.seen) == 9
    if layout == "channels_last":
        assert set(convolutions.seen) == {(True, True)}
    else:
        assert not any(inputs for inputs, _ in convolutions.seen)


@pytest.mark.parametrize(
    "key",
    [
        "mbconv/4x6x6/out=4,kernel=3,expand=3",
        "conv/3x9x7/out=5,kernel=3,stride=2",
        "depthwise_conv/6x8x8/kernel=5",
        "global_avg_pool/8x5x5/",
        "linear/12/out=3",
    ],
)
def test_channels_last_computes_what_contiguous_computes(tmp_path: Path, key: str) -> None:
    spec = OpSpec.parse(key)
    torch.manual_seed(0)
    net = build_op(spec).eval()
    shape = (1, *spec.input_shape)
    artifact = written(tmp_path / "m.pt2", torch_export_bytes(net, spec.input_shape), shape)
    inputs = example_input(shape)
    target = Target.make("cpu", "torch", {"layout": "channels_last"})
    output = TorchRuntime().load(artifact, target).run(inputs)
    with torch.no_grad():
        assert np.allclose(output, net(torch.from_numpy(inputs)).numpy(), atol=1e-4)
    assert output.flags.c_contiguous


def test_a_processor_captures_no_graph(tmp_path: Path, whole: bytes) -> None:
    target = Target.make("cpu", "torch", {"batch": 2, "graph": "on"})
    with pytest.raises(ArtifactError, match=r"graph=on is an option of GPUs\. Try: graph=off"):
        TorchRuntime().load(written(tmp_path / "m.pt2", whole), target)
