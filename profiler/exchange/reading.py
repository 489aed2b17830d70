"""What a reader makes of a file: its rows as they stand there, before anything is believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Entry:
    """One row of a file.

    Attributes:
        name: what the file calls it.
        value: its latency as it stands there, of any type, in the file's unit.
        key: what Lutier calls it; ``None`` where it has no word for it.
        role: ``op`` or ``network``.
        reason: why there is no key, or why the row cannot be used whatever its latency.
        details: further columns of our own formats, by column, and ``runs`` of others.
    """

    name: str
    value: object = None
    key: str | None = None
    role: str = "op"
    reason: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """All rows of a file, and what it says about itself.

    Attributes:
        entries: in order of the file.
        unit: of the latencies where nobody says otherwise.
        target: what was measured on, where the file says so.
        environment: facts of the machine, where the file says so.
        protocols: settings by id, where the file says so.
        settings: what is known of the protocol where the file has none of ours, such as which
            statistic its figures are.
        derived: names of rows that are sums of other rows, and so no measurements.
        notes: what a reader of the report should know about this format.
    """

    entries: Sequence[Entry]
    unit: str = "ms"
    target: str | None = None
    environment: Mapping[str, str] | None = None
    protocols: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    derived: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
