"""OpSpec: what is measured, as a plain value."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from devices.errors import InputError
from profiler.ops.attribute import Value
from profiler.ops.kinds import Kind, kind_of
from profiler.ops.layers import Layer

_SHAPE = re.compile(r"[1-9][0-9]{0,8}(x[1-9][0-9]{0,8}){0,2}")
_KEY_LIMIT = 400


@dataclass(frozen=True, order=True)
class OpSpec:
    """One operation: its kind, input shape and attributes. Hashable; no torch inside.

    Use :meth:`make`, which fills in defaults and checks every value, or :meth:`parse`.

    Attributes:
        kind: name in the vocabulary, e.g. ``mbconv``.
        input_shape: ``(channels, height, width)`` or ``(features,)``, without the batch.
        attributes: sorted pairs, every attribute of the kind present.
    """

    kind: str
    input_shape: tuple[int, ...]
    attributes: tuple[tuple[str, Value], ...]

    @classmethod
    def make(cls, kind: str, input_shape: tuple[int, ...], **attributes: Value) -> OpSpec:
        """Build a checked op.

        Raises:
            UnknownNameError: no such kind or attribute.
            InputError: a shape or value the kind does not allow, or a missing attribute.
        """
        definition = kind_of(kind)
        shape = definition.check_shape(tuple(input_shape))
        values = definition.check_attributes(shape, attributes)
        return cls(kind, shape, tuple(sorted(values.items())))

    @classmethod
    def parse(cls, key: str) -> OpSpec:
        """Read an op back from its :attr:`key`.

        Raises:
            InputError: the text is not a key.
        """
        fields = key.split("/") if len(key) <= _KEY_LIMIT else []
        if len(fields) != 3 or not _SHAPE.fullmatch(fields[1]):
            raise InputError(
                f"{key[:80]!r} is not an op",
                "an op is written kind/CxHxW/name=value,...",
                "mbconv/16x32x32/expand=3,kernel=5,out=24,stride=2",
            )
        kind, shape, pairs = fields
        definition = kind_of(kind)
        attributes: dict[str, Value] = {}
        for pair in filter(None, pairs.split(",")):
            name, separator, text = pair.partition("=")
            if not separator or name in attributes:
                raise InputError(f"{key[:80]!r} is not an op", f"cannot read {pair!r}")
            attributes[name] = definition.attribute(name).parse(text)
        return cls.make(kind, tuple(int(n) for n in shape.split("x")), **attributes)

    @cached_property
    def key(self) -> str:
        """Canonical text, e.g. ``mbconv/16x32x32/expand=3,kernel=5,out=24,stride=2``.

        An attribute that a kind got later is left out where it has its default
        (:attr:`~profiler.ops.kinds.Attribute.in_key`); :meth:`parse` reads both spellings.
        """
        shape = "x".join(map(str, self.input_shape))
        definition = self.definition
        pairs = ",".join(
            f"{name}={value}"
            for name, value in self.attributes
            if definition.attribute(name).is_said(value)
        )
        return f"{self.kind}/{shape}/{pairs}"

    def __str__(self) -> str:
        return self.key

    def __getitem__(self, name: str) -> Value:
        """The value of one attribute."""
        return self._values[name]

    def integer(self, name: str) -> int:
        """The value of an attribute that is a whole number."""
        return int(self._values[name])

    @cached_property
    def _values(self) -> dict[str, Value]:
        return dict(self.attributes)

    @property
    def definition(self) -> Kind:
        """The vocabulary entry of this op's kind."""
        return kind_of(self.kind)

    @cached_property
    def output_shape(self) -> tuple[int, ...]:
        """``(channels, height, width)`` or ``(features,)``, without the batch."""
        return self.definition.output_shape(self.input_shape, self._values)

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The primitive layers, in order."""
        return tuple(self.definition.layers(self.input_shape, self._values))

    @property
    def is_free(self) -> bool:
        """Whether a network that holds this op has no node for it, so that it costs nothing."""
        return self.definition.is_free

    @property
    def flops(self) -> int:
        """Floating-point operations of one sample, by ``torch.utils.flop_counter``'s convention."""
        return sum(layer.flops for layer in self.layers)

    @property
    def parameters(self) -> int:
        """Trainable parameters of the torch module."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def bytes_moved(self) -> int:
        """Bytes read and written by the layers of one float32 sample, batch norm folded."""
        return sum(layer.bytes_moved for layer in self.layers)
