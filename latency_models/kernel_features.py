"""Numbers that say how large a kernel is, and what it is like."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from latency_models import kernel_layout as layout
from latency_models.base import FloatArray
from profiler.kernels import KernelSpec, Operand

_FUSED = ("", "Relu")
"""Activations that a convolution applies while it writes; others go over its output once more."""


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
    types = ",".join(sorted({each.type_name for each in layout.present(spec.inputs)} - {"float32"}))
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
    if "Conv" in spec.op_type or spec.op_type in {"CONV_2D", "DEPTHWISE_CONV_2D"}:
        return "convolution"
    if spec.op_type in {"MaxPool", "AveragePool", "MAX_POOL_2D", "AVERAGE_POOL_2D"}:
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
        if layout.is_grouped(spec):
            return ("depthwise" if layout.is_depthwise(spec) else "grouped") + after
        return ("pointwise" if layout.window(spec) == 1 else "dense") + after
    if family == "other":
        out = layout.first(spec.outputs)
        return "+".join(_broadcast(each, out) for each in layout.present(spec.inputs)[:3])
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
        *("padding", "strideH", "strideW", "dilationHFactor", "dilationWFactor"),
        *("depthMultiplier", "fusedActivationFunction"),
    ),
    "pool": (
        *("auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads"),
        *("storage_order", "strides"),
        *("padding", "strideH", "strideW", "filterHeight", "filterWidth"),
        "fusedActivationFunction",
    ),
    "product": ("alpha", "beta", "fusedActivationFunction"),
    "other": (
        *("channels", "epsilon", "momentum", "alpha", "beta", "allowzero"),
        *("newShape", "potScaleInt16"),
    ),
}


def _attributes_but(spec: KernelSpec, left_out: Sequence[str]) -> str:
    told = [(name, value) for name, value in spec.attributes if name not in (*left_out, "options")]
    # ONNX Runtime writes some attributes that are off, and leaves some of them out. The options of
    # a TFLite operator are always of one class.
    return ",".join(f"{name}={value}" for name, value in told if value != 0)


def _size(operands: Sequence[Operand | None]) -> float:
    return float(sum(each.size_bytes for each in layout.present(operands)))


_COMMON = (
    KernelFeature("bytes read", lambda spec: _size(spec.activations)),
    KernelFeature("bytes written", lambda spec: _size(spec.outputs)),
)
_OF_FAMILY: dict[str, tuple[KernelFeature, ...]] = {
    "convolution": (
        KernelFeature("FLOPs", lambda spec: float(spec.flops)),
        KernelFeature("bytes of weights", lambda spec: float(spec.weight_bytes)),
        KernelFeature("channels in", lambda spec: float(layout.channels_in(spec))),
        KernelFeature("channels out", lambda spec: float(layout.channels_out(spec))),
        KernelFeature("positions out", lambda spec: float(layout.positions_out(spec))),
        KernelFeature("columns out", lambda spec: float(layout.columns_out(spec))),
        KernelFeature("kernel", lambda spec: float(layout.window(spec)), is_level=True),
        KernelFeature("stride", lambda spec: float(layout.stride(spec)), is_level=True),
        KernelFeature("dilation", lambda spec: float(layout.dilation(spec)), is_level=True),
        KernelFeature("activation", lambda spec: float(layout.has_activation(spec)), is_level=True),
        KernelFeature("summand", lambda spec: float(len(spec.inputs) > 3), is_level=True),
    ),
    "pool": (
        KernelFeature("kernel", lambda spec: float(layout.window(spec)), is_level=True),
        KernelFeature("stride", lambda spec: float(layout.stride(spec)), is_level=True),
        KernelFeature("columns out", lambda spec: float(layout.columns_out(spec))),
    ),
    "product": (
        KernelFeature("FLOPs", lambda spec: float(spec.flops)),
        KernelFeature("bytes of weights", lambda spec: float(spec.weight_bytes)),
    ),
    "other": (
        KernelFeature("tensors", lambda spec: float(len(spec.inputs) + len(spec.outputs))),
        KernelFeature("columns out", lambda spec: float(layout.columns_out(spec))),
    ),
}
