"""Finding the table that a person names: a target, a target of one environment, or a file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from devices.errors import InputError
from devices.target import Target
from lutier.settings import Settings
from lutier.storage import open_store
from profiler.exchange.importing import read_table
from profiler.exchange.source import Source
from profiler.storage.portable import PortableRow
from profiler.table import LatencyTable

_ENVIRONMENT = re.compile(r"@([0-9a-f]{12})$")
FORMATS = {
    ".json": "json",
    ".csv": "csv",
    ".parquet": "parquet",
    ".yaml": "proxylessnas",
    ".yml": "proxylessnas",
}
"""The format that a file's suffix stands for."""


@dataclass(frozen=True)
class TableName:
    """A target, and which of its environments; the one measured last where none is named."""

    target: Target
    environment_id: str | None = None

    @classmethod
    def parse(cls, text: str) -> TableName:
        """Read ``TARGET`` or ``TARGET@ENVIRONMENT_ID``.

        Raises:
            InputError: not a target.
        """
        match = _ENVIRONMENT.search(text)
        if match is None:
            return cls(Target.parse(text))
        return cls(Target.parse(text[: match.start()]), match.group(1))


def load_rows(settings: Settings, name: TableName) -> tuple[LatencyTable, list[PortableRow]]:
    """A table of the store, and its rows with all that belongs to them.

    Raises:
        MissingTableError: no such table.
    """
    with open_store(settings) as store:
        table = LatencyTable.load(store, name.target, name.environment_id)
        return table, store.portable_rows(name.target, table.environment_id)


def find_table(settings: Settings, text: str) -> LatencyTable:
    """The table that is meant by a target or by a file.

    Args:
        settings: which store.
        text: ``TARGET``, ``TARGET@ENVIRONMENT_ID``, or a file that ``lutier table export`` wrote.

    Raises:
        InputError: neither a target nor a file, or a file that cannot be read.
        MissingTableError: no such table in the store.
    """
    path = Path(text)
    if path.suffix.lower() in FORMATS:
        return _from_file(path, FORMATS[path.suffix.lower()])
    name = TableName.parse(text)
    with open_store(settings) as store:
        return LatencyTable.load(store, name.target, name.environment_id)


def spelling_of(settings: Settings, text: str) -> str:
    """The format that a table was read from, where it has words of its own for ops.

    Args:
        settings: which store.
        text: as :func:`find_table` takes it.

    Returns:
        Its name; empty where a table was measured, or comes from several formats or Lutier's own.

    Raises:
        InputError, MissingTableError: as :func:`find_table`.
    """
    path = Path(text)
    if path.suffix.lower() in FORMATS:
        return _format_of(Source.read(path), FORMATS[path.suffix.lower()])
    _, rows = load_rows(settings, TableName.parse(text))
    formats = {str(row.protocol.get("imported_from", "")) for row in rows}
    return formats.pop() if len(formats) == 1 else ""


def _format_of(source: Source, file_format: str) -> str:
    """The format of a file, where its suffix stands for several."""
    is_other = file_format == "proxylessnas" and b"-se:" in source.data
    return "once-for-all" if is_other else file_format


def _from_file(path: Path, file_format: str) -> LatencyTable:
    source = Source.read(path)
    target = None
    if file_format == "proxylessnas":
        # YAML does not say what was measured on: the name of the file stands for it.
        name = "".join(c if c.isprintable() and c != "?" else "_" for c in path.name)
        target = Target.make(f"file:{name}", "yaml", {})
        file_format = _format_of(source, file_format)
    imported = read_table(source, file_format, target=target)
    rows = imported.screened.rows
    if not rows:
        raise InputError(f"{path} has no row that can be used", hint="lutier table import")
    return LatencyTable.from_rows(imported.report.target, imported.environment, rows)
