"""Numbers that say how large a kernel is, and what it is like."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from latency_models.base import FloatArray
from profiler.kernels import KernelSpec, Operand

_FUSED = ("", "Relu")
"""Activations that a convolution applies while it writes; others go over its output once more."""
_NONE: tuple[int, ...] = ()


@dataclass(frozen=True)
class KernelFeature:
    """One number of a kernel.

    Attributes:
        name: what it is, with its unit.
        value: of a kernel.
        is_level: whether only values that were measured can be asked for: it counts no amount.
    """

    name: str
    value: Callable[[KernelSpec], float]
    is_level: bool = False


def group_of(spec: KernelSpec) -> str:
    """What kernels are alike by: the operator, and how it goes through memory.

    Kernels of one group differ in sizes, and in what :func:`kernel_features` calls levels.
    """
    others = _attributes_but(spec, _SIZES_OF.get(_family(spec), ()))
    types = ",".join(sorted({each.type_name for each in _present(spec.inputs)} - {"float32"}))
    parts = [spec.kind, _variant(spec), others, types]
    return " ".join(part for part in parts if part)


def kernel_features(spec: KernelSpec) -> tuple[KernelFeature, ...]:
    """The features of the kernels of a group, in their fixed order."""
    return (*_COMMON, *_OF_FAMILY.get(_family(spec), ()))


def kernel_matrix(specs: Sequence[KernelSpec]) -> FloatArray:
    """Features of kernels of one group, shape ``(len(specs), features)``."""
    features = kernel_features(specs[0])
    rows = [[feature.value(spec) for feature in features] for spec in specs]
    return np.array(rows, dtype=np.float64)


def _family(spec: KernelSpec) -> str:
    """Which set of features a kernel has."""
    if "Conv" in spec.op_type:
        return "convolution"
    if spec.op_type in {"MaxPool", "AveragePool"}:
        return "pool"
    if spec.flops:
        return "product"
    return "other"


def _variant(spec: KernelSpec) -> str:
    """Ways that an operator has of going through memory."""
    family = _family(spec)
    if family == "convolution":
        activation = str(spec.attribute("activation", ""))
        after = "" if activation in _FUSED else f" {activation}"
        if _number(spec, "group", 1) > 1:
            return ("depthwise" if _channels(spec, 1, axis=1) == 1 else "grouped") + after
        return ("pointwise" if _kernel(spec) == 1 else "dense") + after
    if family == "other":
        out = _first(spec.outputs)
        return "+".join(_broadcast(each, out) for each in _present(spec.inputs)[:3])
    return ""


def _broadcast(operand: Operand, out: Operand | None) -> str:
    """How an input lies to the output."""
    if operand.is_weight:
        return "weight"
    if out is None or operand.shape == out.shape:
        return "same"
    if operand.count == out.count:
        return "moved"
    ones = "".join("1" if size == 1 else "n" for size in operand.shape)
    return f"{ones or 'scalar'}"


# What the variant and the features say already, and what takes no time.
_SIZES_OF: dict[str, tuple[str, ...]] = {
    "convolution": (
        *("activation", "activation_params", "auto_pad", "dilations", "group", "kernel_shape"),
        *("pads", "strides"),
    ),
    "pool": (
        *("auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads"),
        *("storage_order", "strides"),
    ),
    "product": ("alpha", "beta"),
    "other": ("channels", "epsilon", "momentum", "alpha", "beta", "allowzero"),
}


def _attributes_but(spec: KernelSpec, left_out: Sequence[str]) -> str:
    told = [(name, value) for name, value in spec.attributes if name not in left_out]
    # ONNX Runtime writes some attributes that are off, and leaves some of them out.
    return ",".join(f"{name}={value}" for name, value in told if value != 0)


def _present(operands: Sequence[Operand | None]) -> list[Operand]:
    return [each for each in operands if each is not None]


def _first(operands: Sequence[Operand | None]) -> Operand | None:
    return next(iter(_present(operands)), None)


def _number(spec: KernelSpec, name: str, default: int) -> int:
    value = spec.attribute(name, default)
    return value if isinstance(value, int) else default


def _numbers(spec: KernelSpec, name: str) -> tuple[int, ...]:
    value = spec.attribute(name, _NONE)
    return (
        tuple(each for each in value if isinstance(each, int)) if isinstance(value, tuple) else ()
    )


def _kernel(spec: KernelSpec) -> int:
    """Positions that a window covers."""
    size = _numbers(spec, "kernel_shape")
    if not size and len(spec.inputs) > 1 and spec.inputs[1] is not None:
        size = spec.inputs[1].shape[2:]
    return math.prod(size)


def _stride(spec: KernelSpec) -> int:
    return math.prod(_numbers(spec, "strides"))


def _dilation(spec: KernelSpec) -> int:
    return math.prod(_numbers(spec, "dilations"))


def _channels(spec: KernelSpec, index: int, axis: int) -> int:
    operand = spec.inputs[index] if index < len(spec.inputs) else None
    return operand.shape[axis] if operand is not None and len(operand.shape) > axis else 1


def _activation(spec: KernelSpec) -> float:
    """Whether there is one."""
    return float(bool(spec.attribute("activation", "")))


def _out_positions(spec: KernelSpec) -> float:
    out = _first(spec.outputs)
    return float(math.prod(out.shape[2:])) if out is not None else 1.0


def _size(operands: Sequence[Operand | None]) -> float:
    return float(sum(each.size_bytes for each in _present(operands)))


def _inner(spec: KernelSpec) -> float:
    """Elements that lie together in the last dimension of the output."""
    out = _first(spec.outputs)
    return float(out.shape[-1]) if out is not None and out.shape else 1.0


_COMMON = (
    KernelFeature("bytes read", lambda spec: _size(spec.activations)),
    KernelFeature("bytes written", lambda spec: _size(spec.outputs)),
)
_OF_FAMILY: dict[str, tuple[KernelFeature, ...]] = {
    "convolution": (
        KernelFeature("FLOPs", lambda spec: float(spec.flops)),
        KernelFeature("bytes of weights", lambda spec: float(spec.weight_bytes)),
        KernelFeature("channels in", lambda spec: float(_channels(spec, 0, 1))),
        KernelFeature("channels out", lambda spec: float(_channels(spec, 1, 0))),
        KernelFeature("positions out", _out_positions),
        KernelFeature("columns out", _inner),
        KernelFeature("kernel", lambda spec: float(_kernel(spec)), is_level=True),
        KernelFeature("stride", lambda spec: float(_stride(spec)), is_level=True),
        KernelFeature("dilation", lambda spec: float(_dilation(spec)), is_level=True),
        KernelFeature("activation", _activation, is_level=True),
        KernelFeature("summand", lambda spec: float(len(spec.inputs) > 3), is_level=True),
    ),
    "pool": (
        KernelFeature("kernel", lambda spec: float(_kernel(spec)), is_level=True),
        KernelFeature("stride", lambda spec: float(_stride(spec)), is_level=True),
        KernelFeature("columns out", _inner),
    ),
    "product": (
        KernelFeature("FLOPs", lambda spec: float(spec.flops)),
        KernelFeature("bytes of weights", lambda spec: float(spec.weight_bytes)),
    ),
    "other": (
        KernelFeature("tensors", lambda spec: float(len(spec.inputs) + len(spec.outputs))),
        KernelFeature("columns out", _inner),
    ),
}
