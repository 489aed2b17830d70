"""From the graph that a runtime runs to its kernels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, defs, numpy_helper

from devices.base import GraphDevice, Tensor
from devices.errors import InputError
from devices.target import Target
from profiler.kernels.network_file import NetworkFile
from profiler.kernels.spec import (
    Attribute,
    KernelSpec,
    Operand,
    Scalar,
    is_plain_text,
    is_type,
)

_MOST_INTEGERS = 32
_MOST_FLOATS = 8
# What these take as floats says what they do; of all others, floats are weights.
_TOLD_BY_FLOATS = {"Clip", "Pad", "Pow", "Resize", "Upsample", "QuantizeLinear", "DequantizeLinear"}


@dataclass(frozen=True)
class Kernel:
    """A node of a network.

    Attributes:
        name: of the node.
        kind: domain and operator.
        spec: what it is; None where it cannot be cut out.
        objection: why not.
    """

    name: str
    kind: str
    spec: KernelSpec | None
    objection: str = ""


def take_apart(network: NetworkFile, device: GraphDevice, target: Target) -> list[Kernel]:
    """The kernels of a network in a file, in the order of the graph.

    The device's runtime makes its own graph of the file, and runs it once with every tensor shown:
    shapes are as they are, whatever the runtime's operators.

    Args:
        network: the file.
        device: opened.
        target: on that device.

    Raises:
        ArtifactError: the runtime cannot load the file, or not run it.
        InputError: the runtime does not show its graph.
    """
    name = str(network.path)
    model = onnx.load_model_from_string(device.optimised(network.contents, target, name))
    tensors = dict(device.observed(exposed(model), target, name))
    types = {each.name: each.type.tensor_type.elem_type for each in model.graph.input}
    for key, shape in network.inputs.items():
        if key in types:
            dtype = onnx.helper.tensor_dtype_to_np_dtype(types[key])
            tensors[key] = Tensor(dtype.name, shape)
    return kernels_of(model, tensors)


def exposed(model: onnx.ModelProto) -> bytes:
    """The same model with every tensor among its outputs."""
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    known = {value.name for value in shown.graph.output}
    for node in shown.graph.node:
        for name in node.output:
            if name and name not in known:
                known.add(name)
                shown.graph.output.append(onnx.ValueInfoProto(name=name))
    contents: bytes = shown.SerializeToString()
    return contents


def kernels_of(model: onnx.ModelProto, tensors: Mapping[str, Tensor]) -> list[Kernel]:
    """The kernels of a graph, in its order.

    Args:
        model: as a runtime made it.
        tensors: type and shape of every input of the graph and every output of a node, by name.
    """
    weights = {each.name: each for each in model.graph.initializer}
    opsets = {each.domain or "onnx": each.version for each in model.opset_import}
    return [_kernel(node, weights, tensors, opsets) for node in model.graph.node]


def _kernel(
    node: onnx.NodeProto,
    weights: Mapping[str, TensorProto],
    tensors: Mapping[str, Tensor],
    opsets: Mapping[str, int],
) -> Kernel:
    domain = node.domain or "onnx"
    name, kind = node.name or node.output[0], f"{domain}:{node.op_type}"
    try:
        spec = KernelSpec(
            domain,
            node.op_type,
            _version(domain, node.op_type, opsets.get(domain, 1)),
            tuple(_operand(each, node.op_type, weights, tensors) for each in _trimmed(node.input)),
            tuple(_operand(each, node.op_type, {}, tensors) for each in _trimmed(node.output)),
            tuple(sorted((each.name, _attribute(each)) for each in node.attribute)),
        )
        # Names and values that a key cannot hold, or keys that are too long, show here.
        KernelSpec.parse(spec.key)
    except InputError as error:
        return Kernel(name, kind, None, str(error))
    return Kernel(name, kind, spec)


def _trimmed(names: Any) -> list[str]:
    """Without the inputs at the end that are left out."""
    given = list(names)
    while given and not given[-1]:
        given.pop()
    return given


def _version(domain: str, op_type: str, opset: int) -> int:
    """When the operator was last changed, so that files of several opsets share kernels."""
    if domain == "onnx" and defs.has(op_type):
        return int(defs.get_schema(op_type, max_inclusive_version=opset).since_version)
    return opset


def _operand(
    name: str, op_type: str, weights: Mapping[str, TensorProto], tensors: Mapping[str, Tensor]
) -> Operand | None:
    if not name:
        return None
    weight = weights.get(name)
    if weight is None:
        if name not in tensors or not is_type(tensors[name].type_name):
            raise InputError(f"{name[:80]} is no tensor of a plain type")
        return Operand(tensors[name].shape, tensors[name].type_name)
    type_name = onnx.helper.tensor_dtype_to_np_dtype(weight.data_type).name
    if not is_type(type_name):
        raise InputError(f"{name[:80]} is of type {type_name}")
    return Operand(tuple(weight.dims), type_name, True, _values(weight, type_name, op_type))


def _values(weight: TensorProto, type_name: str, op_type: str) -> tuple[int | float, ...]:
    """The values of a weight that says what is to be done."""
    is_float = type_name.startswith("float")
    count = int(np.prod(weight.dims, dtype=np.int64))
    if is_float and op_type not in _TOLD_BY_FLOATS:
        return ()
    if len(weight.dims) > 1 or count > (_MOST_FLOATS if is_float else _MOST_INTEGERS):
        return ()
    values = numpy_helper.to_array(weight).reshape(-1)
    return tuple(_plain(each) if is_float else int(each) for each in values)


def _plain(value: Any) -> float:
    """A float32 as the shortest decimal that is it."""
    return float(str(np.float32(value)))


def _attribute(attribute: onnx.AttributeProto) -> Attribute:
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, list | tuple):
        return tuple(_scalar(attribute.name, each) for each in value)
    return _scalar(attribute.name, value)


def _scalar(name: str, value: object) -> Scalar:
    if isinstance(value, bytes):
        text = value.decode("utf-8", "replace")
        if is_plain_text(text):
            return text
    elif isinstance(value, int):
        return value
    elif isinstance(value, float):
        return _plain(value)
    raise InputError(f"its attribute {name[:80]} is no plain value")
