"""A file that runs one kernel, several times over."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper, numpy_helper

from devices.runtimes.onnxruntime import AS_IT_STANDS
from profiler.kernels.spec import KernelSpec, Operand

_IR_VERSION = 10
_OPSET = 17
# The runtime writes the output of these over an input that nobody needs any more.
_IN_PLACE = {
    *("Add", "Sub", "Mul", "Relu", "LeakyRelu", "Clip", "Sigmoid", "Tanh", "HardSigmoid"),
    *("HardSwish", "Elu", "Sum"),
}
_SUMMAND = 3
"""Which input of a fused convolution is added to what it computes, and written over."""


def kernel_bytes(spec: KernelSpec | None) -> bytes:
    """An ONNX file that runs a kernel :attr:`~KernelSpec.copies` times, each with its own weights.

    Nobody takes what the copies compute, so that they leave no output to be kept and views of a
    tensor stay views; the output of the file is that of a node of its own. A kernel that writes
    over one of its inputs is given the output of the copy before it.

    Args:
        spec: what to run; None for the file without any, which shows what a call costs.

    Returns:
        The file. Its one input is float32, of the shape that :func:`input_shape` gives; the file
        is marked to be loaded as it stands. Values are drawn from a seed made of the key.
    """
    inputs = spec.inputs if spec else ()
    draw = Values(np.random.default_rng(zlib.crc32(spec.key.encode()) if spec else 0))
    fed = fed_input(spec)
    # A weight that is listed among the inputs could be replaced: nothing is prepared for it.
    stored: list[TensorProto] = [numpy_helper.from_array(np.ones(1, np.float32), "one")]
    listed = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, input_shape(spec)),
        helper.make_tensor_value_info("one", TensorProto.FLOAT, (1,)),
    ]
    names: dict[int, str] = {}
    for i, operand in enumerate(inputs):
        if i == fed:
            names[i] = "x"
        elif operand is None:
            names[i] = ""
        elif not operand.is_weight or operand.values:
            names[i] = f"given{i}"
            stored.append(numpy_helper.from_array(draw.of(operand), names[i]))
            if not operand.is_weight:
                kind = stored[-1].data_type
                listed.append(helper.make_tensor_value_info(names[i], kind, operand.shape))
    nodes = []
    chained = _chained(spec) if spec else None
    for copy in range(spec.copies if spec else 0):
        given = dict(names)
        for i, operand in enumerate(inputs):
            if i not in given and operand is not None:
                given[i] = f"weight{copy}_{i}"
                stored.append(numpy_helper.from_array(draw.of(operand), given[i]))
        if chained is not None and copy:
            given[chained] = f"out{copy - 1}_0"
        nodes.append(_node(spec, copy, [given[i] for i in range(len(inputs))]))
    nodes.append(helper.make_node("Identity", ["one"], ["end"]))
    graph = helper.make_graph(
        nodes,
        "kernel",
        listed,
        [helper.make_tensor_value_info("end", TensorProto.FLOAT, (1,))],
        stored,
    )
    model = helper.make_model(graph, opset_imports=_opsets(spec), ir_version=_IR_VERSION)
    helper.set_model_props(model, {AS_IT_STANDS: "kernel"})
    contents: bytes = model.SerializeToString()
    return contents


def input_shape(spec: KernelSpec | None) -> tuple[int, ...]:
    """Shape of the input of a kernel's file: the first float32 tensor that other nodes make."""
    fed = fed_input(spec)
    operand = spec.inputs[fed] if spec and fed is not None else None
    return operand.shape if operand is not None else (1,)


def fed_input(spec: KernelSpec | None) -> int | None:
    """Which input is that of the file."""
    for i, operand in enumerate(spec.inputs if spec else ()):
        if operand is not None and not operand.is_weight and operand.type_name == "float32":
            return i
    return None


def _chained(spec: KernelSpec) -> int | None:
    """Which input is the output of the copy before."""
    out = spec.outputs[0] if spec.outputs else None
    fits = [
        operand is not None and operand == out and not operand.is_weight for operand in spec.inputs
    ]
    if "Conv" in spec.op_type:
        return _SUMMAND if len(fits) > _SUMMAND and fits[_SUMMAND] else None
    if spec.op_type in _IN_PLACE and True in fits:
        return fits.index(True)
    return None


def _node(spec: KernelSpec | None, copy: int, inputs: list[str]) -> Any:
    assert spec is not None  # noqa: S101
    outputs = ["" if out is None else f"out{copy}_{i}" for i, out in enumerate(spec.outputs)]
    attributes: dict[str, Any] = dict(spec.attributes)
    domain = "" if spec.domain == "onnx" else spec.domain
    return helper.make_node(spec.op_type, inputs, outputs, domain=domain, **attributes)


def _opsets(spec: KernelSpec | None) -> list[Any]:
    if spec is None:
        return [helper.make_opsetid("", _OPSET)]
    if spec.domain == "onnx":
        return [helper.make_opsetid("", spec.version)]
    return [helper.make_opsetid("", _OPSET), helper.make_opsetid(spec.domain, spec.version)]


class Values:
    """Values that no kernel takes longer for, or fails on."""

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator

    def of(self, operand: Operand) -> npt.NDArray[Any]:
        """Those of one operand, of its shape and type."""
        if operand.values:
            return np.array(operand.values, operand.type_name).reshape(operand.shape)
        if not operand.type_name.startswith("float"):
            return np.zeros(operand.shape, operand.type_name)
        if len(operand.shape) < 2:
            # Biases, scales, variances.
            return self._generator.uniform(0.5, 1.5, operand.shape).astype(operand.type_name)
        values = self._generator.standard_normal(operand.shape, np.float32)
        if operand.is_weight:
            values /= np.sqrt(np.prod(operand.shape[1:], dtype=np.float32))
        return values.astype(operand.type_name)


_CHANNELS, _PIXELS = 256, 4
CONVOLUTION_BYTES = 4 * _CHANNELS**2
"""Weights of one convolution of :func:`crowded_bytes`."""
CROWDED_SHAPE = (1, _CHANNELS, _PIXELS, _PIXELS)
_FEATURES = 512
PRODUCT_BYTES = 4 * _FEATURES**2
"""Weights of one product of :func:`crowded_product_bytes`."""
PRODUCT_SHAPE = (1, _FEATURES)


def crowded_bytes(convolutions: int) -> bytes:
    """An ONNX file that shows what weights cost where a cache has no room for them.

    Convolutions one after the other, of few pixels, so that much of the time goes to reading
    weights, and of a size that networks have: weights of one large piece stay in a cache for
    longer than many small ones. Files of more and more of them take longer for each as soon as a
    run no longer finds the weights that the run before it has read. The file is optimised like
    that of any network.

    Args:
        convolutions: how many; the input is of shape :data:`CROWDED_SHAPE`.
    """
    weights = (_CHANNELS, _CHANNELS, 1, 1)
    return _chain("Conv", convolutions, weights, CROWDED_SHAPE, {"kernel_shape": [1, 1]})


def crowded_product_bytes(products: int) -> bytes:
    """The same of products of a matrix and a vector, which read their weights in one go.

    Args:
        products: how many; the input is of shape :data:`PRODUCT_SHAPE`.
    """
    return _chain("Gemm", products, (_FEATURES, _FEATURES), PRODUCT_SHAPE, {"transB": 1})


def _chain(
    op_type: str,
    count: int,
    weights: tuple[int, ...],
    shape: tuple[int, ...],
    attributes: dict[str, Any],
) -> bytes:
    """A file of one node after the other, each with weights of its own."""
    generator = np.random.default_rng(0)
    scale = np.float32(weights[1]) ** -0.5
    stored, nodes = [], []
    for i in range(count):
        values = generator.standard_normal(weights, np.float32) * scale
        stored.append(numpy_helper.from_array(values, f"weight{i}"))
        ends = ([f"t{i}", f"weight{i}"], [f"t{i + 1}"])
        nodes.append(helper.make_node(op_type, *ends, **attributes))
    graph = helper.make_graph(
        nodes,
        "crowded",
        [helper.make_tensor_value_info("t0", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(f"t{count}", TensorProto.FLOAT, shape)],
        stored,
    )
    opsets = [helper.make_opsetid("", _OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
    contents: bytes = model.SerializeToString()
    return contents
