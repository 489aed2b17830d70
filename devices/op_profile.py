"""How long each operation of a TFLite model takes, as ``benchmark_model`` prints it.

Its table has other columns in other builds, so the first line of the table is what tells them.
Its CSV is not valid CSV: names of kernels hold commas. In both, a row is read by its run of
numbers, and what stands before and behind them is the type and the name.

Under XNNPACK a row is a kernel, not an operation of the model: ``Fully Connected (NC, F32) GEMM``
is a 1x1 convolution.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from devices.errors import MeasurementError
from devices.tool_output import log_lines, unreadable

_TOOL = "benchmark_model"
_INITIALISATION = "Profiling Info for Benchmark Initialization"
_RUNS = "Operator-wise Profiling Info for Regular Benchmark Runs"
_TABLE = re.compile(r"=+ Run Order =+$")
_EXECUTED = re.compile(r"Number of nodes executed: (\d{1,9})$")
_LOST = "Dropping ProfileBuffer event"
_UNITS = {"avg ms": 1.0, "avg us": 1e-3}
_COLUMNS = ("start", "first", *_UNITS, "%", "cdf%", "mem kb", "times called")
_NEEDED = {"first", "%", "mem kb", "times called"}
_NUMBER = r"-?(?:\d{1,19}(?:\.\d{1,19})?(?:[eE][+-]?\d{1,3})?|nan|inf)%?"


@dataclass(frozen=True)
class OpTime:
    """The time of one operation, or of one kernel of a delegate.

    Attributes:
        node_type: ``CONV_2D``, or the kernel: ``Convolution (NHWC, F32) IGEMM``.
        name: as the model calls it; ``Delegate/...`` for a kernel.
        first_ms: in the first timed inference.
        avg_ms: over all of them.
        percent: of all operations; None where they took no time at all.
        mem_kb: memory that it took.
        times_called: in one inference.
        start_ms: since the inference began; only older builds say.
    """

    node_type: str
    name: str
    first_ms: float
    avg_ms: float
    percent: float | None
    mem_kb: float
    times_called: int
    start_ms: float | None = None


def parse_profile(text: str) -> tuple[OpTime, ...]:
    """The operations in the order they ran, from what was printed.

    Of a model with several graphs, those of the first one: it contains the others.

    Args:
        text: all that ``benchmark_model`` printed under ``--enable_op_profiling=true``.

    Raises:
        UnparsableOutputError: no such table, or not all of it.
        MeasurementError: the program lost some of the events.
    """
    return _parse(text, "\t")


def parse_profile_csv(text: str) -> tuple[OpTime, ...]:
    """The operations in the order they ran, from the file that was written.

    Args:
        text: of ``--profiling_output_csv_file``.

    Raises:
        UnparsableOutputError: no such table, or not all of it.
    """
    return _parse(text, ",")


def _parse(text: str, separator: str) -> tuple[OpTime, ...]:
    lines = [line.text for line in log_lines(text)]
    if any(_LOST in line for line in lines):
        raise MeasurementError(
            f"{_TOOL} lost a part of the profile",
            "the network has more operations than it keeps",
            "a larger --max_profiling_buffer_entries",
        )
    start = _table(lines)
    if start is None:
        raise unreadable(_TOOL, "it holds no times of operations", text)
    columns = _columns(lines[start] if start < len(lines) else "", separator)
    if columns is None:
        raise unreadable(_TOOL, "the columns of its table are not known", text)
    row = _row_pattern(columns, separator)
    operations: list[OpTime] = []
    rest = iter(lines[start + 1 :])
    for line in rest:
        if not line.strip():
            break
        match = row.fullmatch(line)
        operation = _operation(match, columns) if match else None
        if operation is None:
            raise unreadable(_TOOL, f"row {len(operations) + 1} of its table is no row", text)
        operations.append(operation)
    # The table has no end of its own. Below it stands how many rows it has.
    executed = next((match[1] for line in rest if (match := _EXECUTED.match(line))), None)
    if executed is None or int(executed) != len(operations) or not operations:
        raise unreadable(_TOOL, f"its table is cut after {len(operations)} rows", text)
    return tuple(operations)


def _table(lines: Sequence[str]) -> int | None:
    """Where the first line of the first table is that tells of inferences."""
    initialisation = False
    for number, line in enumerate(lines):
        if line.startswith(_INITIALISATION):
            initialisation = True
        elif line.startswith(_RUNS):
            initialisation = False
        elif not initialisation and _TABLE.match(line):
            return number + 1
    return None


def _columns(header: str, separator: str) -> tuple[str, ...] | None:
    """The names of the columns of numbers, or None where one is not known."""
    names = [name.strip().strip("[]").lower().replace("_", " ") for name in header.split(separator)]
    names = [name for name in names if name]
    if names[:1] != ["node type"] or names[-1:] != ["name"]:
        return None
    columns = tuple(names[1:-1])
    known = all(name in _COLUMNS for name in columns) and len(set(columns)) == len(columns)
    units = [name for name in columns if name in _UNITS]
    return columns if known and len(units) == 1 and set(columns) >= _NEEDED else None


def _row_pattern(columns: Sequence[str], separator: str) -> re.Pattern[str]:
    gap = rf" *{separator} *"
    numbers = gap.join(f"({_NUMBER})" for _ in columns)
    return re.compile(rf"\s*(?P<type>\S.*?){gap}{numbers}{gap}(?P<name>.*)")


def _operation(match: re.Match[str], columns: Sequence[str]) -> OpTime | None:
    cells = [cell.rstrip("%") for cell in match.groups()[1:-1]]
    values = dict(zip(columns, map(float, cells), strict=True))
    unit = next(name for name in columns if name in _UNITS)
    scale = _UNITS[unit]
    times = [values[name] * scale for name in ("first", unit, "start") if name in values]
    called = values["times called"]
    if not (all(math.isfinite(time) and time >= 0 for time in times) and called.is_integer()):
        return None
    if not math.isfinite(values["mem kb"]):
        return None
    return OpTime(
        node_type=match["type"].strip(),
        # In the CSV the commas of a name are TABs.
        name=re.sub(r"\t ?", ", ", match["name"]).strip(),
        first_ms=times[0],
        avg_ms=times[1],
        percent=values["%"] if math.isfinite(values["%"]) else None,
        mem_kb=values["mem kb"],
        times_called=int(called),
        start_ms=times[2] if len(times) > 2 else None,
    )
