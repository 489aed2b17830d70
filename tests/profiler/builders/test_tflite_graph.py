"""Graph: what is put in is what a reader finds."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from profiler.builders.tflite_graph import FILE_IDENTIFIER, Graph


def test_a_file_is_marked_as_one_and_runs() -> None:
    graph = Graph((2, 3))
    other = graph.constant(np.array([[1, 2, 3], [4, 5, 6]], np.float32))
    data = graph.finish(graph.add("ADD", [graph.input, other], (2, 3), schema.AddOptionsT()))
    assert data[4:8] == FILE_IDENTIFIER
    interpreter = Interpreter(model_content=data, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.ones((2, 3), np.float32))
    interpreter.invoke()
    output = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    assert output.tolist() == [[2, 3, 4], [5, 6, 7]]


def test_a_tensor_has_the_shape_it_was_given() -> None:
    graph = Graph((1, 4, 4, 2))
    assert graph.shape(graph.input) == [1, 4, 4, 2]
    assert graph.shape(graph.add("RELU", [graph.input], (1, 4, 4, 2))) == [1, 4, 4, 2]


def test_an_operator_is_listed_once_however_often_it_is_used() -> None:
    graph = Graph((1, 4))
    x = graph.input
    for _ in range(3):
        x = graph.add("RELU", [x], (1, 4))
    model = schema.ModelT.InitFromPackedBuf(graph.finish(x))
    assert [code.builtinCode for code in model.operatorCodes] == [schema.BuiltinOperator.RELU]
    assert len(model.subgraphs[0].operators) == 3


def test_an_operator_that_tflite_lacks_is_no_operator() -> None:
    with pytest.raises(AttributeError, match="NO_SUCH"):
        Graph((1, 4)).add("NO_SUCH", [0], (1, 4))
