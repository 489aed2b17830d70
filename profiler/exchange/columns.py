"""The columns of our own formats: CSV, Parquet and JSON hold the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from devices.environment import Environment
from devices.errors import InputError
from profiler.exchange.figures import shorten
from profiler.exchange.reading import Entry, Reading
from profiler.storage.portable import SUMMARY, PortableRow

FORMAT = "lutier-table"
VERSION = 1
LATENCY_NAMES = ("median_ms", "latency_ms", "median", "latency")
"""What the latency may be called in tables that others wrote; the first one is ours."""
COLUMNS = (
    "key",
    "role",
    *SUMMARY,
    "ops",
    "protocol_id",
    "artifact_sha256",
    "started_at",
    "finished_at",
)
"""Columns of every one of our own formats; JSON and Parquet add the single runs."""
RUNS_COLUMNS = ("visits_ms", "visits_at", "references_ms")
"""The timed runs of each visit in ms, when it was made, and the reference beside it."""
Facts = Mapping[str, str]


def cells(row: PortableRow) -> dict[str, Any]:
    """The values of :data:`COLUMNS`, and of :data:`RUNS_COLUMNS` as lists; times stay times."""
    values = {name: getattr(row, name) for name in COLUMNS}
    return {
        **values,
        "visits_ms": [list(visit.samples_ms) for visit in row.recorded],
        "visits_at": [visit.measured_at for visit in row.recorded],
        "references_ms": [list(visit.reference_ms) for visit in row.recorded],
    }


def header(target: str, environment: Environment, rows: Sequence[PortableRow]) -> dict[str, Any]:
    """All that is said once a file: format, target, machine and protocols."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "target": target,
        "environment_id": environment.id,
        "environment": environment.to_dict(),
        "protocols": {row.protocol_id: dict(row.protocol) for row in rows},
    }


def latency_column(name: str, columns: Sequence[str]) -> str:
    """Which column has the latency.

    Args:
        name: of the file.
        columns: of the table in it.

    Raises:
        InputError: none has, or the keys are missing.
    """
    found = next((column for column in LATENCY_NAMES if column in columns), None)
    if found is None or "key" not in columns:
        known = ", ".join(shorten(column, 40) for column in columns[:12]) or "none"
        raise InputError(
            f"{name} is not a latency table",
            f"it needs the columns key and {LATENCY_NAMES[0]}, and has {known}",
            "another --format",
        )
    return found


def entry(row: Mapping[str, Any], latency: str) -> Entry:
    """One row of a table with our columns; those that are missing are not known."""
    key = row.get("key")
    name = key if isinstance(key, str) else str(key)[:200]
    role = row.get("role")
    return Entry(
        name=name,
        value=row.get(latency),
        key=name,
        role="op" if role in (None, "") else str(role)[:40],
        details={column: value for column, value in row.items() if column not in ("key", latency)},
    )


def reading(name: str, said: Mapping[str, Any], entries: Sequence[Entry]) -> Reading:
    """A file of one of our own formats.

    Args:
        name: of the file.
        said: what it says once, as :func:`header` gives it; empty for a table of others.
        entries: its rows.

    Raises:
        InputError: a newer version, or facts that are not what they should be.
    """
    if not said:
        return Reading(entries)
    if said.get("format") != FORMAT:
        raise InputError(f"{name} is not one of Lutier's tables", hint="another --format")
    if said.get("version") != VERSION:
        raise InputError(
            f"{name} is of version {shorten(str(said.get('version')), 20)}",
            f"this version of Lutier reads version {VERSION}",
            "a newer version of lutier",
        )
    target, facts, protocols = (said.get(part) for part in ("target", "environment", "protocols"))
    if not (isinstance(target, str) and _is_facts(facts) and isinstance(protocols, dict)):
        raise InputError(
            f"{name} is not a whole table", "its target, facts or protocols are broken"
        )
    if not all(_is_text(word) and _is_plain(settings) for word, settings in protocols.items()):
        raise InputError(f"{name} is not a whole table", "a protocol is not names and plain values")
    return Reading(entries, target=target, environment=facts, protocols=protocols)


def _is_text(value: object) -> bool:
    # What a server's JSON column takes: neither NUL nor half a surrogate pair.
    return isinstance(value, str) and value.isprintable() and len(value) <= 2000


def _is_facts(facts: object) -> TypeGuard[dict[str, str]]:
    return isinstance(facts, dict) and all(
        _is_text(word) for pair in facts.items() for word in pair
    )


def _is_plain(settings: object) -> bool:
    """Whether settings are names with numbers, text or nothing, as a protocol's are."""
    return isinstance(settings, dict) and all(
        _is_text(name)
        and (value is None or isinstance(value, bool) or _is_text(value) or _is_finite(value))
        for name, value in settings.items()
    )


def _is_finite(value: object) -> bool:
    # Compared, not converted: a whole number may be larger than any float.
    return isinstance(value, int | float) and -1e300 < value < 1e300
