"""Float TFLite file to int8 TFLite file, by the quantiser of LiteRT (``ai-edge-quantizer``).

Static quantisation after training: int8 activations, int8 weights per output channel, int8 input
and output. No operator is left in float: what the quantiser cannot turn into bytes is an error.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Sequence
from contextlib import redirect_stderr
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from ai_edge_quantizer import quantizer, recipe

from devices.errors import ArtifactError

FloatArray = npt.NDArray[np.float32]

_IDENTIFIER = b"TFL3"
# Padding of a maximum is the smallest float there is: no value that an activation takes.
_LARGEST_ACTIVATION = 3e38
_WHOLE = {schema.TensorType.INT8, schema.TensorType.INT32}


def int8_tflite_bytes(contents: bytes, samples: Sequence[FloatArray]) -> bytes:
    """The int8 file of a float TFLite file.

    Args:
        contents: as ``tflite_bytes`` writes it: one input and one output.
        samples: inputs, each of the shape of the model's input, from which the ranges of
            activations are taken: the smallest and the largest value.

    Returns:
        A model of the same shapes whose input and output are int8.

    Raises:
        ArtifactError: an operator that would compute in float.
    """
    model = schema.ModelT.InitFromPackedBuf(contents, 0)
    _suit_the_quantiser(model)
    contents = _packed(model)
    try:
        # A library is quiet, and this one shows a progress bar that cannot be turned off, and
        # says that keeping all tensors takes memory: they are looked at, and let go.
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore", UserWarning)
            ranges = _ranges(contents, model, samples)
            result = quantizer.Quantizer(contents, recipe.static_wi8_ai8()).quantize(
                ranges, enable_progress_bar=False, enable_progress_report=False
            )
    except (ValueError, RuntimeError, NotImplementedError) as error:
        raise _unquantised(
            "the model", f"LiteRT's quantiser says: {' '.join(str(error).split())[:300]}"
        ) from error
    quantised = bytes(result.quantized_model)
    _refuse_floats(schema.ModelT.InitFromPackedBuf(quantised, 0))
    return quantised


def _packed(model: Any) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())


def _suit_the_quantiser(model: Any) -> None:
    """Write what the quantiser does not know as what it does."""
    # It walks over the signatures, and does not expect that there are none.
    model.signatureDefs = model.signatureDefs or []
    graph = model.subgraphs[0]
    for node in graph.operators:
        code = model.operatorCodes[node.opcodeIndex].builtinCode
        if code == schema.BuiltinOperator.PADV2:
            # The value padded with, as a scalar: of another rank than the image it stops at.
            graph.tensors[node.inputs[2]].shape = np.array([], np.int32)
        elif code == schema.BuiltinOperator.ZEROS_LIKE:
            # No int8 kernel: zeros are a product with zero.
            node.opcodeIndex = _operator(model, schema.BuiltinOperator.MUL)
            node.inputs = np.array([node.inputs[0], _zero(model)], np.int32)
            node.builtinOptionsType = schema.BuiltinOptions.MulOptions
            node.builtinOptions = schema.MulOptionsT()


def _operator(model: Any, code: int) -> int:
    """Index of an operator's code, added where the model has none."""
    codes = [entry.builtinCode for entry in model.operatorCodes]
    if code not in codes:
        entry = schema.OperatorCodeT()
        entry.deprecatedBuiltinCode = entry.builtinCode = code
        model.operatorCodes.append(entry)
        codes.append(code)
    return codes.index(code)


def _zero(model: Any) -> int:
    """A new constant, the scalar 0."""
    buffer, tensor = schema.BufferT(), schema.TensorT()
    buffer.data = np.frombuffer(np.float32(0).tobytes(), np.uint8)
    model.buffers.append(buffer)
    tensors = model.subgraphs[0].tensors
    tensor.shape = np.array([], np.int32)
    tensor.type = schema.TensorType.FLOAT32
    tensor.buffer = len(model.buffers) - 1
    tensor.name = f"zero{len(tensors)}".encode()
    tensors.append(tensor)
    return len(tensors) - 1


def _ranges(
    contents: bytes, model: Any, samples: Sequence[FloatArray]
) -> dict[str, dict[str, FloatArray]]:
    """Smallest and largest value of every float activation, over all samples, by its name."""
    interpreter = Interpreter(
        model_content=contents, num_threads=1, experimental_preserve_all_tensors=True
    )
    interpreter.allocate_tensors()
    given = interpreter.get_input_details()[0]["index"]
    watched = [
        index
        for index, tensor in enumerate(model.subgraphs[0].tensors)
        if tensor.type == schema.TensorType.FLOAT32 and model.buffers[tensor.buffer].data is None
    ]
    lows = dict.fromkeys(watched, math.inf)
    highs = dict.fromkeys(watched, -math.inf)
    for sample in samples:
        interpreter.set_tensor(given, sample)
        interpreter.invoke()
        for index in watched:
            values = interpreter.get_tensor(index)
            values = values[np.abs(values) < _LARGEST_ACTIVATION]
            lows[index] = min(lows[index], float(values.min(initial=math.inf)))
            highs[index] = max(highs[index], float(values.max(initial=-math.inf)))
    tensors = model.subgraphs[0].tensors
    return {
        tensors[index].name.decode(): {
            "min": np.full([1] * len(tensors[index].shape), lows[index], np.float32),
            "max": np.full([1] * len(tensors[index].shape), highs[index], np.float32),
        }
        for index in watched
    }


def _refuse_floats(model: Any) -> None:
    names = {
        code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)
    }
    left = set()
    graph = model.subgraphs[0]
    for node in graph.operators:
        tensors = (graph.tensors[i] for i in (*node.inputs, *node.outputs) if i >= 0)
        if any(tensor.type not in _WHOLE for tensor in tensors):
            left.add(names[model.operatorCodes[node.opcodeIndex].builtinCode])
    # What turns bytes into floats and back stands beside what needs it.
    left = left - {"QUANTIZE", "DEQUANTIZE"} or left
    if left:
        raise _unquantised(", ".join(sorted(left)), "LiteRT's quantiser left it in float")


def _unquantised(what: str, why: str) -> ArtifactError:
    return ArtifactError(f"{what} cannot be quantised to int8", why, "precision=float32")
