"""What became of the rows of a file that was read or written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Listed:
    """A row that did not make it, and why."""

    key: str
    reason: str

    def to_dict(self) -> dict[str, str]:
        """As JSON holds it."""
        return {"key": self.key, "reason": self.reason}


@dataclass(frozen=True)
class Written:
    """A table as a file of some format.

    Attributes:
        contents: all bytes of the file.
        count: measurements in it.
        unmapped: measurements that the format has no word for.
        derived: keys of figures in it that are sums of measurements.
    """

    contents: bytes
    count: int
    unmapped: tuple[Listed, ...] = ()
    derived: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImportReport:
    """What an import did.

    Attributes:
        file: name of the file, without its folder.
        sha256: of the file.
        format: as which it was read.
        unit: that its latencies were taken to be in.
        target: what the rows are stored under.
        environment_id: of the machine they are stored under.
        imported: number of rows that are new in the store.
        already_stored: number of rows that were there, with the same figures.
        rejected: rows whose figures cannot be used, or that contradict others.
        unmapped: rows that Lutier has no op for.
        derived: names of rows that are sums of other rows, and so were left out.
        suspicious: why the unit may not be what it was taken for; empty where it may well be.
        notes: what this format leaves open.
    """

    file: str
    sha256: str
    format: str
    unit: str
    target: str
    environment_id: str
    imported: int
    already_stored: int
    rejected: tuple[Listed, ...]
    unmapped: tuple[Listed, ...]
    derived: tuple[str, ...]
    suspicious: tuple[str, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "file": self.file,
            "sha256": self.sha256,
            "format": self.format,
            "unit": self.unit,
            "target": self.target,
            "environment_id": self.environment_id,
            "already_stored": self.already_stored,
            "derived": list(self.derived),
            "suspicious": list(self.suspicious),
            "notes": list(self.notes),
            "imported": self.imported,
            "rejected": [listed.to_dict() for listed in self.rejected],
            "unmapped": [listed.to_dict() for listed in self.unmapped],
        }
