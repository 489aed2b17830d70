from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter

from profiler.builders.export import INPUT_NAME, onnx_bytes
from profiler.builders.tflite import tflite_bytes
from profiler.ops import OpSpec
from search.spaces.cell import Cell
from search.spaces.nasbench201 import NasBench201


def test_the_output_is_the_sum_of_the_edges_into_the_last_node() -> None:
    skip, pool = OpSpec.make("identity", (2, 4, 4)), OpSpec.make("avg_pool", (2, 4, 4), kernel=3)
    cell = Cell([skip, pool, None, skip, skip, skip])
    x = torch.randn(1, 2, 4, 4)
    average = torch.nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    assert torch.allclose(cell(x), 2 * x + average)


def test_edges_that_give_nothing_have_no_module() -> None:
    assert not list(Cell([None] * 6).edges)


SPACE = NasBench201(channels=2, cells=2, classes=3, resolution=8)


def network(code: str) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = SPACE.build(SPACE.architecture([int(digit) for digit in code]))
        # Statistics of some batches, so that batch norm is not what it was made with.
        for _ in range(3):
            model(torch.randn(4, *SPACE.input_shape))
    return model.eval()


@pytest.mark.parametrize("code", ["333333", "312043", "000100", "301402", "333000", "111111"])
def test_a_file_computes_what_the_network_does(code: str) -> None:
    model = network(code)
    session = onnxruntime.InferenceSession(onnx_bytes(model, SPACE.input_shape, batch=2))
    x = torch.randn(2, *SPACE.input_shape, generator=torch.Generator().manual_seed(1))
    (found,) = session.run(None, {INPUT_NAME: x.numpy()})
    with torch.no_grad():
        assert np.allclose(found, model(x).numpy(), atol=1e-5)


@pytest.mark.parametrize("code", ["333333", "312043", "000100", "301402", "333000"])
def test_a_tflite_file_computes_what_the_network_does(code: str) -> None:
    model = network(code)
    interpreter = Interpreter(model_content=tflite_bytes(model, SPACE.input_shape, batch=2))
    interpreter.allocate_tensors()
    x = torch.randn(2, *SPACE.input_shape, generator=torch.Generator().manual_seed(1))
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x.permute(0, 2, 3, 1))
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    with torch.no_grad():
        assert np.allclose(found, model(x).numpy(), atol=1e-5)


@pytest.mark.parametrize("code", ["333333", "301402", "333000", "222414"])
def test_a_file_holds_the_ops_of_the_network_and_no_others(code: str) -> None:
    architecture = SPACE.architecture([int(digit) for digit in code])
    graph = onnx.load_from_string(onnx_bytes(network(code), SPACE.input_shape)).graph
    kinds = [node.op_type for node in graph.node]
    ops = SPACE.ops(architecture)
    convolutions = sum(1 if op.kind in ("conv", "relu_conv") else 0 for op in ops)
    blocks = sum(op.kind == "residual_block" for op in ops)
    assert kinds.count("Conv") == convolutions + 3 * blocks
    assert kinds.count("AveragePool") == sum(op.kind == "avg_pool" for op in ops) + blocks
