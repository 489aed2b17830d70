"""Batch norm as a scale and a shift, folded into the convolution before it where there is one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from devices.errors import InputError

FloatArray = npt.NDArray[np.float32]


def as_array(tensor: torch.Tensor) -> FloatArray:
    """A tensor as a float32 array on the host."""
    array: FloatArray = tensor.detach().to("cpu", torch.float32).numpy()
    return array


def _scale_and_shift(norm: nn.BatchNorm2d) -> tuple[torch.Tensor, torch.Tensor]:
    """Scale and shift of a batch norm in evaluation mode, float64, ``(channels,)`` each."""
    if norm.running_var is None or norm.running_mean is None:
        raise InputError("a batch norm without running statistics cannot be folded")
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.detach().double()
    shift = -norm.running_mean.double() * scale
    if norm.bias is not None:
        shift = shift + norm.bias.detach().double()
    return scale, shift


def scale_and_shift(norm: nn.BatchNorm2d) -> tuple[FloatArray, FloatArray]:
    """What a batch norm multiplies by, and what it then adds, ``(channels,)`` each.

    Computed in float64 and rounded once.

    Raises:
        InputError: a norm without statistics.
    """
    scale, shift = _scale_and_shift(norm)
    return as_array(scale), as_array(shift)


def fold(conv: nn.Conv2d, norm: nn.BatchNorm2d | None) -> tuple[FloatArray, FloatArray]:
    """Weight ``(out, in / groups, k, k)`` and bias ``(out,)`` of a convolution and its batch norm.

    Computed in float64 and rounded once.

    Raises:
        InputError: padding that is not zeros given as numbers, or a norm without statistics.
    """
    if isinstance(conv.padding, str):
        raise InputError(f"padding {conv.padding!r} cannot be written", hint="give it as numbers")
    if conv.padding_mode != "zeros":
        raise InputError(f"padding mode {conv.padding_mode!r} cannot be written")
    weight = conv.weight.detach().double()
    bias = weight.new_zeros(conv.out_channels) if conv.bias is None else conv.bias.detach().double()
    if norm is not None:
        scale, shift = _scale_and_shift(norm)
        weight = weight * scale[:, None, None, None]
        bias = bias * scale + shift
    return as_array(weight), as_array(bias)
