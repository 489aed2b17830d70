"""The YAML of ProxylessNAS and once-for-all: ``{key: {mean: ms, count: runs}}``.

The two differ in their keys alone: :mod:`profiler.exchange.proxylessnas` and
:mod:`profiler.exchange.once_for_all`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from devices.errors import InputError
from profiler.exchange import once_for_all, plain_yaml, proxylessnas
from profiler.exchange.figures import latency_ms_of
from profiler.exchange.reading import Entry, Reading
from profiler.exchange.report import Listed, Written
from profiler.exchange.source import Source
from profiler.in_network import latencies_ms
from profiler.ops import OpSpec
from profiler.storage.portable import PortableRow

_POOL = re.compile(r"AvgPool2D-input:([0-9]+x[0-9]+x([0-9]+))-output:[0-9x]+")
_LINEAR = re.compile(r"Logits-input:1x1x([0-9]+)-output:([0-9]+)")
_BOTH = re.compile(r"Logits-input:([0-9]+x[0-9]+x([0-9]+))-output:([0-9]+)")
_NOTE = "the file has a mean a row: no interval, no spread, no single runs"


@dataclass(frozen=True)
class Dialect:
    """How keys are read and written.

    Attributes:
        name: of the format.
        spec_of: the op of a key, or :class:`InputError` with the reason.
        name_of: the key of an op, or :class:`InputError` with the reason.
        note: what its keys leave open.
    """

    name: str
    spec_of: Callable[[str], OpSpec]
    name_of: Callable[[OpSpec], str]
    note: str


DIALECTS: Mapping[str, Dialect] = {
    "proxylessnas": Dialect(
        "proxylessnas",
        proxylessnas.spec_of,
        proxylessnas.name_of,
        "keys do not say an activation; read as ReLU6, as in the paper",
    ),
    "once-for-all": Dialect(
        "once-for-all",
        once_for_all.spec_of,
        once_for_all.name_of,
        "keys do not tell ReLU from ReLU6, nor say what follows a Conv; all read as ReLU6",
    ),
}


def read(source: Source, dialect: Dialect) -> Reading:
    """The rows of a table in YAML.

    Raises:
        InputError: not a YAML mapping, or one that :mod:`profiler.exchange.plain_yaml` refuses.
    """
    document = plain_yaml.read_yaml(source)
    if not isinstance(document, plain_yaml.Mapping):
        kind = "a list" if isinstance(document, list) else "no mapping"
        raise InputError(
            f"{source.name} is not a latency table", f"it holds {kind}, not keys with a mean each"
        )
    entries = [_entry(name, fields, dialect) for name, fields in document]
    derived = _repeated_sums(entries) if dialect.name == "proxylessnas" else []
    return Reading(
        [entry for entry in entries if entry.name not in derived],
        settings={"statistic": "mean"},
        derived=tuple(derived),
        notes=(_NOTE, dialect.note),
    )


def _entry(name: Any, fields: Any, dialect: Dialect) -> Entry:
    if not isinstance(name, str):
        return Entry("(a key that is no text)", reason="not a key of this format")
    if not isinstance(fields, plain_yaml.Mapping):
        value, runs = (None if isinstance(fields, list) else fields), None
    else:
        value, runs = fields.get("mean"), fields.get("count")
    try:
        key = dialect.spec_of(name).key
    except InputError as error:
        reason = f"{error.what}: {error.why}" if error.why else error.what
        return Entry(name, value, reason=reason)
    if isinstance(fields, plain_yaml.Mapping) and fields.says_twice:
        return Entry(name, key=key, reason=f"says {fields.says_twice} twice")
    return Entry(name, value, key, details={"runs": runs})


def write(target: str, rows: Sequence[PortableRow], dialect: Dialect) -> Written:
    """A table as YAML.

    Args:
        target: what was measured on, for the comment at the top.
        rows: measurements; what an op takes in a network goes where the format has its mean.
        dialect: how keys are written.
    """
    import yaml

    shared = latencies_ms(((row.key, row.role, row.median_ms, row.ops) for row in rows), target)
    named: dict[str, dict[str, float | int]] = {}
    unmapped = []
    for row in rows:
        try:
            name = _name(row, dialect)
        except InputError as error:
            unmapped.append(Listed(row.key, error.what))
            continue
        named[name] = {"mean": shared[row.key]}
        if row.runs is not None:
            named[name]["count"] = row.runs
    figures = {name: fields["mean"] for name, fields in named.items()}
    sums = _sums(figures) if dialect.name == "proxylessnas" else {}
    everything = {**named, **{name: {"mean": value} for name, value in sums.items()}}
    # The comment is one line whatever the target holds: its device may be any printable text.
    head = f"# Latencies in ms of {target}, in a network, by Lutier. Keys: {dialect.name}.\n"
    body = yaml.safe_dump(everything, sort_keys=False, width=1000)
    return Written((head + body).encode(), len(named), tuple(unmapped), tuple(sums))


def _name(row: PortableRow, dialect: Dialect) -> str:
    if row.role != "op":
        raise InputError("the format has no whole networks")
    return dialect.name_of(OpSpec.parse(row.key))


def _sums(figures: Mapping[str, float]) -> dict[str, float]:
    """What ProxylessNAS calls ``Logits``: each pool plus each linear layer that fits behind it.

    Its code asks for the two in one figure. They are measured apart, and so is every other pair of
    neighbours in a table.
    """
    linear = [match for match in map(_LINEAR.fullmatch, figures) if match]
    pools = [match for match in map(_POOL.fullmatch, figures) if match]
    sums = {}
    for pool in pools:
        for layer in linear:
            shape, channels = pool.groups()
            if channels == layer.group(1) and not shape.startswith("1x1x"):
                name = f"Logits-input:{shape}-output:{layer.group(2)}"
                sums[name] = figures[pool.group(0)] + figures[layer.group(0)]
    return sums


def _repeated_sums(entries: Iterable[Entry]) -> list[str]:
    """Names of rows that say no more than two others: exactly the sums that are written."""
    figures: dict[str, float] = {}
    for entry in entries:
        try:
            figures[entry.name] = latency_ms_of(entry.value, "ms")
        except InputError:
            continue
    repeated = []
    for name, value in figures.items():
        if match := _BOTH.fullmatch(name):
            shape, channels, classes = match.groups()
            pool = figures.get(f"AvgPool2D-input:{shape}-output:1x1x{channels}")
            linear = figures.get(f"Logits-input:1x1x{channels}-output:{classes}")
            if not shape.startswith("1x1x") and None not in (pool, linear):
                repeated += [name] if value == (pool or 0) + (linear or 0) else []
    return repeated
