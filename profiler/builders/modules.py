"""Op to torch module: what is measured is what is trained and what is shipped."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Sequence
from typing import Self

import torch
from torch import nn

from devices.errors import InputError, UnknownNameError
from profiler.ops import OpSpec

BN_EPSILON = 1e-3
BN_MOMENTUM = 0.1

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": lambda: nn.ReLU(inplace=True),
    "relu6": lambda: nn.ReLU6(inplace=True),
    "hswish": lambda: nn.Hardswish(inplace=True),
}


class ConvBN(nn.Sequential):
    """Convolution without bias, batch norm, activation.

    Shapes: ``(N, channels, H, W)`` to ``(N, out, ceil(H / stride), ceil(W / stride))``.
    """

    def __init__(
        self,
        channels: int,
        out: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        activation: str = "relu6",
    ) -> None:
        convolution = nn.Conv2d(
            channels, out, kernel, stride, kernel // 2, groups=groups, bias=False
        )
        layers = [convolution, nn.BatchNorm2d(out, eps=BN_EPSILON, momentum=BN_MOMENTUM)]
        if activation != "none":
            layers.append(_ACTIVATIONS[activation]())
        super().__init__(*layers)


class ReLUConvBN(nn.Sequential):
    """ReLU, convolution without bias, batch norm, in that order (NAS-Bench-201's ``nor_conv``).

    Shapes: ``(N, channels, H, W)`` to ``(N, out, ceil(H / stride), ceil(W / stride))``.
    """

    def __init__(self, channels: int, out: int, kernel: int, stride: int = 1) -> None:
        # Not in place: in a cell, others read the same input.
        super().__init__(nn.ReLU(), *ConvBN(channels, out, kernel, stride, activation="none"))


class NormAct(nn.Sequential):
    """Batch norm that no convolution stands before, and an activation: ``(N, C, H, W)`` kept."""

    def __init__(self, channels: int, activation: str = "none") -> None:
        super().__init__(nn.BatchNorm2d(channels, eps=BN_EPSILON, momentum=BN_MOMENTUM))
        if activation != "none":
            self.append(_ACTIVATIONS[activation]())


class ChannelShuffle(nn.ChannelShuffle):
    """The channels of each group spread over all groups (Zhang et al., ShuffleNet, 2018).

    ``(N, groups * n, H, W)``, read as groups of ``n``, is written as ``n`` groups, one channel of
    each old group in each.
    """

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__(groups)
        self.channels = channels


class SqueezeExcite(nn.Module):
    """Each channel times a number between 0 and 1, made of the means of all channels.

    Hu et al., CVPR 2018, with the hard sigmoid of MobileNetV3 (Howard et al., ICCV 2019).

    Shapes: ``(N, channels, H, W)`` kept.

    Args:
        channels: of the input.
        squeeze: channels between the two convolutions.
    """

    def __init__(self, channels: int, squeeze: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.Conv2d(channels, squeeze, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(squeeze, channels, 1),
            nn.Hardsigmoid(inplace=True),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate: torch.Tensor = self.gate(x.mean((2, 3), keepdim=True))
        return x * gate


class MBConv(nn.Module):
    """Inverted residual block: expand 1x1, depthwise kxk, project 1x1 (Sandler et al., 2018).

    The input is added where stride is 1 and input and output widths agree. FBNet's blocks (Wu et
    al., CVPR 2019) have ReLU, expand by a convolution even where that makes nothing wider, and may
    have both 1x1 convolutions in groups, with a channel shuffle after the first.

    Args:
        channels: of the input.
        out: channels of the output.
        kernel: of the depthwise convolution.
        stride: of the depthwise convolution.
        expand: width between the 1x1 convolutions, over that of the input.
        activation: ``relu``, ``relu6`` or ``hswish``, after all convolutions but the last.
        groups: of the 1x1 convolutions.
        squeeze: channels inside of the :class:`SqueezeExcite` after the depthwise convolution;
            0 for none.
        always_expand: whether the first 1x1 convolution stands even where ``expand`` is 1.
    """

    def __init__(
        self,
        channels: int,
        out: int,
        kernel: int,
        stride: int,
        expand: int,
        *,
        activation: str = "relu6",
        groups: int = 1,
        squeeze: int = 0,
        always_expand: bool = False,
    ) -> None:
        super().__init__()
        hidden = channels * expand
        layers: list[nn.Module] = []
        if hidden != channels or always_expand:
            layers.append(ConvBN(channels, hidden, 1, groups=groups, activation=activation))
        if groups > 1:
            layers.append(ChannelShuffle(hidden, groups))
        layers.append(ConvBN(hidden, hidden, kernel, stride, groups=hidden, activation=activation))
        if squeeze:
            layers.append(SqueezeExcite(hidden, squeeze))
        layers.append(ConvBN(hidden, out, 1, groups=groups, activation="none"))
        self.layers = nn.Sequential(*layers)
        self.has_residual = stride == 1 and channels == out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.layers(x)
        return x + out if self.has_residual else out


class ResidualBlock(nn.Module):
    """Two :class:`ReLUConvBN` of 3x3 and a shortcut (NAS-Bench-201's ``ResNetBasicblock``).

    Shapes: ``(N, channels, H, W)`` to ``(N, out, H / stride, W / stride)``. The shortcut of stride
    2 is an average over 2x2 and a 1x1 convolution without batch norm.

    Args:
        channels: of the input.
        out: channels of the output.
        stride: 1 or 2; even sizes where it is 2.
    """

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(ReLUConvBN(channels, out, 3, stride), ReLUConvBN(out, out, 3))
        self.shortcut: nn.Module
        if stride == 2:
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(2, 2), nn.Conv2d(channels, out, 1, bias=False)
            )
        elif channels != out:
            self.shortcut = ReLUConvBN(channels, out, 1)
        else:
            self.shortcut = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut: torch.Tensor = self.shortcut(x)
        out: torch.Tensor = self.layers(x)
        return shortcut + out


class SumWithConstants(nn.Module):
    """The sum of several tensors of one shape as it is measured alone: the input and constants.

    A model file here has one input. The input added to itself would be read once and is rewritten
    as a product; parts of one wider input would have to be cut out of it first, which copies. The
    constants are of the input's own size and at random, so they are read from memory as another
    tensor would be, and no optimiser can take them away. In a network the tensors themselves are
    added.

    Shapes: ``(N, *shape)`` kept.

    Args:
        shape: ``(channels, height, width)``.
        inputs: tensors added, the input among them.
    """

    def __init__(self, shape: Sequence[int], inputs: int) -> None:
        super().__init__()
        self.inputs = inputs
        # No part of a checkpoint: a stand-in for what the network computes.
        for i in range(inputs - 1):
            self.register_buffer(f"constant{i}", torch.randn(1, *shape), persistent=False)

    def constants(self, batch: int) -> list[torch.Tensor]:
        """The constants, ``(batch, *shape)`` each; a smaller one would be read less often."""
        buffers = [self.get_buffer(f"constant{i}") for i in range(self.inputs - 1)]
        return [buffer.repeat(batch // len(buffer), 1, 1, 1) for buffer in buffers]

    def with_batch(self, batch: int) -> Self:
        """The same module with constants of that batch size."""
        other = copy.deepcopy(self)
        for i, constant in enumerate(self.constants(batch)):
            setattr(other, f"constant{i}", constant)
        return other

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for i in range(self.inputs - 1):
            x = x + self.get_buffer(f"constant{i}")
        return x


class GlobalAvgPool(nn.Module):
    """Mean over height and width: ``(N, C, H, W)`` to ``(N, C)``."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3))


class Zero(nn.Module):
    """Zeros of the shape a strided op would give: ``(N, C, H, W)`` to ``(N, C, H/s, W/s)``.

    The input is multiplied by nothing: an infinite input does not become NaN.
    """

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(x[:, :, :: self.stride, :: self.stride])


def _conv(spec: OpSpec) -> nn.Module:
    return ConvBN(
        spec.input_shape[0],
        spec.integer("out"),
        spec.integer("kernel"),
        spec.integer("stride"),
        activation=str(spec["activation"]),
    )


def _depthwise_conv(spec: OpSpec) -> nn.Module:
    channels = spec.input_shape[0]
    return ConvBN(
        channels,
        channels,
        spec.integer("kernel"),
        spec.integer("stride"),
        groups=channels,
        activation=str(spec["activation"]),
    )


def _mbconv(spec: OpSpec) -> nn.Module:
    return MBConv(
        spec.input_shape[0],
        spec.integer("out"),
        spec.integer("kernel"),
        spec.integer("stride"),
        spec.integer("expand"),
        activation=str(spec["activation"]),
        groups=spec.integer("groups"),
        squeeze=spec.integer("squeeze"),
        always_expand=spec["expand_conv"] == "always",
    )


def _relu_conv(spec: OpSpec) -> nn.Module:
    return ReLUConvBN(
        spec.input_shape[0], spec.integer("out"), spec.integer("kernel"), spec.integer("stride")
    )


def _residual_block(spec: OpSpec) -> nn.Module:
    return ResidualBlock(spec.input_shape[0], spec.integer("out"), spec.integer("stride"))


def _avg_pool(spec: OpSpec) -> nn.Module:
    kernel = spec.integer("kernel")
    return nn.AvgPool2d(kernel, spec.integer("stride"), kernel // 2, count_include_pad=False)


def _max_pool(spec: OpSpec) -> nn.Module:
    kernel = spec.integer("kernel")
    return nn.MaxPool2d(kernel, spec.integer("stride"), kernel // 2)


_BUILDERS: dict[str, Callable[[OpSpec], nn.Module]] = {
    "conv": _conv,
    "depthwise_conv": _depthwise_conv,
    "mbconv": _mbconv,
    "relu_conv": _relu_conv,
    "residual_block": _residual_block,
    "batch_norm": lambda spec: NormAct(spec.input_shape[0], str(spec["activation"])),
    "add": lambda spec: SumWithConstants(spec.input_shape, spec.integer("inputs")),
    "avg_pool": _avg_pool,
    "max_pool": _max_pool,
    "global_avg_pool": lambda spec: GlobalAvgPool(),
    "linear": lambda spec: nn.Linear(spec.input_shape[0], spec.integer("out")),
    "identity": lambda spec: nn.Identity(),
    "zero": lambda spec: Zero(spec.integer("stride")),
}


def build_op(spec: OpSpec) -> nn.Module:
    """The torch module of one op, freshly initialised from torch's global generator.

    Raises:
        UnknownNameError: a kind without a builder.
    """
    try:
        return _BUILDERS[spec.kind](spec)
    except KeyError:
        raise UnknownNameError.of("builder", spec.kind, _BUILDERS) from None


def check_chain(specs: Sequence[OpSpec]) -> None:
    """Raise :class:`InputError` where an op's output does not fit the next op's input."""
    for before, after in itertools.pairwise(specs):
        if before.output_shape != after.input_shape:
            raise InputError(
                f"{after.key} cannot follow {before.key}",
                f"it would be given {before.output_shape}",
            )


def build_chain(specs: Sequence[OpSpec]) -> nn.Sequential:
    """The torch network that runs the ops one after the other.

    Raises:
        InputError: shapes that do not follow from one another.
    """
    check_chain(specs)
    return nn.Sequential(*(build_op(spec) for spec in specs))
