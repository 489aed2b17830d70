"""Latency tables of FBNet's public code.

Two are read:

- ``lookup_table.txt`` of github.com/AnnaAraslanova/FBNet
  (``supernet_functions/lookup_table_builder.py``): a line of op names, then one line of latencies
  in us for each of the 22 searched layers of Table 1 in Wu et al., CVPR 2019. The file says no
  shapes: they are the paper's, for 224x224 images.
- JSON of the items of ``LutTable`` in github.com/facebookresearch/mobile-vision
  (``mobile_cv/lut/lib/lut_schema.py``), ``[{"op": {"type": ..., "info": {...}}, "input_shapes":
  [[1, 3, 224, 224]], "latency": 1.2}]``. The repository itself keeps them as a pickle, which is
  never loaded here; ``docs/tables.md`` has the lines that write the JSON.

What an op of theirs is: ``ir_k3_e6`` has kernel 3 and expansion 6; ``_s2`` stands for 1x1
convolutions in 2 groups with a channel shuffle, at expansion 1, and ``_s4`` for 4 groups at
expansion 4; ``skip`` is nothing where the shape stays, else a 1x1 convolution. Activations are
ReLU. Source: ``PRIMITIVES`` of ``fbnet_building_blocks/fbnet_builder.py``.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from devices.errors import InputError
from profiler.exchange.figures import number_of, shorten
from profiler.exchange.reading import Entry, Reading
from profiler.exchange.source import Source
from profiler.ops import OpSpec

_STAGES = ((16, 16, 112, 1, 1), (16, 24, 112, 2, 4), (24, 32, 56, 2, 4), (32, 64, 28, 2, 4))
_LATE_STAGES = ((64, 112, 14, 1, 4), (112, 184, 14, 2, 4), (184, 352, 7, 1, 1))
_BLOCK = re.compile(r"ir_k([0-9]{1,2})_(?:e([0-9])|s([24]))(_se)?")
_GROUPED = {"2": 1, "4": 4}
"""Expansion of the blocks whose 1x1 convolutions have groups."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def layers() -> list[tuple[tuple[int, int, int], int, int]]:
    """Input shape (CxHxW), output channels and stride of the 22 searched layers, in order."""
    found = []
    for channels, out, size, stride, count in (*_STAGES, *_LATE_STAGES):
        found.append(((channels, size, size), out, stride))
        after = size // stride
        found += [((out, after, after), out, 1)] * (count - 1)
    return found


def read(source: Source) -> Reading:
    """The ops in a file, with their latencies.

    Raises:
        InputError: neither of the two formats.
    """
    text = source.text().lstrip()
    if text.startswith(("[", "{")):
        return _read_items(source)
    return _read_lines(source.name, text)


def _read_lines(name: str, text: str) -> Reading:
    lines = [line.split() for line in text.splitlines() if line.strip()]
    ops, rows = lines[0], lines[1:]
    known = layers()
    if not all(_NAME.fullmatch(op) for op in ops) or len(rows) != len(known):
        raise InputError(
            f"{name} is not a lookup_table.txt of FBNet",
            f"such a file has a line of op names and {len(known)} lines of latencies",
        )
    entries = []
    for number, (row, layer) in enumerate(zip(rows, known, strict=True), start=1):
        for i, op in enumerate(ops):
            label = f"layer {number} {shorten(op, 60)}"
            value = row[i] if i < len(row) else None
            entries.append(_entry(label, value, lambda op=op, layer=layer: _block(op, *layer)))
    return Reading(
        _joined(entries),
        unit="us",
        settings={"statistic": "mean"},
        notes=(
            "the file says no shapes: they are those of FBNet's paper, for 224x224 images",
            "layers of one shape were joined by the median of their figures",
        ),
    )


def _block(op: str, shape: tuple[int, int, int], out: int, stride: int) -> OpSpec:
    """The op of a name of theirs in one of the layers."""
    if op == "skip":
        if shape[0] == out and stride == 1:
            raise InputError("a network has no node for a skip that keeps the shape")
        return OpSpec.make("conv", shape, out=out, kernel=1, stride=stride, activation="relu")
    match = _BLOCK.fullmatch(op)
    if match is None:
        raise InputError("the vocabulary has no such op")
    kernel, expand, groups, squeeze = match.groups()
    if squeeze:
        raise InputError("a block with squeeze-and-excite, which the vocabulary's mbconv has not")
    return OpSpec.make(
        "mbconv",
        shape,
        out=out,
        kernel=int(kernel),
        stride=stride,
        expand=int(expand) if expand else _GROUPED[groups],
        groups=int(groups or 1),
        activation="relu",
        # Unlike MobileNetV2's, FBNet's block has its first 1x1 convolution at expansion 1 too.
        expand_conv="always",
    )


def _entry(label: str, value: object, meaning: Any) -> Entry:
    try:
        return Entry(label, value, meaning().key)
    except InputError as error:
        reason = f"{error.what}: {error.why}" if error.why else error.what
        return Entry(label, value, reason=reason)


def _joined(entries: Sequence[Entry]) -> list[Entry]:
    """One entry a key: layers of one shape are the same op, measured several times."""
    groups: dict[str, list[Entry]] = {}
    joined: list[Entry] = []
    for entry in entries:
        try:
            number_of(entry.value)
        except InputError:
            joined.append(entry)
            continue
        if entry.key is None:
            joined.append(entry)
        else:
            groups.setdefault(entry.key, []).append(entry)
    for key, group in groups.items():
        value = statistics.median(number_of(entry.value) for entry in group)
        joined.append(Entry(group[0].name, value, key))
    return joined


def _read_items(source: Source) -> Reading:
    document = source.json()
    items = document if isinstance(document, list) else [document]
    if not all(isinstance(item, dict) and {"op", "latency"} <= item.keys() for item in items):
        raise InputError(
            f"{source.name} is not a latency table of mobile-vision",
            "it needs a list of objects with op, input_shapes and latency; latencies without ops"
            " cannot be told apart",
        )
    entries = [
        _entry(_label(item), item.get("latency"), lambda item=item: _operator(item))
        for item in items
    ]
    return Reading(entries, settings={"statistic": "as in the file"})


def _label(item: Mapping[str, Any]) -> str:
    op = item["op"]
    kind = op.get("type") if isinstance(op, dict) else op
    return shorten(f"{kind} {item.get('input_shapes')} {op}")


def _operator(item: Mapping[str, Any]) -> OpSpec:
    """The op of an item: a convolution, a linear layer or a global pool, bias and all."""
    op, shapes = item["op"], item.get("input_shapes")
    info = op.get("info") if isinstance(op, dict) else None
    if not isinstance(info, dict) or not isinstance(shapes, list) or len(shapes) != 1:
        raise InputError("no op with a single input")
    shape = tuple(shapes[0]) if isinstance(shapes[0], list) else ()
    if not all(_whole(size) for size in shape) or len(shape) not in (2, 4) or shape[0] != 1:
        raise InputError("not an input of one sample")
    if op.get("type") == "Conv2d" and len(shape) == 4:
        return _convolution(info, shape[1:])
    if op.get("type") == "Linear" and len(shape) == 2 and info.get("in_features") == shape[1]:
        return OpSpec.make("linear", shape[1:], out=_number(info, "out_features"))
    if op.get("type") == "AdaptiveAvgPool2d" and info.get("output_size") in (1, [1, 1]):
        return OpSpec.make("global_avg_pool", shape[1:])
    raise InputError("the vocabulary has no such op")


def _convolution(info: Mapping[str, Any], shape: tuple[int, ...]) -> OpSpec:
    kernel, stride, padding, dilation = (
        _square(info, name) for name in ("kernel_size", "stride", "padding", "dilation")
    )
    channels, out, groups = (
        _number(info, name) for name in ("in_channels", "out_channels", "groups")
    )
    if channels != shape[0] or dilation != 1 or padding != kernel // 2:
        raise InputError("a convolution with padding or dilation that the vocabulary has not")
    words: dict[str, int | str] = {"kernel": kernel, "stride": stride, "activation": "none"}
    if groups == 1:
        return OpSpec.make("conv", shape, out=out, **words)
    if groups == channels == out:
        return OpSpec.make("depthwise_conv", shape, **words)
    raise InputError("a grouped convolution, which the vocabulary has not on its own")


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _number(info: Mapping[str, Any], name: str) -> int:
    value = info.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputError(f"no whole number as {name}")
    return value


def _square(info: Mapping[str, Any], name: str) -> int:
    value = info.get(name)
    if isinstance(value, list) and len(value) == 2 and value[0] == value[1]:
        value = value[0]
    return _number({name: value}, name)
