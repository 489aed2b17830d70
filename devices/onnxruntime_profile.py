"""How long each node of an ONNX model takes, from the file that onnxruntime's profiling writes.

The file is a JSON array of events in the format of Chrome's tracing, with times in microseconds.
What counts here are events of category ``Session`` named ``model_run``, one for each inference,
and events of category ``Node`` whose name ends with ``_kernel_time``.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NoReturn

from devices.tool_output import unreadable

_TOOL = "onnxruntime's profiling"
_KERNEL = "_kernel_time"
_TOLERANCE_US = 2
"""Both ends of an interval are rounded."""


@dataclass(frozen=True)
class NodeTime:
    """The time of one node.

    Attributes:
        name: of the node after onnxruntime's optimisation.
        op_type: ``Conv``.
        provider: what ran it: ``CPUExecutionProvider``.
        durations_ms: one for each inference: the sum where it ran several times in one, as in a
            loop, and 0 where it did not run.
    """

    name: str
    op_type: str
    provider: str
    durations_ms: tuple[float, ...]

    @property
    def mean_ms(self) -> float:
        """Over all inferences, in ms."""
        return math.fsum(self.durations_ms) / len(self.durations_ms)


@dataclass(frozen=True)
class NodeProfile:
    """What onnxruntime's profiling tells.

    Attributes:
        nodes: in the order they first ran.
        runs_ms: whole inferences, with what onnxruntime does around the nodes.
        initialization_ms: of the session; None where the file does not say.
    """

    nodes: tuple[NodeTime, ...]
    runs_ms: tuple[float, ...]
    initialization_ms: float | None


@dataclass(frozen=True)
class _Event:
    name: str
    category: str
    start_us: float
    duration_us: float
    arguments: dict[str, Any]


def parse_node_times(text: str) -> tuple[NodeTime, ...]:
    """The nodes of a model and how long they took.

    Args:
        text: of the file that ``InferenceSession.end_profiling`` names.

    Raises:
        UnparsableOutputError: a file that is cut, or that onnxruntime did not write.
    """
    return parse_node_profile(text).nodes


def parse_node_profile(text: str) -> NodeProfile:
    """The nodes of a model, and the inferences they are parts of.

    Args:
        text: of the file that ``InferenceSession.end_profiling`` names.

    Raises:
        UnparsableOutputError: a file that is cut, or that onnxruntime did not write.
    """
    events = _events(text)
    sessions = [event for event in events if event.category == "Session"]
    runs = sorted(
        (event for event in sessions if event.name == "model_run"),
        key=lambda event: event.start_us,
    )
    kernels = [
        event
        for event in events
        if event.category == "Node" and event.name.endswith(_KERNEL) and event.arguments
    ]
    if not runs or not kernels:
        raise unreadable(_TOOL, "no inference was profiled", text)
    if any(later.start_us < _end_us(run) - _TOLERANCE_US for run, later in pairwise(runs)):
        raise unreadable(_TOOL, "inferences overlap: whose a node is cannot be told", text)
    made = [event for event in sessions if event.name == "session_initialization"]
    return NodeProfile(
        nodes=_nodes(kernels, runs, text),
        runs_ms=tuple(run.duration_us / 1e3 for run in runs),
        initialization_ms=made[0].duration_us / 1e3 if made else None,
    )


def _events(text: str) -> list[_Event]:
    try:
        values = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise unreadable(_TOOL, f"it is cut, or no JSON ({str(error)[:100]})", text) from error
    if not isinstance(values, list):
        raise unreadable(_TOOL, "it is no list of events", text)
    return [_event(value, text) for value in values]


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _event(value: object, text: str) -> _Event:
    fields = value if isinstance(value, dict) else {}
    name, category = fields.get("name"), fields.get("cat")
    arguments = fields.get("args", {})
    if not (isinstance(name, str) and isinstance(category, str) and isinstance(arguments, dict)):
        raise unreadable(_TOOL, f"{repr(value)[:100]} is no event of it", text)
    return _Event(
        name=name,
        category=category,
        start_us=_microseconds(fields.get("ts"), text),
        duration_us=_microseconds(fields.get("dur"), text),
        arguments=arguments,
    )


def _microseconds(value: object, text: str) -> float:
    # A number of a year's microseconds has 14 digits.
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e15:
        return float(value)
    raise unreadable(_TOOL, f"{repr(value)[:100]} is no time in microseconds", text)


def _end_us(event: _Event) -> float:
    return event.start_us + event.duration_us


def _nodes(kernels: Sequence[_Event], runs: Sequence[_Event], text: str) -> tuple[NodeTime, ...]:
    """Sum up the kernels of each node in each run."""
    starts = [run.start_us for run in runs]
    sums: dict[tuple[str, str, str, str], list[float]] = {}
    for event in sorted(kernels, key=lambda event: event.start_us):
        run = bisect_right(starts, event.start_us + _TOLERANCE_US) - 1
        if run < 0 or _end_us(event) > _end_us(runs[run]) + _TOLERANCE_US:
            raise unreadable(_TOOL, "a node ran outside of all inferences", text)
        key = _key(event, text)
        sums.setdefault(key, [0.0] * len(runs))[run] += event.duration_us / 1e3
    return tuple(
        NodeTime(name, op_type, provider, tuple(durations))
        for (name, op_type, provider, _index), durations in sums.items()
    )


def _key(event: _Event, text: str) -> tuple[str, str, str, str]:
    """What tells a node from others: names need not be unique, or there at all."""
    values = [event.arguments.get(name) for name in ("op_name", "provider")]
    op_type, provider = (value if isinstance(value, str) else "" for value in values)
    if not op_type or not provider:
        raise unreadable(_TOOL, f"node {event.name[:100]!r} has no operator or provider", text)
    index = str(event.arguments.get("node_index", ""))[:20]
    return event.name.removesuffix(_KERNEL), op_type, provider, index
