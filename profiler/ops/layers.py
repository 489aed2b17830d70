"""The primitive layers an op decomposes into, with their exact arithmetic.

Every cost of an op is a sum over its layers, so a new kind of op only says which layers it has.
Counts are for one sample (batch 1) and float32 unless said otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

FLOAT32_BYTES = 4


@dataclass(frozen=True)
class Layer:
    """One primitive layer.

    Attributes:
        name: ``conv``, ``linear``, ``norm``, ``activation``, ``pool``, ``scale``, ``shuffle``,
            ``add`` or ``fill``.
        inputs: elements read (all inputs together).
        outputs: elements written.
        macs: multiply-accumulates.
        weights: weights read by the deployed layer, bias included, batch norm folded.
        parameters: trainable parameters of the torch module, batch norm's scale and shift included.
    """

    name: str
    inputs: int
    outputs: int
    macs: int = 0
    weights: int = 0
    parameters: int = 0

    @property
    def flops(self) -> int:
        """Floating-point operations, two per multiply-accumulate.

        The convention of ``torch.utils.flop_counter``: bias, batch norm, activation, pooling and
        addition count as nothing.
        """
        return 2 * self.macs

    @property
    def bytes_moved(self) -> int:
        """Bytes read and written once each: inputs, weights and outputs."""
        return FLOAT32_BYTES * (self.inputs + self.weights + self.outputs)


def conv_size(size: int, stride: int) -> int:
    """Output height or width of an odd kernel padded by half its size."""
    return (size - 1) // stride + 1


def conv(
    channels: int,
    out: int,
    height: int,
    width: int,
    kernel: int,
    stride: int,
    groups: int = 1,
    *,
    has_norm: bool = True,
) -> Layer:
    """A convolution without bias, followed by batch norm unless ``has_norm`` is false.

    Every model file is written with a bias, which batch norm is folded into; without one it is 0.
    """
    positions = conv_size(height, stride) * conv_size(width, stride)
    kernel_weights = out * (channels // groups) * kernel * kernel
    return Layer(
        "conv",
        inputs=channels * height * width,
        outputs=out * positions,
        macs=kernel_weights * positions,
        weights=kernel_weights + out,
        parameters=kernel_weights + (2 * out if has_norm else 0),
    )


def linear(features: int, out: int) -> Layer:
    """A fully connected layer with bias."""
    weights = features * out + out
    return Layer("linear", features, out, macs=features * out, weights=weights, parameters=weights)


def pool(shape: tuple[int, ...], positions: int) -> Layer:
    """A pooling layer over ``(channels, height, width)`` that leaves ``positions`` positions."""
    channels, height, width = shape
    return Layer("pool", channels * height * width, channels * positions)


def add(elements: int) -> Layer:
    """The addition of two tensors of that many elements."""
    return Layer("add", 2 * elements, elements)


def norm(channels: int, positions: int) -> Layer:
    """A batch norm that no convolution stands before: one scale and one shift a channel."""
    elements = channels * positions
    return Layer("norm", elements, elements, weights=2 * channels, parameters=2 * channels)


def activation(elements: int) -> Layer:
    """An activation that the layer before it cannot take on."""
    return Layer("activation", elements, elements)


def scale(channels: int, positions: int) -> Layer:
    """Each channel times a number that another layer computed."""
    elements = channels * positions
    return Layer("scale", elements + channels, elements)


def shuffle(elements: int) -> Layer:
    """Channels put into another order."""
    return Layer("shuffle", elements, elements)


def fill(elements: int) -> Layer:
    """Writing a constant."""
    return Layer("fill", 0, elements)
