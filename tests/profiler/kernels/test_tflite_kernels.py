"""TFLite files are taken apart into what XNNPACK runs."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from tflite_examples import convolution, padded, small

from profiler.builders.tflite_graph import Graph
from profiler.kernels.graph import Kernel
from profiler.kernels.spec import KernelSpec
from profiler.kernels.tflite_kernels import PADS, tflite_kernels

AROUND = [[0, 0], [1, 1], [1, 1], [0, 0]]


def kinds(kernels: list[Kernel]) -> list[str]:
    return [kernel.kind.removeprefix("tflite:") for kernel in kernels]


def test_the_operators_are_the_kernels_and_their_keys_parse_back() -> None:
    kernels = tflite_kernels(small(), "net")
    assert kinds(kernels) == ["CONV_2D", "CONV_2D", "ADD", "MEAN", "FULLY_CONNECTED"]
    specs = [kernel.spec for kernel in kernels if kernel.spec is not None]
    assert len(specs) == 5
    assert all(KernelSpec.parse(spec.key) == spec for spec in specs)
    assert all(spec.key.startswith("litert/tflite:") for spec in specs)
    assert specs[0].flops == 2 * 64 * 8 * 27
    assert specs[-1].flops == 2 * 8 * 10
    assert specs[-1].is_product


def test_a_pad_and_an_activation_are_part_of_the_convolution_between() -> None:
    first = tflite_kernels(small(), "net")[0].spec
    assert first is not None
    assert first.attribute(PADS, ()) == (1, 1, 1, 1)
    assert first.attribute("fusedActivationFunction", 0) == schema.ActivationFunctionType.RELU6
    assert first.inputs[0] is not None
    assert first.inputs[0].shape == (1, 8, 8, 3)


@pytest.mark.parametrize(
    "amounts", [[[0, 0], [1, 1], [1, 1], [0, 1]], [[0, 1], [1, 1], [1, 1], [0, 0]]]
)
def test_a_pad_of_channels_or_of_the_batch_stays_on_its_own(amounts: list[list[int]]) -> None:
    graph = Graph((1, 8, 8, 3))
    x = convolution(graph, padded(graph, graph.input, amounts), 4, kernel=3)
    assert kinds(tflite_kernels(graph.finish(x), "net")) == ["PAD", "CONV_2D"]


def test_what_somebody_else_takes_too_stays_on_its_own() -> None:
    graph = Graph((1, 8, 8, 3))
    pad = padded(graph, graph.input, AROUND)
    x = convolution(graph, pad, 4, kernel=3)
    after = graph.add("RELU", [x], graph.shape(x))
    found = tflite_kernels(graph.finish(after, pad, x), "net")
    assert kinds(found) == ["PAD", "CONV_2D", "RELU"]


def test_what_says_what_is_to_be_done_stands_in_the_key() -> None:
    graph = Graph((1, 4, 8))
    order = graph.constant(np.array([0, 2, 1], np.int32))
    x = graph.add("TRANSPOSE", [graph.input, order], (1, 8, 4), schema.TransposeOptionsT())
    shape = graph.constant(np.array([2, 16], np.int32))
    x = graph.add("RESHAPE", [x, shape], (2, 16), schema.ReshapeOptionsT())
    transpose, reshape = tflite_kernels(graph.finish(x), "net")
    assert transpose.spec is not None
    assert reshape.spec is not None
    assert transpose.spec.inputs[1] is not None
    assert transpose.spec.inputs[1].values == (0, 2, 1)
    assert "wi32:2=2;16" in reshape.spec.key


def test_a_tensor_of_no_fixed_shape_has_no_price_and_says_so() -> None:
    model = schema.ModelT.InitFromPackedBuf(small())
    from tflite_examples import changed

    def loosen(model: schema.ModelT) -> None:
        last = int(model.subgraphs[0].outputs[0])
        model.subgraphs[0].tensors[last].shapeSignature = np.array([-1, 10], np.int32)

    *_, last = tflite_kernels(changed(loosen), "net")
    assert model.subgraphs
    assert last.spec is None
    assert "no fixed shape" in last.objection
