"""The vocabulary: every kind of op, its attributes, its shapes and its layers.

A new kind is one :func:`register` call here and one builder in ``profiler.builders.modules``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from numbers import Integral

from devices.errors import InputError, UnknownNameError
from profiler.ops import layers as L
from profiler.ops.layers import Layer

Value = int | str
Shape = tuple[int, ...]
Values = Mapping[str, Value]

ACTIVATIONS = ("none", "relu", "relu6")
_LARGEST = 1 << 20


@dataclass(frozen=True)
class Attribute:
    """One attribute of a kind: a whole number of at least ``least``, or one of ``choices``."""

    name: str
    least: int = 1
    choices: tuple[str, ...] = ()
    odd: bool = False
    default: Value | None = None

    def parse(self, text: str) -> Value:
        """Read a value from a key."""
        if self.choices:
            return text
        if not text.isascii() or not text.isdigit() or len(text) > 9:
            raise InputError(f"{self.name}={text[:40]!r}", "not a whole number")
        return int(text)

    def check(self, value: Value) -> Value:
        """Return the value, or raise :class:`InputError` saying what would be allowed."""
        if self.choices:
            if value not in self.choices:
                raise UnknownNameError.of(self.name, str(value), self.choices)
            return value
        if not isinstance(value, int) or isinstance(value, bool):
            raise InputError(f"{self.name}={value!r}", "not a whole number")
        if not self.least <= value <= _LARGEST:
            raise InputError(f"{self.name}={value}", f"must be {self.least} to {_LARGEST}")
        if self.odd and value % 2 == 0:
            raise InputError(f"{self.name}={value}", "must be odd, so that padding is symmetric")
        return value


def _unchecked(shape: Shape, values: Values) -> None:
    """The constraint of a kind that has none beyond its attributes."""


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
    """

    name: str
    rank: int
    attributes: tuple[Attribute, ...]
    output_shape: Callable[[Shape, Values], Shape]
    layers: Callable[[Shape, Values], Iterable[Layer]]
    is_free: bool = False
    constraint: Callable[[Shape, Values], None] = field(default=_unchecked)

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
        if len(shape) != self.rank or not whole or any(not 1 <= n <= _LARGEST for n in shape):
            wanted = "CxHxW" if self.rank == 3 else "features"
            raise InputError(
                f"{self.name} cannot take input {shape}", f"wants {wanted}, at least 1"
            )
        return tuple(int(n) for n in shape)

    def check_attributes(self, shape: Shape, given: Values) -> dict[str, Value]:
        """Fill in defaults and check every value."""
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
        return values


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


def _integer(values: Values, name: str) -> int:
    return int(values[name])


def _spatial(shape: Shape, values: Values, channels: int) -> Shape:
    stride = _integer(values, "stride")
    return (channels, L.conv_size(shape[1], stride), L.conv_size(shape[2], stride))


def _conv_layers(shape: Shape, values: Values) -> Iterable[Layer]:
    kernel, stride = _integer(values, "kernel"), _integer(values, "stride")
    yield L.conv(shape[0], _integer(values, "out"), shape[1], shape[2], kernel, stride)


def _depthwise_layers(shape: Shape, values: Values) -> Iterable[Layer]:
    channels, height, width = shape
    kernel, stride = _integer(values, "kernel"), _integer(values, "stride")
    yield L.conv(channels, channels, height, width, kernel, stride, groups=channels)


def _has_residual(shape: Shape, values: Values) -> bool:
    """Whether input and output of the block agree, so that the input is added (MobileNetV2)."""
    return values["stride"] == 1 and values["out"] == shape[0]


def _mbconv_layers(shape: Shape, values: Values) -> Iterable[Layer]:
    channels, height, width = shape
    stride = _integer(values, "stride")
    hidden = channels * _integer(values, "expand")
    out_height, out_width = L.conv_size(height, stride), L.conv_size(width, stride)
    if hidden != channels:
        yield L.conv(channels, hidden, height, width, 1, 1)
    yield L.conv(hidden, hidden, height, width, _integer(values, "kernel"), stride, groups=hidden)
    yield L.conv(hidden, _integer(values, "out"), out_height, out_width, 1, 1)
    if _has_residual(shape, values):
        yield L.add(channels * height * width)


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
        (_OUT, _KERNEL, _STRIDE, Attribute("expand")),
        lambda shape, values: _spatial(shape, values, _integer(values, "out")),
        _mbconv_layers,
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
