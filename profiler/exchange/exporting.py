"""Writing a table to a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from devices.environment import Environment
from devices.errors import InputError, UnknownNameError
from devices.files import write_at_once
from profiler.exchange import csv_file, json_file, mit_yaml, parquet
from profiler.exchange.report import Written
from profiler.storage.portable import PortableRow

Writer = Callable[[str, Environment, Sequence[PortableRow]], Written]


def _yaml(name: str) -> Writer:
    dialect = mit_yaml.DIALECTS[name]
    return lambda target, _, rows: mit_yaml.write(target, rows, dialect)


WRITERS: Mapping[str, Writer] = MappingProxyType(
    {
        "csv": csv_file.write,
        "parquet": parquet.write,
        "json": json_file.write,
        "proxylessnas": _yaml("proxylessnas"),
        "once-for-all": _yaml("once-for-all"),
    }
)
"""What writes each format: target, environment and rows to the bytes of a file."""


def export_table(
    path: Path,
    file_format: str,
    target: str,
    environment: Environment,
    rows: Sequence[PortableRow],
) -> Written:
    """Write measurements to a file: all of it, or the file is left as it was.

    Args:
        path: file to write.
        file_format: one of :data:`WRITERS`.
        target: what was measured on.
        environment: the machine.
        rows: the measurements, as :meth:`MeasurementStore.portable_rows` gives them.

    Raises:
        UnknownNameError: no such format.
        InputError: none of the rows can be written in the format, or the file cannot be written.
    """
    if file_format not in WRITERS:
        raise UnknownNameError.of("format", file_format[:40], WRITERS)
    written = WRITERS[file_format](target, environment, rows)
    if not written.count:
        first = f", {written.unmapped[0].key} for one" if written.unmapped else ""
        raise InputError(
            f"nothing of {target} can be written as {file_format}",
            f"the format has no word for any of its {len(rows)} rows{first}",
            "--format json",
        )
    try:
        write_at_once(path, written.contents)
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot write {str(path)[:200]}",
            f"{str(error)[:200]}; what was there is left as it was",
            "-o with another file",
        ) from error
    return written
