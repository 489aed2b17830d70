"""From a TFLite file to its kernels.

XNNPACK shows nobody what it makes of a file. So the operators of the file as written are the
kernels, but for two things that XNNPACK does to them, both seen in latencies: a PAD of zeros
before a convolution becomes part of it, and so does an activation behind one.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from devices.base import GraphDevice
from devices.errors import ArtifactError, InputError
from devices.target import Target
from profiler.builders.tflite_graph import TYPE_NAMES
from profiler.kernels.graph import Kernel
from profiler.kernels.network_file import NetworkFile
from profiler.kernels.spec import (
    LITERT,
    Attribute,
    KernelSpec,
    Operand,
    Scalar,
    is_plain_text,
)
from profiler.kernels.tflite_file import (
    constant_bytes,
    is_dynamic,
    main_graph,
    operator_name,
    parsed,
    shape_of,
    text_of,
    type_name,
)

DOMAIN = "tflite"
OPTIONS = "options"
"""Attribute that names the class of an operator's options."""
PADS = "pads"
"""Attribute of a convolution with a PAD in it: top, left, bottom, right."""
ACTIVATION = "fusedActivationFunction"

_MOST_INTEGERS = 32
_MOST_FLOATS = 8
# What these take as floats says what they do; of all others, floats are weights.
_TOLD_BY_FLOATS = {"PADV2", "POW", "FILL", "RANGE", "MIRROR_PAD"}
_PADDED = {"CONV_2D", "DEPTHWISE_CONV_2D"}
_ACTIVATED = {*_PADDED, "FULLY_CONNECTED"}
_ACTIVATIONS = {
    name: getattr(schema.ActivationFunctionType, name) for name in ("RELU", "RELU6", "RELU_N1_TO_1")
}


@dataclass
class _Node:
    """An operator, with what XNNPACK takes into it.

    Attributes:
        operator: its name.
        version: of the operator.
        inputs: tensors; -1 for one that is left out.
        outputs: tensors.
        attributes: fields of its options that are not as they are by default.
        objection: why the options cannot stand in a key.
    """

    operator: str
    version: int
    inputs: list[int]
    outputs: list[int]
    attributes: dict[str, Attribute] = field(default_factory=dict)
    objection: str = ""


def take_apart_tflite(network: NetworkFile, device: GraphDevice, target: Target) -> list[Kernel]:
    """The kernels of a network in a TFLite file, in the order of the file.

    Args:
        network: the file.
        device: opened; its runtime loads the file once.
        target: on that device.

    Raises:
        ArtifactError: the runtime cannot load the file.
        InputError: the runtime does not load such files.
    """
    name = str(network.path)
    contents = device.optimised(network.contents, target, name)
    return tflite_kernels(contents, name)


def tflite_kernels(contents: bytes, name: str) -> list[Kernel]:
    """The kernels of a TFLite file, in its order.

    Args:
        contents: of the file.
        name: what errors call it.

    Raises:
        ArtifactError: a file that cannot be taken apart.
    """
    model = parsed(contents, name)
    graph = main_graph(model, name)
    try:
        nodes = _fused([_node(model, each) for each in graph.operators], model, contents)
        return [_kernel(node, model, contents) for node in nodes]
    except (IndexError, TypeError, AttributeError) as error:
        raise ArtifactError(
            f"{name} cannot be taken apart",
            "it points to what it does not hold",
            "convert it again",
        ) from error


def _numbers(values: Any) -> list[int]:
    return [] if values is None else [int(each) for each in values]


def _node(model: Any, node: Any) -> _Node:
    version = int(model.operatorCodes[node.opcodeIndex].version)
    ends = _numbers(node.inputs), _numbers(node.outputs)
    found = _Node(operator_name(model, node), version, *ends)
    try:
        found.attributes = _attributes(node)
    except InputError as error:
        found.objection = str(error)
    return found


def _attributes(node: Any) -> dict[str, Attribute]:
    """The options of an operator.

    Raises:
        InputError: they cannot stand in a key.
    """
    if node.builtinOptions2 is not None or node.customOptions is not None:
        raise InputError("its options are of a kind that Lutier does not know")
    options = node.builtinOptions
    if options is None:
        return {}
    default = vars(type(options)())
    found: dict[str, Attribute] = {OPTIONS: type(options).__name__.removesuffix("T")}
    for name, value in vars(options).items():
        if isinstance(value, list | tuple | np.ndarray):
            found[name] = tuple(_scalar(name, each) for each in value)
        elif value is not None and value != default[name]:
            found[name] = _scalar(name, value)
    return found


def _scalar(name: str, value: object) -> Scalar:
    if isinstance(value, bool | int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        # A float32 as the shortest decimal that is it.
        return float(str(np.float32(value)))
    if isinstance(value, bytes) and is_plain_text(text_of(value)):
        return text_of(value)
    raise InputError(f"its option {name[:80]} is no plain value")


def _fused(nodes: list[_Node], model: Any, contents: bytes) -> list[_Node]:
    """The same without those that XNNPACK takes into another one."""
    graph = model.subgraphs[0]
    taken = Counter(number for node in nodes for number in set(node.inputs))
    taken.update(_numbers(graph.outputs))
    makers: dict[int, _Node] = {}
    found: list[_Node] = []
    for node in nodes:
        before = makers.get(node.inputs[0]) if node.inputs else None
        if before is not None and taken[node.inputs[0]] == 1:
            amounts = _amounts(before, node, model, contents)
            if amounts is not None:
                found.remove(before)
                node.inputs[0] = before.inputs[0]
                node.attributes[PADS] = amounts
            elif _activates(before, node):
                before.attributes[ACTIVATION] = _ACTIVATIONS[node.operator]
                before.outputs = node.outputs
                makers |= dict.fromkeys(node.outputs, before)
                continue
        found.append(node)
        makers |= dict.fromkeys(node.outputs, node)
    return found


def _activates(before: _Node, node: _Node) -> bool:
    """Whether a node is the activation of the one before it."""
    is_free = ACTIVATION not in before.attributes and OPTIONS in before.attributes
    return node.operator in _ACTIVATIONS and before.operator in _ACTIVATED and is_free


def _amounts(
    pad: _Node, convolution: _Node, model: Any, contents: bytes
) -> tuple[int, int, int, int] | None:
    """What a PAD adds at the top, left, bottom and right; None where it stays on its own."""
    is_valid = convolution.attributes.get("padding", 0) == schema.Padding.VALID
    if pad.operator != "PAD" or convolution.operator not in _PADDED or not is_valid:
        return None
    tensor = model.subgraphs[0].tensors[pad.inputs[1]]
    data = constant_bytes(model, contents, tensor)
    if data is None or type_name(tensor) != "int32" or len(data) != 4 * 4 * 2:
        return None
    before, after = np.frombuffer(data, np.int32).reshape(4, 2).T.tolist()
    if any((before[0], after[0], before[3], after[3])):
        return None
    return before[1], before[2], after[1], after[2]


def _kernel(node: _Node, model: Any, contents: bytes) -> Kernel:
    tensors = model.subgraphs[0].tensors
    kind = f"{DOMAIN}:{node.operator}"
    name = text_of(tensors[node.outputs[0]].name) if node.outputs else ""
    if node.objection or not node.outputs:
        return Kernel(name, kind, None, node.objection or "it makes no tensor")
    try:
        spec = KernelSpec(
            DOMAIN,
            node.operator,
            node.version,
            tuple(_operand(number, node.operator, model, contents) for number in node.inputs),
            tuple(_operand(number, node.operator, model, contents) for number in node.outputs),
            tuple(sorted(node.attributes.items())),
            LITERT,
        )
        # Names and values that a key cannot hold, or keys that are too long, show here.
        KernelSpec.parse(spec.key)
    except InputError as error:
        return Kernel(name, kind, None, str(error))
    return Kernel(name, kind, spec)


def _operand(number: int, operator: str, model: Any, contents: bytes) -> Operand | None:
    if number < 0:
        return None
    tensor = model.subgraphs[0].tensors[number]
    name, kind, shape = text_of(tensor.name), type_name(tensor), shape_of(tensor)
    if kind not in TYPE_NAMES.values():
        raise InputError(f"{name} is of type {kind}")
    if tensor.sparsity is not None:
        raise InputError(f"{name} is sparse")
    data = constant_bytes(model, contents, tensor)
    if data is None:
        if is_dynamic(tensor) or any(size < 0 for size in shape):
            raise InputError(f"{name} is of no fixed shape")
        return Operand(shape, kind)
    return Operand(shape, kind, True, _values(data, shape, kind, operator))


def _values(
    data: bytes, shape: tuple[int, ...], kind: str, operator: str
) -> tuple[int | float, ...]:
    """The values of a constant that says what is to be done."""
    is_float = kind.startswith("float")
    count = int(np.prod(shape, dtype=np.int64))
    if is_float and operator not in _TOLD_BY_FLOATS:
        return ()
    if count > (_MOST_FLOATS if is_float else _MOST_INTEGERS):
        return ()
    if len(data) != count * np.dtype(kind).itemsize:
        raise InputError("a constant does not hold what its shape says")
    values: npt.NDArray[Any] = np.frombuffer(data, kind)
    return tuple(float(str(each)) if is_float else int(each) for each in values)
