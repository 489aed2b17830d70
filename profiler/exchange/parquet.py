"""Our own Parquet: columns with types, single runs included, the rest in the file's metadata."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from devices.environment import Environment
from devices.errors import InputError
from profiler.exchange import columns
from profiler.exchange.reading import Reading
from profiler.exchange.report import Written
from profiler.exchange.source import Source
from profiler.storage.portable import PortableRow

if TYPE_CHECKING:
    import pyarrow as pa

MAGIC = b"PAR1"
_METADATA = b"lutier"
_ROW_LIMIT = 5_000_000
_BYTES_LIMIT = 1 << 30
_CELL_LIMIT = 50_000_000


def write(target: str, environment: Environment, rows: Sequence[PortableRow]) -> Written:
    """A table as Parquet; what is not known is null."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    text, number, whole, time = pa.string(), pa.float64(), pa.int64(), pa.timestamp("us")
    types: dict[str, pa.DataType] = dict.fromkeys(columns.COLUMNS, number)
    types |= dict.fromkeys(
        ("key", "role", "findings", "ops", "protocol_id", "artifact_sha256"), text
    )
    types |= dict.fromkeys(("visits", "runs"), whole)
    types |= dict.fromkeys(("started_at", "finished_at"), time)
    types |= {"visits_ms": pa.list_(pa.list_(number)), "visits_at": pa.list_(time)}
    types |= {"references_ms": pa.list_(pa.list_(number))}
    said = json.dumps(columns.header(target, environment, rows))
    schema = pa.schema(list(types.items()), metadata={_METADATA: said.encode()})
    table = pa.Table.from_pylist([columns.cells(row) for row in rows], schema=schema)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return Written(sink.getvalue().to_pybytes(), len(rows))


def read(source: Source) -> Reading:
    """The rows of a table in Parquet.

    Raises:
        InputError: not Parquet, of another shape, or one that unpacks to too much.
    """
    table = read_arrow(source)
    latency = columns.latency_column(source.name, table.column_names)
    wanted = [
        name
        for name in table.column_names
        if name in (*columns.COLUMNS, *columns.RUNS_COLUMNS, latency)
    ]
    rows = python_rows(source.name, table.select(wanted))
    said: Any = {}
    if _METADATA in (metadata := table.schema.metadata or {}):
        try:
            said = json.loads(metadata[_METADATA])
        except (ValueError, RecursionError) as error:
            raise InputError(f"{source.name} is not a whole table", "its metadata is broken") from (
                error
            )
    if not isinstance(said, dict):
        raise InputError(f"{source.name} is not a whole table", "its metadata is no object")
    return columns.reading(source.name, said, [columns.entry(row, latency) for row in rows])


def read_arrow(source: Source) -> pa.Table:
    """The table in a Parquet file.

    Raises:
        InputError: as :func:`read`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not source.data.startswith(MAGIC):
        raise InputError(f"{source.name} is not Parquet", "it does not begin as such a file does")
    try:
        file = pq.ParquetFile(pa.BufferReader(source.data))
        rows, cells = file.metadata.num_rows, file.metadata.num_rows * file.metadata.num_columns
        groups = (file.metadata.row_group(i) for i in range(file.metadata.num_row_groups))
        size = sum(group.total_byte_size for group in groups)
        # Packed a thousandfold it still unpacks to what it says here.
        if rows > _ROW_LIMIT or cells > _CELL_LIMIT or size > _BYTES_LIMIT:
            raise InputError(f"{source.name} is too large", f"{rows} rows, {size} bytes unpacked")
        table = file.read(use_threads=False)
    except (pa.ArrowException, OSError, ValueError, KeyError, MemoryError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{source.name} cannot be read as Parquet", reason) from error
    if len(set(table.column_names)) != table.num_columns:
        raise InputError(f"{source.name} is not a latency table", "a column stands there twice")
    return table


def python_rows(name: str, table: pa.Table) -> list[dict[str, Any]]:
    """The rows of an Arrow table as Python values.

    Raises:
        InputError: a value that Python cannot hold, such as text that is not UTF-8.
    """
    import pyarrow as pa

    try:
        rows: list[dict[str, Any]] = table.to_pylist()
    except (pa.ArrowException, ValueError, OverflowError, TypeError) as error:
        raise InputError(f"{name} cannot be read as Parquet", str(error)[:200]) from error
    return rows
