"""KernelSpec: one node of a runtime's own graph, as a plain value."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from devices.errors import InputError

Scalar = int | float | str
Attribute = Scalar | tuple[Scalar, ...]

ONNXRUNTIME, LITERT = "onnxruntime", "litert"
RUNTIMES = (ONNXRUNTIME, LITERT)
"""Runtimes whose networks can be taken apart."""
KEY_LIMIT = 500
"""Characters of a key that a store has room for."""
_MOST_COPIES = 8
_COPIED_WEIGHT_BYTES = 2**23
_COPIED_OUTPUT_BYTES = 2**23

_TYPES = {
    "f16": ("float16", 2),
    "f32": ("float32", 4),
    "f64": ("float64", 8),
    "bool": ("bool", 1),
    **{
        f"{letter}{bits}": (f"{name}{bits}", bits // 8)
        for letter, name in (("i", "int"), ("u", "uint"))
        for bits in (8, 16, 32, 64)
    },
}
_SHORT = {name: short for short, (name, _) in _TYPES.items()}
_SIZES = dict(_TYPES.values())

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,99}")
_OPERAND = re.compile(
    r"(?P<weight>w?)(?:(?P<type>[a-z]+\d*):)?(?P<shape>scalar|\d{1,9}(?:x\d{1,9}){0,9})"
    r"(?:=(?P<values>[^,*>/=]+))?(?:\*(?P<count>\d{1,3}))?"
)
_INTEGER = re.compile(r"-?\d{1,19}")
_TEXT = re.compile(r"[A-Za-z0-9_.]{1,60}")


@dataclass(frozen=True, order=True)
class Operand:
    """A tensor that a kernel reads or writes.

    Attributes:
        shape: as it lies in memory, in the runtime's own layout.
        type_name: of its elements, in numpy's words.
        is_weight: whether it stands in the file: a runtime may prepare it when it loads.
        values: of a weight that says what is to be done, such as the new shape of a ``Reshape``,
            row by row; empty for all others.
    """

    shape: tuple[int, ...]
    type_name: str = "float32"
    is_weight: bool = False
    values: tuple[int | float, ...] = ()

    @property
    def count(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def size_bytes(self) -> int:
        """What it takes in memory."""
        return self.count * _SIZES[self.type_name]

    @property
    def text(self) -> str:
        """As it stands in a key: ``1x16x56x56``, ``w16x1x3x3``, ``wi64:4=1;16;8;8``."""
        kind = "" if self.type_name == "float32" else f"{_SHORT[self.type_name]}:"
        shape = "x".join(map(str, self.shape)) or "scalar"
        values = "=" + ";".join(map(_scalar_text, self.values)) if self.values else ""
        return f"{'w' if self.is_weight else ''}{kind}{shape}{values}"


@dataclass(frozen=True, order=True)
class KernelSpec:
    """One node of the graph that a runtime runs: fused, and in the runtime's own layout.

    Use :meth:`parse`, :func:`profiler.kernels.graph.kernels_of` or
    :func:`profiler.kernels.tflite_graph.tflite_kernels`, which check.

    Attributes:
        domain: of the operator; ``onnx`` stands for the one without a name, ``tflite`` for the
            operators that TFLite has built in.
        op_type: ``Conv``.
        version: of the operator.
        inputs: in order; None for one that is left out.
        outputs: in order; None for one that nobody takes.
        attributes: pairs, sorted by name.
        runtime: that runs it.
    """

    domain: str
    op_type: str
    version: int
    inputs: tuple[Operand | None, ...]
    outputs: tuple[Operand | None, ...]
    attributes: tuple[tuple[str, Attribute], ...] = ()
    runtime: str = ONNXRUNTIME

    @classmethod
    def parse(cls, key: str) -> KernelSpec:
        """Read a kernel back from its :attr:`key`.

        Raises:
            InputError: the text is not a key.
        """
        if len(key) > KEY_LIMIT:
            raise InputError(
                f"{key[:80]!r} is no kernel", f"{len(key)} characters, more than {KEY_LIMIT}"
            )
        fields = key.split("/")
        head = fields[1].split(":") if len(fields) == 4 else []
        ends = fields[2].split(">") if len(fields) == 4 else []
        version = head[2] if len(head) == 3 else ""
        named = len(head) == 3 and all(_NAME.fullmatch(name) for name in head[:2])
        if not (named and fields[0] in RUNTIMES and len(ends) == 2 and version.isdigit()):
            raise InputError(
                f"{key[:80]!r} is not a kernel",
                "a kernel is written runtime/domain:op:version/inputs>outputs/name=value,...",
                "onnxruntime/onnx:Relu:14/1x8x4x4>1x8x4x4/",
            )
        attributes: dict[str, Attribute] = {}
        for pair in filter(None, fields[3].split(",")):
            name, separator, text = pair.partition("=")
            if not separator or name in attributes or not _NAME.fullmatch(name):
                raise InputError(f"{key[:80]!r} is not a kernel", f"cannot read {pair[:80]!r}")
            attributes[name] = _parse_attribute(text)
        inputs, outputs = (tuple(_parse_operands(text)) for text in ends)
        pairs = tuple(sorted(attributes.items()))
        return cls(head[0], head[1], int(version), inputs, outputs, pairs, fields[0])

    @cached_property
    def key(self) -> str:
        """Canonical text, e.g. ``onnxruntime/onnx:Relu:14/1x8x4x4>1x8x4x4/``."""
        ends = ">".join(_operands_text(end) for end in (self.inputs, self.outputs))
        pairs = ",".join(f"{name}={_attribute_text(value)}" for name, value in self.attributes)
        return f"{self.runtime}/{self.domain}:{self.op_type}:{self.version}/{ends}/{pairs}"

    @property
    def kind(self) -> str:
        """Domain and operator: what kernels are alike by."""
        return f"{self.domain}:{self.op_type}"

    def attribute(self, name: str, default: Attribute) -> Attribute:
        """The value of an attribute, or the default where the node does not say."""
        return dict(self.attributes).get(name, default)

    @property
    def weights(self) -> tuple[Operand, ...]:
        """The inputs that stand in the file."""
        return tuple(each for each in self.inputs if each is not None and each.is_weight)

    @property
    def activations(self) -> tuple[Operand, ...]:
        """The inputs that other nodes make."""
        return tuple(each for each in self.inputs if each is not None and not each.is_weight)

    @property
    def weight_bytes(self) -> int:
        """Bytes of weights."""
        return sum(each.size_bytes for each in self.weights)

    @property
    def is_product(self) -> bool:
        """Whether it is a product of matrices."""
        return self.op_type in _PRODUCTS

    @property
    def copies(self) -> int:
        """How often the kernel stands in the file that it is measured by, one after the other.

        It is part of what a stored latency means, and never changes for a key: a kernel of a few
        microseconds is lost in what a call costs, and the weights of one alone stay in a cache that
        a network's do not fit in. LiteRT leaves out what nobody takes, so that there the outputs of
        all copies are kept, and share the caches too.
        """
        most = min(_MOST_COPIES, _COPIED_WEIGHT_BYTES // max(self.weight_bytes, 1))
        if self.runtime == LITERT:
            kept_bytes = sum(each.size_bytes for each in self.outputs if each is not None)
            most = min(most, _COPIED_OUTPUT_BYTES // max(kept_bytes, 1))
        return max(1, most)

    @property
    def flops(self) -> int:
        """Multiplications and additions of a product of matrices or convolution; 0 for others."""
        out = next((each for each in self.outputs if each is not None), None)
        if out is None or len(self.inputs) < 2 or self.inputs[1] is None:
            return 0
        second = self.inputs[1].shape
        if self.op_type == "DEPTHWISE_CONV_2D":
            return 2 * out.count * math.prod(second[1:3])
        if "Conv" in self.op_type or self.op_type in ("CONV_2D", "CONV_3D"):
            return 2 * out.count * math.prod(second[1:])
        first = self.inputs[0]
        if self.is_product and first is not None and first.shape:
            turned = self.attribute("transA", 0) == 1 or self.attribute("adjX", 0) == 1
            is_turned = turned and len(first.shape) > 1
            return 2 * out.count * first.shape[-2 if is_turned else -1]
        return 0

    def __str__(self) -> str:
        return self.key


_PRODUCTS = {
    *("Gemm", "MatMul", "FusedMatMul", "FusedGemm", "MatMulInteger", "MatMulIntegerToFloat"),
    *("FULLY_CONNECTED", "BATCH_MATMUL"),
}


def _operands_text(operands: Sequence[Operand | None]) -> str:
    texts = ["-" if each is None else each.text for each in operands]
    runs = [(text, len(list(run))) for text, run in groupby(texts)]
    return ",".join(text if count == 1 else f"{text}*{count}" for text, count in runs)


def _parse_operands(text: str) -> Iterable[Operand | None]:
    for part in filter(None, text.split(",")):
        if part == "-" or re.fullmatch(r"-\*\d{1,3}", part):
            yield from [None] * int(part[2:] or 1)
            continue
        found = _OPERAND.fullmatch(part)
        if found is None or (found["type"] or "f32") not in _TYPES:
            raise InputError(f"{part[:80]!r} is not a tensor of a kernel", hint="1x16x8x8")
        shape = () if found["shape"] == "scalar" else tuple(map(int, found["shape"].split("x")))
        values = [_parse_scalar(each) for each in (found["values"] or "").split(";") if each]
        numbers = tuple(each for each in values if not isinstance(each, str))
        if len(numbers) != len(values) or len(numbers) not in (0, math.prod(shape)):
            raise InputError(f"{part[:80]!r} is not a tensor of a kernel", "its values do not fit")
        type_name = _TYPES[found["type"] or "f32"][0]
        operand = Operand(shape, type_name, bool(found["weight"]), numbers)
        yield from [operand] * int(found["count"] or 1)


def _attribute_text(value: Attribute) -> str:
    if isinstance(value, tuple):
        return "[" + ";".join(map(_scalar_text, value)) + "]"
    return _scalar_text(value)


def _scalar_text(value: Scalar) -> str:
    return f"'{value}'" if isinstance(value, str) else repr(value)


def _parse_attribute(text: str) -> Attribute:
    if text.startswith("[") and text.endswith("]"):
        return tuple(_parse_scalar(each) for each in text[1:-1].split(";") if each)
    return _parse_scalar(text)


def _parse_scalar(text: str) -> Scalar:
    if text.startswith("'") and text.endswith("'") and _TEXT.fullmatch(text[1:-1]):
        return text[1:-1]
    if _INTEGER.fullmatch(text):
        return int(text)
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{text[:80]!r} is not a value of a kernel") from None


def is_plain_text(text: str) -> bool:
    """Whether a word can stand in a key."""
    return bool(_TEXT.fullmatch(text))


def is_type(type_name: str) -> bool:
    """Whether tensors of a type can stand in a key."""
    return type_name in _SHORT
