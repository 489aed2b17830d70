"""From the rows of a file to measurements that can be stored, and a reason for every other row."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from devices.errors import InputError
from profiler.exchange.figures import count_of, in_ms, latency_ms_of, number_of, shorten
from profiler.exchange.reading import Entry, Reading
from profiler.exchange.report import Listed
from profiler.kernels import KernelSpec
from profiler.kernels.files import is_made_of_kernels, is_shared
from profiler.ops import OpSpec
from profiler.quality import SOUND
from profiler.storage.portable import PortableRow, PortableVisit

_KEY_LIMIT = 500
_OPS_LIMIT = 200_000
_WORDS = re.compile(r"[a-z_]{1,20}(?: [a-z_]{1,20}){0,8}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Screened:
    """The rows of a file, told apart.

    Attributes:
        rows: measurements of distinct keys, in order of the file.
        rejected: rows that cannot be used: their figures, or another row of the same key.
        unmapped: rows that Lutier has no word for.
    """

    rows: tuple[PortableRow, ...]
    rejected: tuple[Listed, ...]
    unmapped: tuple[Listed, ...]


def screen(reading: Reading, unit: str, settings: Mapping[str, Any]) -> Screened:
    """Tell the rows of a file apart.

    Of several rows with one key none is taken, because nobody knows which is right; where they
    agree to the last digit the first is.

    Args:
        reading: the file.
        unit: what its latencies are in.
        settings: what every protocol is marked with.
    """
    taken: dict[str, list[tuple[str, PortableRow]]] = {}
    rejected, unmapped = [], []
    for entry in reading.entries:
        name = shorten(entry.name)
        if entry.key is None:
            unmapped.append(Listed(name, shorten(entry.reason)))
            continue
        try:
            key = _key(entry)
        except InputError as error:
            unmapped.append(Listed(name, shorten(_reason(error))))
            continue
        try:
            row = _row(entry, key, reading, unit, settings)
        except InputError as error:
            rejected.append(Listed(name, shorten(_reason(error))))
            continue
        taken.setdefault(key, []).append((name, row))
    rows = []
    for key, found in taken.items():
        first = found[0][1]
        agree = all(row == first for _, row in found)
        if agree:
            rows.append(first)
        for name, row in found[1:] if agree else found:
            reason = (
                f"stands there {len(found)} times with the same figures; the first was taken"
                if agree
                else f"one of {len(found)} rows of {key} that differ, here {row.median_ms!r} ms"
            )
            rejected.append(Listed(name, shorten(reason)))
    return Screened(tuple(rows), tuple(rejected), tuple(unmapped))


def _reason(error: InputError) -> str:
    return f"{error.what}: {error.why}" if error.why else error.what


def _key(entry: Entry) -> str:
    """The key as the store holds it.

    Raises:
        InputError: no op or network that a table can hold.
    """
    key = entry.key or ""
    if entry.role in ("network", "carrier", "call"):
        if not key or len(key) > _KEY_LIMIT or not key.isprintable():
            raise InputError("no name that a network can have")
        return key
    if entry.role == "kernel":
        return key if is_shared(key) else KernelSpec.parse(key).key
    if entry.role != "op":
        raise InputError(f"role {entry.role!r}", "must be op, network, carrier, call or kernel")
    spec = OpSpec.parse(key)
    if spec.is_free:
        raise InputError("a network has no node for it, so that it has no latency")
    return spec.key


def _row(
    entry: Entry, key: str, reading: Reading, unit: str, settings: Mapping[str, Any]
) -> PortableRow:
    if entry.reason:
        raise InputError(entry.reason)
    details = entry.details
    median_ms = latency_ms_of(entry.value, unit)
    low, high = (_latency(details, name, unit) for name in ("ci_low_ms", "ci_high_ms"))
    if (low is None) != (high is None) or not (low or median_ms) <= median_ms <= (
        high or median_ms
    ):
        raise InputError("an interval that does not hold the latency")
    return PortableRow(
        key=key,
        role=entry.role,
        median_ms=median_ms,
        ci_low_ms=low,
        ci_high_ms=high,
        spread=_share(details, "spread"),
        split_half=_share(details, "split_half"),
        visits=_count(details, "visits"),
        runs=_count(details, "runs"),
        exponent=_share(details, "exponent"),
        nominal_ms=_latency(details, "nominal_ms", unit),
        findings=_findings(details),
        ops=_ops(details),
        protocol={**_protocol(details, reading), **settings},
        artifact_sha256=_sha256(details),
        started_at=_time(details.get("started_at"), "started_at"),
        finished_at=_time(details.get("finished_at"), "finished_at"),
        recorded=_recorded(details, unit),
    )


def _is_unknown(value: object) -> bool:
    """Whether a cell holds nothing: null, empty, or NaN, which is how a number column says it."""
    return value is None or value == "" or value != value


def _latency(details: Mapping[str, Any], name: str, unit: str) -> float | None:
    value = details.get(name)
    if _is_unknown(value):
        return None
    try:
        return latency_ms_of(value, unit)
    except InputError as error:
        raise InputError(f"{name}: {error.what}") from error


def _share(details: Mapping[str, Any], name: str) -> float | None:
    value = details.get(name)
    if _is_unknown(value):
        return None
    try:
        share = number_of(value)
    except InputError as error:
        raise InputError(f"{name}: {error.what}") from error
    if share < 0:
        raise InputError(f"{name}: negative")
    return share


def _count(details: Mapping[str, Any], name: str) -> int | None:
    value = details.get(name)
    if _is_unknown(value):
        return None
    try:
        return count_of(value)
    except InputError as error:
        raise InputError(f"{name}: {error.what}") from error


def _findings(details: Mapping[str, Any]) -> str | None:
    value = details.get("findings")
    if _is_unknown(value):
        return None
    if not isinstance(value, str) or not _WORDS.fullmatch(value):
        raise InputError("findings: not names of rules")
    if SOUND in value.split() and value != SOUND:
        raise InputError("findings: sound, and not sound")
    return value


def _ops(details: Mapping[str, Any]) -> str | None:
    value = details.get("ops")
    if _is_unknown(value):
        return None
    if not isinstance(value, str) or len(value) > _OPS_LIMIT:
        raise InputError("ops: not keys of ops")
    try:
        if is_made_of_kernels(value):
            return " ".join(KernelSpec.parse(key).key for key in value.split())
        return " ".join(OpSpec.parse(key).key for key in value.split())
    except InputError as error:
        raise InputError(f"ops: {error.what}") from error


def _sha256(details: Mapping[str, Any]) -> str | None:
    value = details.get("artifact_sha256")
    if _is_unknown(value):
        return None
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise InputError("artifact_sha256: not 64 hex digits")
    return value


def _time(value: object, name: str) -> datetime | None:
    if _is_unknown(value):
        return None
    try:
        time = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        # A time without a zone is UTC, as the store has it.
        return time if time.tzinfo is None else time.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{name}: not a time") from error


def _protocol(details: Mapping[str, Any], reading: Reading) -> Mapping[str, Any]:
    protocol_id = details.get("protocol_id")
    if _is_unknown(protocol_id):
        return {}
    known = reading.protocols.get(str(protocol_id))
    if known is None:
        # A bare id says nothing of how something was measured, but is kept as what it is.
        return {"protocol_id": shorten(str(protocol_id), 40)}
    return known


def _recorded(details: Mapping[str, Any], unit: str) -> tuple[PortableVisit, ...]:
    visits, times = details.get("visits_ms"), details.get("visits_at")
    if not visits:
        return ()
    if not isinstance(visits, Sequence) or not isinstance(times, Sequence):
        raise InputError("visits_ms: not lists of runs with their times")
    if len(visits) != len(times) or not all(isinstance(visit, list) and visit for visit in visits):
        raise InputError("visits_ms: not as many visits as times, or one without runs")
    references = details.get("references_ms") or [[]] * len(visits)
    if not isinstance(references, Sequence) or len(references) != len(visits):
        raise InputError("references_ms: not as many as visits")
    recorded = []
    for visit, at, beside in zip(visits, times, references, strict=True):
        if not isinstance(beside, list):
            raise InputError("references_ms: not lists of runs")
        measured_at = _time(at, "visits_at")
        if measured_at is None:
            raise InputError("visits_at: a visit without its time")
        samples = tuple(_sample(value, unit, "visits_ms") for value in visit)
        reference = tuple(_sample(value, unit, "references_ms") for value in beside)
        if 0 in reference:
            raise InputError("references_ms: zero")
        recorded.append(PortableVisit(measured_at, samples, reference))
    return tuple(recorded)


def _sample(value: object, unit: str, name: str) -> float:
    # A clock may be too coarse for a run, so that single runs, unlike medians, may be zero.
    try:
        number = number_of(value)
        sample = in_ms(number, unit) if number > 0 else number
    except InputError as error:
        raise InputError(f"{name}: {error.what}") from error
    if sample < 0:
        raise InputError(f"{name}: negative")
    return sample or 0.0
