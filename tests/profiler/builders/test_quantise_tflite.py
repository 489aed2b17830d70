"""TFLite files in int8: close to the float model, and every tensor of it bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter
from op_examples import KEYS, inputs, trained
from torch import nn

from devices.artifact import Artifact
from devices.errors import ArtifactError
from devices.runtimes.litert import LiteRt
from devices.target import Target
from profiler.builders.modules import build_chain, build_op
from profiler.builders.quantise_tflite import int8_tflite_bytes
from profiler.builders.tflite import nhwc, tflite_bytes
from profiler.ops import OpSpec

TARGET = Target.make("cpu", "litert", {"precision": "int8"})
CHAIN = [
    "conv/3x32x32/out=8,kernel=3,stride=2",
    "mbconv/8x16x16/out=8,kernel=3,expand=3",
    "max_pool/8x16x16/kernel=3",
    "mbconv/8x16x16/out=12,kernel=5,stride=2,expand=6",
    "conv/12x8x8/out=20,kernel=1",
    "global_avg_pool/20x8x8/",
    "linear/20/out=10",
]


def channels_last(x: torch.Tensor) -> npt.NDArray[np.float32]:
    array: npt.NDArray[np.float32] = x.permute(0, 2, 3, 1).numpy() if x.ndim == 4 else x.numpy()
    return np.ascontiguousarray(array)


def quantised(module: nn.Module, shape: tuple[int, ...], batch: int = 1) -> bytes:
    samples = [channels_last(inputs(shape, batch))]
    return int8_tflite_bytes(tflite_bytes(module, shape, batch), samples)


def check_close(tmp_path: Path, module: nn.Module, shape: tuple[int, ...], batch: int) -> None:
    """The outputs point the same way as torch's: a cosine of 0.98 at the least."""
    x = inputs(shape, batch)
    with torch.inference_mode():
        expected = channels_last(module(x))
    path = tmp_path / "op.tflite"
    path.write_bytes(quantised(module, shape, batch))
    artifact = Artifact(path, "op", "tflite", nhwc(shape, batch), "0" * 64)
    given = LiteRt().load(artifact, TARGET).run(channels_last(x))
    assert given.shape == expected.shape
    assert given.dtype == np.float32
    if not expected.any():
        assert not given.any()
        return
    product = float((given * expected).sum())
    assert product > 0.98 * float(np.linalg.norm(given)) * float(np.linalg.norm(expected))
    assert np.abs(given - expected).max() < 0.1 * np.abs(expected).max()


def opened(contents: bytes) -> Any:
    return Interpreter(model_content=contents, num_threads=1)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("key", KEYS)
def test_an_op_is_close_to_the_float_op(tmp_path: Path, key: str, batch: int) -> None:
    spec = OpSpec.parse(key)
    check_close(tmp_path, trained(build_op(spec)), spec.input_shape, batch)


def test_a_network_is_close_to_the_float_network(tmp_path: Path) -> None:
    specs = [OpSpec.parse(key) for key in CHAIN]
    check_close(tmp_path, trained(build_chain(specs)), specs[0].input_shape, 2)


@pytest.mark.parametrize("key", KEYS)
def test_every_operator_takes_and_gives_bytes(key: str) -> None:
    spec = OpSpec.parse(key)
    interpreter = opened(quantised(trained(build_op(spec)), spec.input_shape))
    types = {tensor["dtype"] for tensor in interpreter.get_tensor_details()}
    # int32: biases, and what is no activation, such as a shape.
    assert types <= {np.int8, np.int32}
    names = {entry["op_name"] for entry in interpreter._get_ops_details()}
    assert not names & {"QUANTIZE", "DEQUANTIZE", "CAST"}
    for end in (*interpreter.get_input_details(), *interpreter.get_output_details()):
        assert end["dtype"] == np.int8


def test_weights_have_a_scale_for_every_channel() -> None:
    spec = OpSpec.parse("conv/3x8x8/out=16,kernel=3")
    interpreter = opened(quantised(trained(build_op(spec)), spec.input_shape))
    weights = [t for t in interpreter.get_tensor_details() if list(t["shape"]) == [16, 3, 3, 3]]
    assert [len(t["quantization_parameters"]["scales"]) for t in weights] == [16]


def test_a_network_has_the_operators_of_the_float_network() -> None:
    specs = [OpSpec.parse(key) for key in CHAIN]
    module = trained(build_chain(specs))
    files = (tflite_bytes(module, (3, 32, 32)), quantised(module, (3, 32, 32)))
    before, after = ([e["op_name"] for e in opened(f)._get_ops_details()] for f in files)
    assert before == after


def test_the_same_model_gives_the_same_file() -> None:
    spec = OpSpec.parse("mbconv/8x16x16/out=8,kernel=3,expand=6")
    module = trained(build_op(spec))
    assert quantised(module, spec.input_shape) == quantised(module, spec.input_shape)


def test_an_operator_without_a_kernel_on_bytes_is_refused() -> None:
    with pytest.raises(ArtifactError, match="RELU6 cannot be quantised to int8"):
        quantised(nn.ReLU6(), (4, 5, 5))


def test_nothing_is_said_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    # Deep enough for the quantiser to think that somebody watches.
    blocks = ["mbconv/4x4x4/out=4,kernel=3,expand=2"] * 12
    specs = [OpSpec.parse(key) for key in blocks]
    quantised(trained(build_chain(specs)), (4, 4, 4))
    assert capsys.readouterr() == ("", "")
