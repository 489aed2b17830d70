"""``onnxruntime_perf_test``: what it is asked, and what it answers."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from devices.errors import InputError
from devices.tool_output import failed, log_lines, unreadable

_TOOL = "onnxruntime_perf_test"
_NUMBER = r"\d{1,19}(?:\.\d{1,19})?(?:[eE][+-]?\d{1,3})?"
_LINE = re.compile(rf"([A-Z][A-Za-z0-9 ]*?): ?({_NUMBER})(?: ([a-z%]+))?$")
# What each line starts with, and the unit it ends with. A line that is cut has none.
_FIGURES = {
    "Session creation time cost": "s",
    "First inference time cost": "ms",
    "Total inference requests": "",
    "Average inference time cost": "ms",
    "Min Latency": "s",
    "P50 Latency": "s",
    "P90 Latency": "s",
    "P95 Latency": "s",
    "P99 Latency": "s",
    "P999 Latency": "s",
    "Max Latency": "s",
}
_OTHER_NAMES = {"Average inference time cost total": "Average inference time cost"}
_CPU = "Avg CPU usage"
_IN_MS = {"s": 1e3, "ms": 1.0}
_SLACK = 1 + 1e-4


@dataclass(frozen=True)
class PerfTestRun:
    """What ``onnxruntime_perf_test`` measured.

    Attributes:
        runs: timed inferences; one more goes before them.
        session_ms: loading the model.
        first_ms: the inference that goes before, in whole ms.
        min_ms: the shortest timed inference, in ms like all below.
        max_ms: the longest.
        mean_ms: over all.
        median_ms: of an even number of inferences, the upper one of the two in the middle.
        p90_ms: 90th percentile.
        p95_ms: 95th percentile.
        p99_ms: 99th percentile.
        p999_ms: 99.9th percentile.
        cpu_percent: how busy the CPU was, of all cores; None where it is not said.
    """

    runs: int
    session_ms: float
    first_ms: float
    min_ms: float
    max_ms: float
    mean_ms: float
    median_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    p999_ms: float
    cpu_percent: float | None = None

    @property
    def statistic(self) -> Literal["median"]:
        """What :attr:`figure_ms` is."""
        return "median"

    @property
    def figure_ms(self) -> float:
        """The latency, in ms."""
        return self.median_ms


def measuring_flags(model: str, *, threads: int, runs: int) -> list[str]:
    """The arguments after the program's name that time a model on the CPU exactly ``runs`` times.

    The program makes up the input, with 1 for every free dimension, and runs once before: that
    is all the warm-up it has.

    Args:
        model: path of the ``.onnx`` or ``.ort`` file on the device.
        threads: that share one operation.
        runs: timed inferences.

    Raises:
        InputError: a number out of range, or a path that reads like a flag.
    """
    for name, value in (("threads", threads), ("runs", runs)):
        if value < 1:
            raise InputError(f"{name} of {value}: 1 is the least")
    if not model.strip() or model.startswith("-"):
        raise InputError(f"{model!r} is not the path of a model", hint="an absolute path")
    options = ["-e", "cpu", "-m", "times", "-r", str(runs), "-x", str(threads), "-y", "1"]
    return [*options, "-I", "-s", model]


def parse_run(text: str, *, runs: int, status: int) -> PerfTestRun:
    """The figures of a run.

    Args:
        text: all that ``onnxruntime_perf_test`` printed.
        runs: timed inferences that were asked for.
        status: exit status.

    Raises:
        MeasurementError: it failed.
        UnparsableOutputError: an output that is cut, or that nobody knows, or of other than
            ``runs`` inferences; a build of before 2021, which prints no percentiles.
    """
    if status != 0:
        raise failed(_TOOL, status, text)
    values, cpu_percent = _values(text)
    absent = [name for name in _FIGURES if name not in values]
    if absent:
        raise unreadable(_TOOL, f"it does not say {absent[0]!r}: cut, or too old", text)
    if values["Total inference requests"] != runs:
        counted = f"{values['Total inference requests']:.0f}"
        raise unreadable(_TOOL, f"it timed {counted} inferences, not {runs}", text)
    if not _agree(values):
        raise unreadable(_TOOL, "its figures contradict each other", text)
    return PerfTestRun(
        runs=runs,
        session_ms=values["Session creation time cost"],
        first_ms=values["First inference time cost"],
        min_ms=values["Min Latency"],
        max_ms=values["Max Latency"],
        mean_ms=values["Average inference time cost"],
        median_ms=values["P50 Latency"],
        p90_ms=values["P90 Latency"],
        p95_ms=values["P95 Latency"],
        p99_ms=values["P99 Latency"],
        p999_ms=values["P999 Latency"],
        cpu_percent=cpu_percent,
    )


def _values(text: str) -> tuple[dict[str, float], float | None]:
    """Every figure with its whole line, times in ms, and how busy the CPU was."""
    values: dict[str, float] = {}
    cpu_percent = None
    for line in log_lines(text):
        match = _LINE.match(line.text)
        if not match:
            continue
        name, number, unit = _OTHER_NAMES.get(match[1], match[1]), float(match[2]), match[3] or ""
        if name == _CPU and unit == "%":
            cpu_percent = number
        elif name in _FIGURES and unit == _FIGURES[name]:
            value = number * _IN_MS.get(unit, 1.0)
            if values.setdefault(name, value) != value:
                raise unreadable(_TOOL, f"it says {name!r} twice", text)
    return values, cpu_percent


def _agree(values: Mapping[str, float]) -> bool:
    """Whether the figures can be true together: finite, positive, and in order."""
    mean = values["Average inference time cost"]
    names = [name for name in _FIGURES if name.endswith("Latency")]
    order = [values[name] for name in names]
    return (
        all(math.isfinite(value) for value in values.values())
        and order[0] > 0
        and all(low <= high * _SLACK for low, high in pairwise(order))
        and order[0] <= mean * _SLACK
        and mean <= order[-1] * _SLACK
    )
