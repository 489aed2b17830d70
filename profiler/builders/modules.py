"""Op to torch module: what is measured is what is trained and what is shipped."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import nn

from devices.errors import InputError, UnknownNameError
from profiler.ops import OpSpec

BN_EPSILON = 1e-3
BN_MOMENTUM = 0.1

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": lambda: nn.ReLU(inplace=True),
    "relu6": lambda: nn.ReLU6(inplace=True),
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


class MBConv(nn.Module):
    """Inverted residual block: expand 1x1, depthwise kxk, project 1x1 (Sandler et al., 2018).

    The input is added where stride is 1 and input and output widths agree.
    """

    def __init__(self, channels: int, out: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        hidden = channels * expand
        layers: list[nn.Module] = []
        if hidden != channels:
            layers.append(ConvBN(channels, hidden, 1))
        layers.append(ConvBN(hidden, hidden, kernel, stride, groups=hidden))
        layers.append(ConvBN(hidden, out, 1, activation="none"))
        self.layers = nn.Sequential(*layers)
        self.has_residual = stride == 1 and channels == out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.layers(x)
        return x + out if self.has_residual else out


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
    )


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
