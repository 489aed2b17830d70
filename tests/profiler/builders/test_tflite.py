"""Torch to TFLite: the file computes what the module computes in evaluation mode."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter
from op_examples import FBNET, FLOAT_KEYS, KEYS, NASBENCH201, inputs, trained
from torch import nn

from devices.errors import InputError
from profiler.builders.modules import build_chain, build_op
from profiler.builders.tflite import emit, tflite_bytes
from profiler.builders.tflite_graph import Graph
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
@pytest.mark.parametrize("key", [*KEYS, *FLOAT_KEYS])
def test_an_op_computes_what_torch_computes(key: str, batch: int) -> None:
    spec = OpSpec.parse(key)
    module = trained(build_op(spec))
    x = inputs(spec.input_shape, batch)
    with torch.inference_mode():
        agree(run(tflite_bytes(module, spec.input_shape, batch), x), module(x).numpy())


@pytest.mark.parametrize("keys", [NETWORK, FBNET, NASBENCH201], ids=["mobile", "fbnet", "201"])
def test_a_network_computes_what_torch_computes(keys: list[str]) -> None:
    specs = [OpSpec.parse(key) for key in keys]
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


def test_only_a_channel_shuffle_transposes() -> None:
    specs = [OpSpec.parse(key) for key in FBNET]
    written = operators(tflite_bytes(trained(build_chain(specs)), specs[0].input_shape))
    assert written.count("TRANSPOSE") == sum("groups=2" in key for key in FBNET) == 2
    specs = [OpSpec.parse(key) for key in NASBENCH201]
    written = operators(tflite_bytes(trained(build_chain(specs)), specs[0].input_shape))
    assert "TRANSPOSE" not in written


def test_a_batch_norm_takes_on_the_activation_behind_it() -> None:
    module = trained(build_op(OpSpec.parse("batch_norm/5x7x3/activation=relu")))
    assert operators(tflite_bytes(module, (5, 7, 3))) == ["MUL", "ADD"]


@pytest.mark.parametrize("key", ["mbconv/8x9x9/out=8,kernel=3,expand=3,groups=2", "add/5x7x3/"])
def test_the_delegate_takes_the_whole_op(key: str) -> None:
    spec = OpSpec.parse(key)
    interpreter = opened(tflite_bytes(trained(build_op(spec)), spec.input_shape))
    before = len(interpreter._get_ops_details())
    interpreter.allocate_tensors()
    names = [entry["op_name"] for entry in interpreter._get_ops_details()]
    assert names[before:] == ["DELEGATE"]


def test_what_is_added_to_a_batch_is_as_large_as_the_batch() -> None:
    module = build_op(OpSpec.parse("add/5x7x3/inputs=3"))
    interpreter = opened(tflite_bytes(module, (5, 7, 3), 4))
    constants = [d for d in interpreter.get_tensor_details() if d["name"].startswith("constant")]
    assert [list(d["shape"]) for d in constants] == [[4, 7, 3, 5]] * 2


@pytest.mark.parametrize(
    "module",
    [
        nn.Conv2d(4, 6, 3, padding=1, groups=2),
        nn.Conv2d(4, 8, 3, padding=1, groups=4),
        nn.BatchNorm2d(4, affine=False),
    ],
    ids=["in groups", "two filters a channel", "norm alone"],
)
def test_torchs_own_layers_can_be_written(module: nn.Module) -> None:
    x = inputs((4, 6, 5), 2)
    with torch.inference_mode():
        agree(run(tflite_bytes(trained(module), (4, 6, 5), 2), x), module(x).numpy())


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
        (nn.BatchNorm2d(4, track_running_stats=False), "without running statistics"),
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
