"""Float ONNX file to int8 ONNX file, by ONNX Runtime's own quantiser.

Static quantisation after training: unsigned 8-bit activations, signed weights per output channel,
in QDQ form, which is what ONNX Runtime recommends for CPUs
(https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html). Unsigned
activations, because x86 multiplies unsigned by signed bytes, and ARM's kernels take both. Weights
have 7 bits: without VNNI instructions x86 adds such products in 16 bits, and 8 would overflow them.

Input and output are 8-bit and, where the model convolves, images are channels last: ONNX Runtime
convolves bytes channels last, and turns them round at both ends of a file with its channels first.
A network does that once or never; a sum of ops would count it once an op.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from devices.errors import ArtifactError
from profiler.builders.export import INPUT_NAME, OUTPUT_NAME

FloatArray = npt.NDArray[np.float32]

# Shapes are inferred by our writer; without this mark the quantiser would do it again, by way of
# a file.
_INFERRED = ("onnx.infer", "onnxruntime.quant")
_QUANTISE, _DEQUANTISE = "QuantizeLinear", "DequantizeLinear"
# The quantiser has no rule of its own for these; its general one, an 8-bit tensor at every end,
# fits them.
_ALSO_QUANTISED = ("ConstantOfShape", "Identity")
# What ONNX Runtime computes on bytes, or (the last two rows) leaves out by its choice of scales and
# at loading. The quantiser accepts more, and the rest would run in float between two conversions.
_ON_BYTES = {
    *("Conv", "Gemm", "MatMul", "Add", "Mul", "AveragePool", "GlobalAveragePool", "MaxPool"),
    *("Concat", "Flatten", "Gather", "Reshape", "Slice", "Split", "Squeeze", "Transpose"),
    *("Clip", "Relu"),
    *("ConstantOfShape", "Identity", "Shape"),
}


def int8_onnx_bytes(
    contents: bytes, samples: Sequence[FloatArray]
) -> tuple[bytes, tuple[int, ...]]:
    """The int8 file of a float ONNX file.

    Args:
        contents: as ``onnx_bytes`` writes it: shapes inferred, one input and one output.
        samples: inputs, each of the shape of the model's input, from which the ranges of
            activations are taken: the smallest and the largest value.

    Returns:
        The file, and the shape of its input. Input and output are uint8; its metadata hold
        ``input_scale``, ``input_zero_point``, ``output_scale`` and ``output_zero_point``: a real
        value is ``scale * (byte - zero_point)``.

    Raises:
        ArtifactError: an operator that would compute in float.
    """
    from onnxruntime.quantization import CalibrationMethod, QDQQuantizer, QuantType, TensorsData
    from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

    model = onnx.load_from_string(contents)
    _write_norms_as_convolutions(model.graph)
    ranges = _ranges(model, samples)
    types = {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    model.metadata_props.add(key=_INFERRED[0], value=_INFERRED[1])
    for number, node in enumerate(model.graph.node):
        # The quantiser keeps its accounts by the names of nodes.
        node.name = f"n{number}"
    quantiser = QDQQuantizer(
        model,
        per_channel=True,
        reduce_range=True,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, ranges),
        nodes_to_quantize=[],
        nodes_to_exclude=[],
        op_types_to_quantize=[*QDQRegistry, *QLinearOpsRegistry, *_ALSO_QUANTISED],
        # Pooling and reshaping are quantised wherever they stand, not only behind a convolution.
        extra_options={"ForceQuantizeNoInputCheck": True},
    )
    # By itself it would leave an activation in float that nothing stands before.
    quantiser.quantize_activation_tensor(INPUT_NAME)
    quantiser.quantize_model()
    quantiser.model.topological_sort()
    quantised: onnx.ModelProto = quantiser.model.model
    _strip_borders(quantised)
    _refuse_floats(quantised.graph, types)
    if any(node.op_type == "Conv" for node in quantised.graph.node):
        _put_channels_last(quantised.graph)
    quantised.producer_name = "lutier"
    onnx.checker.check_model(quantised)
    sizes = quantised.graph.input[0].type.tensor_type.shape.dim
    return bytes(quantised.SerializeToString()), tuple(size.dim_value for size in sizes)


def _write_norms_as_convolutions(graph: onnx.GraphProto) -> None:
    """Write a batch norm that follows no convolution as one of each channel with itself.

    There is no batch norm on bytes.
    """
    constants = {each.name: each for each in graph.initializer}
    for number, node in enumerate(graph.node):
        if node.op_type != "BatchNormalization" or any(n not in constants for n in node.input[1:]):
            continue
        scale, shift, mean, variance = (
            numpy_helper.to_array(constants[name]).astype(np.float64) for name in node.input[1:]
        )
        epsilon = next((each.f for each in node.attribute if each.name == "epsilon"), 1e-5)
        weight = scale / np.sqrt(variance + epsilon)
        arrays = (weight[:, None, None, None], shift - mean * weight)
        names = [f"norm{number}_{part}" for part in ("weight", "bias")]
        for name, array in zip(names, arrays, strict=True):
            graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), name))
        convolution = helper.make_node(
            "Conv", [node.input[0], *names], list(node.output), group=len(weight)
        )
        node.CopyFrom(convolution)


def _ranges(
    model: onnx.ModelProto, samples: Sequence[FloatArray]
) -> dict[str, tuple[np.float32, np.float32]]:
    """Smallest and largest value of every float activation, over all samples."""
    import onnxruntime

    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    watched.graph.output.extend(
        value
        for value in model.graph.value_info
        if value.type.tensor_type.elem_type == TensorProto.FLOAT and value.name != OUTPUT_NAME
    )
    options = onnxruntime.SessionOptions()
    # One thread: the same model gives the same file on every machine of a kind.
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        watched.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    ranges: dict[str, tuple[np.float32, np.float32]] = {}
    for sample in samples:
        tensors = [sample, *session.run(names, {INPUT_NAME: sample})]
        for name, tensor in zip([INPUT_NAME, *names], tensors, strict=True):
            low, high = ranges.get(name, (np.float32(math.inf), np.float32(-math.inf)))
            ranges[name] = (min(low, tensor.min()), max(high, tensor.max()))
    return ranges


def _strip_borders(model: onnx.ModelProto) -> None:
    """Make input and output 8-bit: no node turns floats into bytes or back."""
    graph = model.graph
    constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    renamed: dict[str, str] = {}
    for node in list(graph.node):
        is_first = node.op_type == _QUANTISE and node.input[0] == INPUT_NAME
        is_last = node.op_type == _DEQUANTISE and node.output[0] == OUTPUT_NAME
        if not (is_first or is_last):
            continue
        border, inner = (INPUT_NAME, node.output[0]) if is_first else (OUTPUT_NAME, node.input[0])
        renamed[inner] = border
        value = graph.input[0] if is_first else graph.output[0]
        scale, zero_point = (constants[name] for name in node.input[1:])
        value.type.tensor_type.elem_type = helper.np_dtype_to_tensor_dtype(zero_point.dtype)
        model.metadata_props.add(key=f"{border}_scale", value=repr(float(scale)))
        model.metadata_props.add(key=f"{border}_zero_point", value=str(int(zero_point)))
        graph.node.remove(node)
    for node in graph.node:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                names[i] = renamed.get(name, name)
    takers = {node.op_type for node in graph.node if INPUT_NAME in node.input}
    if takers == {"Shape"} and graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT:
        # Only its size is looked at: any bytes will do.
        graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
        model.metadata_props.add(key=f"{INPUT_NAME}_scale", value="1.0")
        model.metadata_props.add(key=f"{INPUT_NAME}_zero_point", value="0")
    # Those of the float graph no longer hold.
    del graph.value_info[:]


def _refuse_floats(graph: onnx.GraphProto, types: dict[str, int]) -> None:
    """Raise where an operator does not stand between bytes.

    Args:
        graph: quantised, borders stripped.
        types: of the tensors of the float graph, by name.
    """
    makers = {name: node.op_type for node in graph.node for name in node.output}
    takers: dict[str, set[str]] = {}
    for node in graph.node:
        for name in node.input:
            takers.setdefault(name, set()).add(node.op_type)
    operators = {node.op_type for node in graph.node}
    left = operators - _ON_BYTES - {_QUANTISE, _DEQUANTISE}
    for node in graph.node:
        if node.op_type in (_QUANTISE, _DEQUANTISE):
            continue
        floats = [name for name in node.input if makers.get(name, _DEQUANTISE) != _DEQUANTISE]
        floats += [name for name in node.output if takers.get(name) != {_QUANTISE}]
        if any(types.get(name, TensorProto.FLOAT) == TensorProto.FLOAT for name in floats):
            left.add(node.op_type)
    values = (graph.input[0], graph.output[0])
    if not left and any(value.type.tensor_type.elem_type == TensorProto.FLOAT for value in values):
        left.add("the input or the output")
    if left:
        raise ArtifactError(
            f"{', '.join(sorted(left))} cannot be quantised to int8",
            "ONNX Runtime computes it in float",
            "precision=float32",
        )


def _put_channels_last(graph: onnx.GraphProto) -> None:
    """Let images come and go channels last."""
    for value, turn in ((graph.input[0], (0, 3, 1, 2)), (graph.output[0], (0, 2, 3, 1))):
        shape = value.type.tensor_type.shape
        sizes = [each.dim_value for each in shape.dim]
        if len(sizes) != 4:
            continue
        inner = f"{value.name}_channels_first"
        is_input = value.name == INPUT_NAME
        for node in graph.node:
            names = node.input if is_input else node.output
            for i, name in enumerate(names):
                if name == value.name:
                    names[i] = inner
        ends = (value.name, inner) if is_input else (inner, value.name)
        node = helper.make_node("Transpose", [ends[0]], [ends[1]], perm=turn)
        graph.node.insert(0 if is_input else len(graph.node), node)
        batch, channels, height, width = sizes
        for each, size in zip(shape.dim, (batch, height, width, channels), strict=True):
            each.dim_value = size
