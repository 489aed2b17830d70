"""TFLite's ``benchmark_model``: what it is asked, and what it answers.

Two programs have this name: TensorFlow's (``android_aarch64_benchmark_model``, dialect
``tflite``) and the one of LiteRT's releases (dialect ``litert``). They share the flags that say
how often a model runs, and the lines that say how long it took; they differ in the flags of the
delegates, in the summary at the end, and only the first profiles operations.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from devices.delegates import refuse_fallback, require_delegate
from devices.errors import InputError, MeasurementError, UnknownNameError
from devices.ssh_trouble import shown
from devices.tool_output import Line, failed, log_lines, unreadable

Dialect = Literal["tflite", "litert"]

_TOOL = "benchmark_model"
_FLAGS: dict[str, dict[str, tuple[str, ...]]] = {
    "tflite": {
        "xnnpack": ("--use_xnnpack=true",),
        "gpu": ("--use_gpu=true",),
        "nnapi": ("--use_nnapi=true",),
        "hexagon": ("--use_hexagon=true",),
        "none": ("--use_xnnpack=false",),
    },
    "litert": {
        "xnnpack": ("--use_cpu=true",),
        "gpu": ("--use_cpu=false", "--use_gpu=true", "--require_full_delegation=true"),
    },
}
# The default of 1024 loses events of a large network.
_PROFILED_EVENTS = 16384

_UNKNOWN_FLAGS = re.compile(r"Unconsumed cmdline flags: *(.*)")
_PHASE = re.compile(r"Running benchmark for (?:at least )?(\d{1,9}) iterations")
_NUMBER = r"\d{1,19}(?:\.\d{1,19})?(?:[eE][+-]?\d{1,3})?"
_STATISTIC = rf"[a-z]\w*=-?{_NUMBER}(?:\(all same\))?"
_STATISTICS = re.compile(rf"{_STATISTIC}(?: {_STATISTIC})*")
_VALUE = re.compile(rf"(\w+)=(-?{_NUMBER})")
_PERCENTILES = {"p5", "median", "p95"}
# The newest first; the last one stands in builds of 2018.
_SUMMARIES = (
    re.compile(
        rf"Inference timings in us: Init: (?P<init>{_NUMBER}), First inference: [^,]+,"
        rf" Warmup \(avg\): [^,]+, Inference \(avg\): (?P<mean>{_NUMBER})$"
    ),
    re.compile(
        rf"Average inference timings in us: Warmup: [^,]+, Init: (?P<init>{_NUMBER}),"
        rf" (?:Inference|no stats): (?P<mean>{_NUMBER})$"
    ),
)
_LITERT_INIT = re.compile(rf"Model initialization: +({_NUMBER}) ms$")
_LITERT_MEAN = re.compile(rf"Inference \(avg\): +({_NUMBER}) ms \((\d{{1,9}}) runs\)$")
_SIX_DIGITS = 1e-5
"""Relative error of a number that is printed with six digits."""
_LITERT_STEP_US = 5.1
"""LiteRT's summary gives hundredths of a millisecond."""


@dataclass(frozen=True)
class Run:
    """What ``benchmark_model`` measured.

    Attributes:
        runs: timed inferences.
        warmup_runs: inferences before them.
        init_ms: loading the model and applying the delegate.
        first_ms: the first timed inference, in ms like all below.
        min_ms: the shortest.
        max_ms: the longest.
        mean_ms: over all.
        median_ms: where printed: older builds print none, nor percentiles.
        p5_ms: 5th percentile, where printed.
        p95_ms: 95th percentile, where printed.
        std_ms: standard deviation, where printed: not of one run.
    """

    runs: int
    warmup_runs: int
    init_ms: float
    first_ms: float
    min_ms: float
    max_ms: float
    mean_ms: float
    median_ms: float | None = None
    p5_ms: float | None = None
    p95_ms: float | None = None
    std_ms: float | None = None

    @property
    def statistic(self) -> Literal["median", "mean"]:
        """What :attr:`figure_ms` is: the median where it is printed."""
        return "mean" if self.median_ms is None else "median"

    @property
    def figure_ms(self) -> float:
        """The latency, in ms; 0 for a model that mostly runs in less than a microsecond."""
        return self.mean_ms if self.median_ms is None else self.median_ms


@dataclass(frozen=True)
class _Statistics:
    """A ``count=`` line, in microseconds; ``values`` hold all but the count."""

    count: int
    values: dict[str, float]


@dataclass(frozen=True)
class _Output:
    """What a whole output says."""

    asked: int
    warmup: _Statistics
    timed: _Statistics
    init_us: float


def measuring_flags(
    graph: str,
    *,
    threads: int,
    warmup: int,
    runs: int,
    delegate: str,
    max_seconds: float,
    dialect: Dialect = "tflite",
) -> list[str]:
    """The arguments after the program's name that time a model exactly ``runs`` times.

    Args:
        graph: path of the model on the device.
        threads: of the CPU. LiteRT's first releases take the flag and ignore it.
        warmup: untimed inferences before.
        runs: timed inferences.
        delegate: one of :data:`devices.delegates.DELEGATES`; ``litert`` has xnnpack and gpu.
        max_seconds: stops the warm-up, and the timed inferences, that take longer in all.
        dialect: which of the two programs it is.

    Raises:
        UnknownNameError: no such delegate or dialect.
        InputError: a number out of range, or a delegate that this program does not have.
    """
    if dialect not in _FLAGS:
        raise UnknownNameError.of(f"dialect of {_TOOL}", dialect, _FLAGS)
    require_delegate(delegate)
    if delegate not in _FLAGS[dialect]:
        raise InputError(
            f"the {_TOOL} of LiteRT has no delegate {delegate}",
            hint=f"delegate {' or '.join(_FLAGS[dialect])}, or TensorFlow's {_TOOL}",
        )
    for name, value, least in (("threads", threads, 1), ("warmup", warmup, 0), ("runs", runs, 1)):
        if value < least:
            raise InputError(f"{name} of {value}: {least} is the least")
    if not (math.isfinite(max_seconds) and max_seconds > 0):
        raise InputError(f"{max_seconds} is not a time in seconds")
    if not graph.strip():
        raise InputError("the path of the model is empty")
    return [
        f"--graph={graph}",
        f"--num_threads={threads}",
        f"--warmup_runs={warmup}",
        "--warmup_min_secs=0",
        f"--num_runs={runs}",
        "--min_secs=0",
        f"--max_secs={max_seconds:.1f}",
        *_FLAGS[dialect][delegate],
    ]


def profiling_flags(
    graph: str,
    *,
    threads: int,
    warmup: int,
    runs: int,
    delegate: str,
    max_seconds: float,
    csv_file: str | None = None,
) -> list[str]:
    """The arguments that also time each operation, which slows the whole: a run of its own.

    Dialect ``tflite``; LiteRT's program has no such flags.

    Args:
        graph: as for :func:`measuring_flags`, like all but ``csv_file``.
        threads: of the CPU.
        warmup: untimed inferences before.
        runs: timed inferences.
        delegate: one of :data:`devices.delegates.DELEGATES`.
        max_seconds: stops what takes longer.
        csv_file: where on the device the table is written; without it, it is printed.

    Raises:
        UnknownNameError: no such delegate.
        InputError: a number out of range.
    """
    flags = measuring_flags(
        graph,
        threads=threads,
        warmup=warmup,
        runs=runs,
        delegate=delegate,
        max_seconds=max_seconds,
    )
    flags += [
        "--enable_op_profiling=true",
        f"--max_profiling_buffer_entries={_PROFILED_EVENTS}",
    ]
    return flags if csv_file is None else [*flags, f"--profiling_output_csv_file={csv_file}"]


def parse_run(text: str, *, delegate: str, status: int, runs: int | None = None) -> Run:
    """The figures of a run, once it is proven that the delegate ran the whole model.

    Args:
        text: all that ``benchmark_model`` printed, or what logcat holds of it.
        delegate: that was asked for, one of :data:`devices.delegates.DELEGATES`.
        status: exit status.
        runs: that were asked for; by default as many as the output itself says.

    Raises:
        MeasurementError: it failed, did not know a flag, or the delegate fell back.
        UnparsableOutputError: an output that is cut, or that nobody knows; other than ``runs``
            timed inferences.
        UnknownNameError: no such delegate.
    """
    require_delegate(delegate)
    if status != 0:
        raise failed(_TOOL, status, text)
    lines = log_lines(text)
    _refuse_unknown_flags(lines)
    output = _read(lines, text)
    timed = output.timed
    expected = output.asked if runs is None else runs
    if timed.count == 0:
        raise unreadable(_TOOL, "it timed no inference", text)
    if timed.count != expected:
        raise unreadable(_TOOL, f"it timed {timed.count} inferences, not {expected}", text)
    if not _agree(timed.values):
        raise unreadable(_TOOL, "its figures contradict each other", text)
    refuse_fallback(text, delegate)
    return _run(output)


def _refuse_unknown_flags(lines: Sequence[Line]) -> None:
    for line in lines:
        if match := _UNKNOWN_FLAGS.search(line.text):
            flags = [word.split("=")[0] for word in match[1].split() if word.startswith("-")]
            named = ", ".join(flags) or "one of its flags"
            raise MeasurementError(
                f"this {_TOOL} does not know {shown(named)[:200]}",
                shown(line.text)[:300],
                f"a newer {_TOOL}, or the other one of TensorFlow's and LiteRT's",
            )


def _read(lines: Sequence[Line], text: str) -> _Output:
    """Both phases and the summary; of the profiles that may follow, nothing."""
    asked: list[int] = []
    phases: list[_Statistics] = []
    for number, line in enumerate(lines):
        if match := _PHASE.match(line.text):
            asked.append(int(match[1]))
        elif len(asked) == len(phases) + 1 and line.text.startswith(("count=", "curr=")):
            phases.append(_statistics(line.text, text))
        elif len(phases) == 2 and (init_us := _summary(lines, number, phases[1])) is not None:
            if any(_PHASE.match(later.text) for later in lines[number:]):
                raise unreadable(_TOOL, "it holds more than one run", text)
            return _Output(asked[1], phases[0], phases[1], init_us)
    if not asked:
        raise unreadable(_TOOL, "nothing was timed", text)
    raise unreadable(_TOOL, "it is cut: two phases and a summary were to come", text)


def _statistics(line: str, text: str) -> _Statistics:
    values = dict(_VALUE.findall(line)) if _STATISTICS.fullmatch(line) else {}
    count = values.pop("count", "")
    numbers = {name: float(value) for name, value in values.items()}
    extent = {"first", "min", "max", "avg"}
    if "curr" in numbers and not extent & numbers.keys() and (count == "1" or "(all same)" in line):
        numbers |= dict.fromkeys(extent, numbers["curr"])
    known = extent <= numbers.keys()
    known &= len(_PERCENTILES & numbers.keys()) in (0, len(_PERCENTILES))
    if not count.isdigit() or not (known or count == "0"):
        raise unreadable(_TOOL, "a line of figures is cut", text)
    return _Statistics(int(count), numbers)


def _summary(lines: Sequence[Line], number: int, timed: _Statistics) -> float | None:
    """The time of the initialisation in µs, where this line sums up what was timed."""
    text = lines[number].text
    mean = timed.values.get("avg", 0.0)
    for pattern in _SUMMARIES:
        if match := pattern.match(text):
            init_us = float(match["init"])
            fits = math.isclose(float(match["mean"]), mean, rel_tol=_SIX_DIGITS)
            return init_us if fits and math.isfinite(init_us) else None
    if match := _LITERT_MEAN.match(text):
        inits = [found[1] for line in lines[:number] if (found := _LITERT_INIT.match(line.text))]
        near = math.isclose(float(match[1]) * 1e3, mean, rel_tol=0, abs_tol=_LITERT_STEP_US)
        if inits and near and int(match[2]) == timed.count and math.isfinite(float(inits[-1])):
            return float(inits[-1]) * 1e3
    return None


def _agree(values: dict[str, float]) -> bool:
    """Whether figures of one phase can be true together: finite, and in order."""
    if not all(math.isfinite(value) for value in values.values()):
        return False
    order = [values[name] for name in ("min", "p5", "median", "p95", "max") if name in values]
    least, most = values["min"], values["max"]
    between = (values["first"], values["avg"], values.get("curr", least))
    slack = 1 + _SIX_DIGITS
    return (
        least >= 0
        and all(low <= high * slack for low, high in pairwise(order))
        and all(least <= value * slack and value <= most * slack for value in between)
    )


def _run(output: _Output) -> Run:
    values = {name: value / 1e3 for name, value in output.timed.values.items()}
    std = values.get("std", -1.0)
    return Run(
        runs=output.timed.count,
        warmup_runs=output.warmup.count,
        init_ms=output.init_us / 1e3,
        first_ms=values["first"],
        min_ms=values["min"],
        max_ms=values["max"],
        mean_ms=values["avg"],
        median_ms=values.get("median"),
        p5_ms=values.get("p5"),
        p95_ms=values.get("p95"),
        std_ms=std if std >= 0 else None,
    )
