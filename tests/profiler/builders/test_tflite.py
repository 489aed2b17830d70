"""Torch to TFLite: the file computes what the module computes in evaluation mode."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter
from op_examples import KEYS, inputs, trained
from torch import nn

from devices.errors import InputError
from profiler.builders.modules import build_chain, build_op
from profiler.builders.tflite import Graph, emit, tflite_bytes
from profiler.ops import OpSpec, kinds

NETWORK = [
    "conv/3x32x32/out=8,kernel=3,stride=2",
    "mbconv/8x16x16/out=8,kernel=3,expand=1",
    "mbconv/8x16x16/out=12,kernel=5,stride=2,expand=6",
    "mbconv/12x8x8/out=12,kernel=7,expand=3",
    "conv/12x8x8/out=20,kernel=1",
    "global_avg_pool/20x8x8/",
    "linear/20/out=10",
]


def opened(data: bytes) -> Any:
    return Interpreter(model_content=data, num_threads=1)


def run(data: bytes, x: torch.Tensor) -> npt.NDArray[np.float32]:
    """The file's output, its channels moved to where torch has them."""
    interpreter = opened(data)
    interpreter.allocate_tensors()
    given = x.permute(0, 2, 3, 1) if x.ndim == 4 else x
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], given.contiguous().numpy())
    interpreter.invoke()
    output = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return np.moveaxis(output, -1, 1) if output.ndim == 4 else output


def operators(data: bytes) -> list[str]:
    # Before tensors are allocated: afterwards the delegate's node is listed too.
    return [entry["op_name"] for entry in opened(data)._get_ops_details()]


def agree(given: npt.NDArray[np.float32], wanted: npt.NDArray[np.float32]) -> None:
    scale = max(float(np.abs(wanted).max()), 1e-6)
    np.testing.assert_allclose(given, wanted, rtol=1e-4, atol=1e-5 * scale)


def test_every_kind_of_op_is_written_here() -> None:
    assert {OpSpec.parse(key).kind for key in KEYS} == set(kinds())


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("key", KEYS)
def test_an_op_computes_what_torch_computes(key: str, batch: int) -> None:
    spec = OpSpec.parse(key)
    module = trained(build_op(spec))
    x = inputs(spec.input_shape, batch)
    with torch.inference_mode():
        agree(run(tflite_bytes(module, spec.input_shape, batch), x), module(x).numpy())


def test_a_network_computes_what_torch_computes() -> None:
    specs = [OpSpec.parse(key) for key in NETWORK]
    module = trained(build_chain(specs))
    x = inputs(specs[0].input_shape, 2)
    with torch.inference_mode():
        agree(run(tflite_bytes(module, specs[0].input_shape, 2), x), module(x).numpy())


def test_nothing_is_transposed_and_activations_are_fused() -> None:
    specs = [OpSpec.parse(key) for key in NETWORK]
    written = operators(tflite_bytes(trained(build_chain(specs)), specs[0].input_shape))
    wanted = {"PAD", "CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "MEAN", "FULLY_CONNECTED"}
    assert set(written) == wanted
    # Where SAME would pad an even image on one side only, and nowhere else.
    assert written.count("PAD") == 2


def test_an_odd_image_needs_no_padding_of_its_own() -> None:
    spec = OpSpec.parse("depthwise_conv/4x15x15/kernel=3,stride=2")
    assert operators(tflite_bytes(trained(build_op(spec)), spec.input_shape)) == [
        "DEPTHWISE_CONV_2D"
    ]


def test_zeros_are_zeros_whatever_comes_in() -> None:
    spec = OpSpec.parse("zero/2x4x4/stride=2")
    x = torch.full((1, 2, 4, 4), float("inf"))
    assert not run(tflite_bytes(build_op(spec), spec.input_shape), x).any()


class Doubled(nn.ReLU):
    """Not what its parent computes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(x)


@pytest.mark.parametrize(
    ("module", "says"),
    [
        (nn.Tanh(), "no writer"),
        (Doubled(), "something else than ReLU"),
        (nn.Conv2d(4, 4, 3, groups=2), "groups"),
        (nn.Conv2d(4, 4, 3, dilation=2), "dilated"),
        (nn.Conv2d(4, 4, 3, padding="same"), "same"),
        (nn.MaxPool2d(3, ceil_mode=True), "ceil_mode"),
        (nn.AvgPool2d(3, 1, 1), "counts its padding"),
    ],
)
def test_what_cannot_be_written_is_refused(module: nn.Module, says: str) -> None:
    with pytest.raises(InputError, match=says):
        tflite_bytes(module, (4, 8, 8))


def test_a_writer_can_be_registered() -> None:
    class Twice(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + x

    @emit.register(Twice)
    def _(module: Twice, graph: Graph, x: int) -> int:
        return graph.add("ADD", [x, x], graph.shape(x))

    x = inputs((2, 3, 3), 1)
    agree(run(tflite_bytes(Twice(), (2, 3, 3)), x), (x + x).numpy())
