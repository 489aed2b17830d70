"""Reading a table from a file, and storing it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from devices.environment import Environment
from devices.errors import InputError, UnknownNameError
from devices.target import Target
from profiler.exchange import csv_file, fbnet, json_file, mit_yaml, nasbench201, parquet
from profiler.exchange.figures import UNITS
from profiler.exchange.reading import Reading
from profiler.exchange.report import ImportReport, Listed
from profiler.exchange.screening import Screened, screen
from profiler.exchange.source import Source
from profiler.exchange.units import suspicions
from profiler.storage.database import MeasurementStore

READERS: Mapping[str, Callable[[Source, str | None], Reading]] = MappingProxyType(
    {
        "csv": lambda source, _: csv_file.read(source),
        "parquet": lambda source, _: parquet.read(source),
        "json": lambda source, _: json_file.read(source),
        "proxylessnas": lambda source, _: mit_yaml.read(source, mit_yaml.DIALECTS["proxylessnas"]),
        "once-for-all": lambda source, _: mit_yaml.read(source, mit_yaml.DIALECTS["once-for-all"]),
        "nasbench201": nasbench201.read,
        "fbnet": lambda source, _: fbnet.read(source),
    }
)
"""What reads each format; the second argument is the column to read, where a format has several."""


@dataclass(frozen=True)
class ImportedTable:
    """A file that was read, and not stored yet.

    Attributes:
        reading: the file as it stands there.
        environment: the machine, as far as the file knows it.
        screened: its rows, told apart.
        report: what would be said of it; nothing is counted as imported yet.
    """

    reading: Reading
    environment: Environment
    screened: Screened
    report: ImportReport


def read_table(
    source: Source,
    file_format: str,
    *,
    target: Target | None = None,
    unit: str | None = None,
    column: str | None = None,
) -> ImportedTable:
    """Read a table from a file. Nothing is stored.

    Args:
        source: the file.
        file_format: one of :data:`READERS`.
        target: what was measured on; may be left out where the file says it.
        unit: of the latencies; by default the format's.
        column: which device, where the format has one column a device.

    Raises:
        UnknownNameError: no such format, unit or column.
        InputError: the file is not what it is said to be, or names no target and none was given.
    """
    if file_format not in READERS:
        raise UnknownNameError.of("format", file_format[:40], READERS)
    if unit is not None and unit not in UNITS:
        raise UnknownNameError.of("unit", unit[:40], UNITS)
    if column is not None and file_format != "nasbench201":
        raise InputError(f"--column {column[:80]}", f"{file_format} has one latency a row")
    reading = READERS[file_format](source, column)
    if target is None:
        if reading.target is None:
            raise InputError(
                f"{source.name} does not say what was measured on",
                hint="--target DEVICE/RUNTIME?threads=N",
            )
        target = Target.parse(reading.target)
    if len(str(target)) > 500:
        raise InputError("the target is too long", "a store holds 500 characters of it")
    used = unit or reading.unit
    environment = Environment.of(
        source.facts if reading.environment is None else reading.environment
    )
    screened = screen(
        reading, used, {**reading.settings, "imported_from": file_format, "imported_unit": used}
    )
    report = ImportReport(
        file=source.name,
        sha256=source.sha256,
        format=file_format,
        unit=used,
        target=str(target),
        environment_id=environment.id,
        imported=0,
        already_stored=0,
        rejected=screened.rejected,
        unmapped=screened.unmapped,
        derived=reading.derived,
        suspicious=suspicions(screened.rows, used),
        notes=reading.notes,
    )
    return ImportedTable(reading, environment, screened, report)


def import_table(
    store: MeasurementStore,
    path: Path,
    file_format: str,
    *,
    target: Target | None = None,
    unit: str | None = None,
    column: str | None = None,
) -> ImportReport:
    """Read a table from a file and store its rows, all that can be used or none.

    What is stored already is never overwritten: a row with the same figures is counted as such, one
    with others is rejected.

    Args and errors as in :func:`read_table`; also:

    Raises:
        StoreError: the store refuses them; then nothing was stored.
    """
    table = read_table(Source.read(path), file_format, target=target, unit=unit, column=column)
    stored = store.add_portable_rows(
        Target.parse(table.report.target), table.environment, table.screened.rows
    )
    conflicts = tuple(
        Listed(key, f"stored already, with {median_ms!r} ms")
        for key, median_ms in stored.conflicting.items()
    )
    return replace(
        table.report,
        imported=stored.added,
        already_stored=len(stored.present),
        rejected=(*table.report.rejected, *conflicts),
    )
