"""The vocabulary: every kind of op, its attributes, its shapes and its layers.

A new kind is one :func:`register` call here and one builder in ``profiler.builders.modules``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from numbers import Integral

from devices.errors import InputError, UnknownNameError
from profiler.ops import layers as L
from profiler.ops.attribute import LARGEST, Attribute, Value
from profiler.ops.layers import Layer

Shape = tuple[int, ...]
Values = Mapping[str, Value]

ACTIVATIONS = ("none", "relu", "relu6", "hswish")
_MOST_INPUTS = 16


def _unchecked(shape: Shape, values: Values) -> None:
    """The constraint of a kind that has none beyond its attributes."""


def _as_given(shape: Shape, values: Values) -> Values:
    """The canonical values of a kind that has one spelling for each op."""
    return values


@dataclass(frozen=True)
class Kind:
    """One kind of op.

    Attributes:
        name: how it is written in keys.
        rank: number of dimensions of its input without the batch (3 for CxHxW, 1 for features).
        attributes: in any order; keys sort them.
        output_shape: input shape and attribute values to output shape.
        layers: input shape and attribute values to primitive layers.
        is_free: a network has no node for it.
        constraint: input shape and attribute values; raises :class:`InputError` where they cannot
            go together.
        canonical: input shape and attribute values to the values of the same op that its key is
            written with, where two spellings would mean one op.
    """

    name: str
    rank: int
    attributes: tuple[Attribute, ...]
    output_shape: Callable[[Shape, Values], Shape]
    layers: Callable[[Shape, Values], Iterable[Layer]]
    is_free: bool = False
    constraint: Callable[[Shape, Values], None] = field(default=_unchecked)
    canonical: Callable[[Shape, Values], Values] = field(default=_as_given)

    def attribute(self, name: str) -> Attribute:
        """The attribute of that name."""
        for attribute in self.attributes:
            if attribute.name == name:
                return attribute
        raise UnknownNameError.of(f"attribute of {self.name}", name, self._names())

    def _names(self) -> list[str]:
        return [attribute.name for attribute in self.attributes]

    def check_shape(self, shape: Shape) -> Shape:
        """Return the shape as integers, or raise :class:`InputError`."""
        whole = all(isinstance(n, Integral) for n in shape)
        if len(shape) != self.rank or not whole or any(not 1 <= n <= LARGEST for n in shape):
            wanted = "CxHxW" if self.rank == 3 else "features"
            raise InputError(
                f"{self.name} cannot take input {shape}", f"wants {wanted}, at least 1"
            )
        return tuple(int(n) for n in shape)

    def check_attributes(self, shape: Shape, given: Values) -> dict[str, Value]:
        """Fill in defaults, check every value, and choose the op's one spelling."""
        for name in given:
            self.attribute(name)
        values: dict[str, Value] = {}
        for attribute in self.attributes:
            value = given.get(attribute.name, attribute.default)
            if value is None:
                raise InputError(
                    f"{self.name} needs {attribute.name}", hint=", ".join(self._names())
                )
            values[attribute.name] = attribute.check(value)
        self.constraint(shape, values)
        return dict(self.canonical(shape, values))


_KINDS: dict[str, Kind] = {}


def register(kind: Kind) -> Kind:
    """Add a kind to the vocabulary; its name must be free."""
    if kind.name in _KINDS:
        raise InputError(f"kind {kind.name!r} is registered already")
    _KINDS[kind.name] = kind
    return kind


def kind_of(name: str) -> Kind:
    """The kind of that name.

    Raises:
        UnknownNameError: with the nearest names.
    """
    try:
        return _KINDS[name]
    except KeyError:
        raise UnknownNameError.of("kind of op", name[:40], _KINDS) from None


def kinds() -> tuple[str, ...]:
    """Names of all kinds, sorted."""
    return tuple(sorted(_KINDS))


_OUT = Attribute("out")
_KERNEL = Attribute("kernel", odd=True)
_STRIDE = Attribute("stride", default=1)
_ACTIVATION = Attribute("activation", choices=ACTIVATIONS, default="relu6")
_BLOCK_ACTIVATION = Attribute(
    "activation", choices=("relu", "relu6", "hswish"), default="relu6", in_key=False
)
_SQUEEZE = Attribute("squeeze", least=0, default=0, in_key=False)
_GROUPS = Attribute("groups", default=1, in_key=False)
_EXPAND_CONV = Attribute(
    "expand_conv", choices=("if_wider", "always"), default="if_wider", in_key=False
)


def _integer(values: Values, name: str) -> int:
    return int(values[name])


def _spatial(shape: Shape, values: Values, channels: int) -> Shape:
    stride = _integer(values, "stride")
    return (channels, L.conv_size(shape[1], stride), L.conv_size(shape[2], stride))


def _activation_layers(values: Values, elements: int) -> Iterable[Layer]:
    """What the layer before cannot take on: runtimes fuse ReLU and ReLU6, not hard swish."""
    if values["activation"] == "hswish":
        yield L.activation(elements)


def _conv_layer(shape: Shape, values: Values) -> Layer:
    kernel, stride = _integer(values, "kernel"), _integer(values, "stride")
    return L.conv(shape[0], _integer(values, "out"), shape[1], shape[2], kernel, stride)


def _conv_layers(shape: Shape, values: Values) -> Iterable[Layer]:
    layer = _conv_layer(shape, values)
    yield layer
    yield from _activation_layers(values, layer.outputs)


def _depthwise_layers(shape: Shape, values: Values) -> Iterable[Layer]:
    channels, height, width = shape
    kernel, stride = _integer(values, "kernel"), _integer(values, "stride")
    layer = L.conv(channels, channels, height, width, kernel, stride, groups=channels)
    yield layer
    yield from _activation_layers(values, layer.outputs)


def _has_residual(shape: Shape, values: Values) -> bool:
    """Whether input and output of the block agree, so that the input is added (MobileNetV2)."""
    return values["stride"] == 1 and values["out"] == shape[0]


def _expands(values: Values) -> bool:
    """Whether the block begins with a 1x1 convolution: FBNet's always does."""
    return _integer(values, "expand") != 1 or values["expand_conv"] == "always"


def _mbconv_constraint(shape: Shape, values: Values) -> None:
    groups, out = _integer(values, "groups"), _integer(values, "out")
    for what, width in (("input channels", shape[0]), ("out", out)):
        if width % groups:
            raise InputError(f"groups={groups}", f"does not divide {what}, {width}")
    if groups > 1 and not _expands(values):
        raise InputError(
            f"groups={groups} with expand=1",
            "the groups are mixed after the first 1x1 convolution, which this block has not",
            "add expand_conv=always",
        )


def _mbconv_canonical(shape: Shape, values: Values) -> Values:
    if _integer(values, "expand") == 1:
        return values
    return {**values, "expand_conv": "if_wider"}


def _mbconv_layers(shape: Shape, values: Values) -> Iterable[Layer]:
    channels, height, width = shape
    stride, groups = _integer(values, "stride"), _integer(values, "groups")
    hidden = channels * _integer(values, "expand")
    out_height, out_width = L.conv_size(height, stride), L.conv_size(width, stride)
    if _expands(values):
        yield L.conv(channels, hidden, height, width, 1, 1, groups)
        yield from _activation_layers(values, hidden * height * width)
    if groups > 1:
        yield L.shuffle(hidden * height * width)
    yield L.conv(hidden, hidden, height, width, _integer(values, "kernel"), stride, groups=hidden)
    yield from _activation_layers(values, hidden * out_height * out_width)
    if squeeze := _integer(values, "squeeze"):
        yield L.pool((hidden, out_height, out_width), 1)
        yield L.linear(hidden, squeeze)
        yield L.linear(squeeze, hidden)
        yield L.activation(hidden)
        yield L.scale(hidden, out_height * out_width)
    yield L.conv(hidden, _integer(values, "out"), out_height, out_width, 1, 1, groups)
    if _has_residual(shape, values):
        yield L.add(channels * height * width)


def _relu_conv_layers(shape: Shape, values: Values) -> Iterable[Layer]:
    yield L.activation(math.prod(shape))
    yield _conv_layer(shape, values)


def _residual_constraint(shape: Shape, values: Values) -> None:
    _, height, width = shape
    if values["stride"] == 2 and (height % 2 or width % 2):
        raise InputError(
            f"residual_block of stride 2 on {height}x{width}",
            "its two branches agree on the size of their output for even sizes only",
        )


def _residual_layers(shape: Shape, values: Values) -> Iterable[Layer]:
    channels, height, width = shape
    out, stride = _integer(values, "out"), _integer(values, "stride")
    out_height, out_width = L.conv_size(height, stride), L.conv_size(width, stride)
    elements = out * out_height * out_width
    yield L.activation(channels * height * width)
    yield L.conv(channels, out, height, width, 3, stride)
    yield L.activation(elements)
    yield L.conv(out, out, out_height, out_width, 3, 1)
    if stride == 2:
        yield L.pool(shape, out_height * out_width)
        yield L.conv(channels, out, out_height, out_width, 1, 1, has_norm=False)
    elif out != channels:
        yield L.activation(channels * height * width)
        yield L.conv(channels, out, height, width, 1, 1)
    yield L.add(elements)


def _norm_layers(shape: Shape, values: Values) -> Iterable[Layer]:
    yield L.norm(shape[0], shape[1] * shape[2])
    yield from _activation_layers(values, math.prod(shape))


def _add_layers(shape: Shape, values: Values) -> Iterable[Layer]:
    # Two at a time, as every runtime does it.
    return [L.add(math.prod(shape))] * (_integer(values, "inputs") - 1)


def _pool_layers(shape: Shape, values: Values) -> Iterable[Layer]:
    _, height, width = _spatial(shape, values, shape[0])
    yield L.pool(shape, height * width)


def _zero_layers(shape: Shape, values: Values) -> Iterable[Layer]:
    channels, height, width = _spatial(shape, values, shape[0])
    yield L.fill(channels * height * width)


register(
    Kind(
        "conv",
        3,
        (_OUT, _KERNEL, _STRIDE, _ACTIVATION),
        lambda shape, values: _spatial(shape, values, _integer(values, "out")),
        _conv_layers,
    )
)
register(
    Kind(
        "depthwise_conv",
        3,
        (_KERNEL, _STRIDE, _ACTIVATION),
        lambda shape, values: _spatial(shape, values, shape[0]),
        _depthwise_layers,
    )
)
register(
    Kind(
        "mbconv",
        3,
        (
            _OUT,
            _KERNEL,
            _STRIDE,
            Attribute("expand"),
            _BLOCK_ACTIVATION,
            _GROUPS,
            _SQUEEZE,
            _EXPAND_CONV,
        ),
        lambda shape, values: _spatial(shape, values, _integer(values, "out")),
        _mbconv_layers,
        constraint=_mbconv_constraint,
        canonical=_mbconv_canonical,
    )
)
register(
    Kind(
        "relu_conv",
        3,
        (_OUT, _KERNEL, _STRIDE),
        lambda shape, values: _spatial(shape, values, _integer(values, "out")),
        _relu_conv_layers,
    )
)
register(
    Kind(
        "residual_block",
        3,
        (_OUT, Attribute("stride", most=2, default=1)),
        lambda shape, values: _spatial(shape, values, _integer(values, "out")),
        _residual_layers,
        constraint=_residual_constraint,
    )
)
register(
    Kind(
        "batch_norm",
        3,
        (Attribute("activation", choices=ACTIVATIONS, default="none"),),
        lambda shape, values: shape,
        _norm_layers,
    )
)
register(
    Kind(
        "add",
        3,
        (Attribute("inputs", least=2, most=_MOST_INPUTS, default=2),),
        lambda shape, values: shape,
        _add_layers,
    )
)
for _name in ("avg_pool", "max_pool"):
    register(
        Kind(
            _name,
            3,
            (_KERNEL, _STRIDE),
            lambda shape, values: _spatial(shape, values, shape[0]),
            _pool_layers,
        )
    )
register(
    Kind(
        "global_avg_pool",
        3,
        (),
        lambda shape, values: (shape[0],),
        lambda shape, values: [L.pool(shape, 1)],
    )
)
register(
    Kind(
        "linear",
        1,
        (_OUT,),
        lambda shape, values: (_integer(values, "out"),),
        lambda shape, values: [L.linear(shape[0], _integer(values, "out"))],
    )
)
register(
    Kind(
        "identity",
        3,
        (),
        lambda shape, values: shape,
        lambda shape, values: [],
        is_free=True,
    )
)
register(
    Kind(
        "zero",
        3,
        (_STRIDE,),
        lambda shape, values: _spatial(shape, values, shape[0]),
        _zero_layers,
    )
)
