"""Where kernels of a runtime have their channels, windows and activations."""

from __future__ import annotations

import math
from collections.abc import Sequence

from profiler.kernels import KernelSpec, Operand

_NONE: tuple[int, ...] = ()
_LITERT = "litert"


def is_channels_last(spec: KernelSpec) -> bool:
    """Whether images lie with their channels last, as TFLite has them."""
    return spec.runtime == _LITERT


def present(operands: Sequence[Operand | None]) -> list[Operand]:
    """Those that are not left out."""
    return [each for each in operands if each is not None]


def first(operands: Sequence[Operand | None]) -> Operand | None:
    """The first that is not left out."""
    return next(iter(present(operands)), None)


def number(spec: KernelSpec, name: str, default: int) -> int:
    """An attribute that is an integer."""
    value = spec.attribute(name, default)
    return value if isinstance(value, int) else default


def numbers(spec: KernelSpec, name: str) -> tuple[int, ...]:
    """An attribute that is a list of integers; empty where it is not there."""
    value = spec.attribute(name, _NONE)
    if not isinstance(value, tuple):
        return ()
    return tuple(each for each in value if isinstance(each, int))


def window(spec: KernelSpec) -> int:
    """Positions that a window covers."""
    if is_channels_last(spec):
        size: tuple[int, ...] = (number(spec, "filterHeight", 0), number(spec, "filterWidth", 0))
        size = () if 0 in size else size
    else:
        size = numbers(spec, "kernel_shape")
    if not size and len(spec.inputs) > 1 and spec.inputs[1] is not None:
        shape = spec.inputs[1].shape
        size = shape[1:-1] if is_channels_last(spec) else shape[2:]
    return math.prod(size)


def stride(spec: KernelSpec) -> int:
    """Positions of the input for one of the output."""
    if is_channels_last(spec):
        return number(spec, "strideH", 1) * number(spec, "strideW", 1)
    return math.prod(numbers(spec, "strides"))


def dilation(spec: KernelSpec) -> int:
    """How far apart the positions of a window lie, both ways multiplied."""
    if is_channels_last(spec):
        return number(spec, "dilationHFactor", 1) * number(spec, "dilationWFactor", 1)
    return math.prod(numbers(spec, "dilations"))


def has_activation(spec: KernelSpec) -> bool:
    """Whether an activation is fused into it."""
    if is_channels_last(spec):
        return number(spec, "fusedActivationFunction", 0) != 0
    return bool(spec.attribute("activation", ""))


def is_grouped(spec: KernelSpec) -> bool:
    """Whether a convolution takes only some of its channels for one of its output."""
    if is_channels_last(spec):
        is_fewer = channels_in(spec) != _size(spec, 1, -1)
        return spec.op_type == "DEPTHWISE_CONV_2D" or is_fewer
    return number(spec, "group", 1) > 1


def is_depthwise(spec: KernelSpec) -> bool:
    """Whether a convolution takes one channel for one of its output."""
    if is_channels_last(spec):
        return spec.op_type == "DEPTHWISE_CONV_2D"
    return is_grouped(spec) and _size(spec, 1, 1) == 1


def channels_in(spec: KernelSpec) -> int:
    """Channels of the input."""
    return _size(spec, 0, -1 if is_channels_last(spec) else 1)


def channels_out(spec: KernelSpec) -> int:
    """Channels of the output."""
    if is_channels_last(spec):
        out = first(spec.outputs)
        return out.shape[-1] if out is not None and out.shape else 1
    return _size(spec, 1, 0)


def positions_out(spec: KernelSpec) -> int:
    """Positions of the output."""
    out = first(spec.outputs)
    if out is None:
        return 1
    return math.prod(out.shape[1:-1] if is_channels_last(spec) else out.shape[2:])


def columns_out(spec: KernelSpec) -> int:
    """Positions of the output in one row; of no image, its last dimension."""
    out = first(spec.outputs)
    if out is None or not out.shape:
        return 1
    return out.shape[-2 if is_channels_last(spec) and len(out.shape) > 2 else -1]


def _size(spec: KernelSpec, index: int, axis: int) -> int:
    operand = spec.inputs[index] if index < len(spec.inputs) else None
    has_axis = operand is not None and len(operand.shape) > max(axis, -axis - 1)
    return operand.shape[axis] if operand is not None and has_axis else 1
