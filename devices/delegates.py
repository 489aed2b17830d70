"""Which part of a TFLite model a delegate ran, as the log of ``benchmark_model`` tells it.

A delegate that cannot run a model leaves it to the CPU, and ``benchmark_model`` then ends well
and prints figures of the CPU. A figure is a delegate's only where the log proves that the
delegate took every node.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from devices.errors import MeasurementError, UnknownNameError
from devices.ssh_trouble import shown
from devices.tool_output import Line, log_lines

DELEGATES = ("xnnpack", "gpu", "nnapi", "hexagon", "none")
"""Names of the delegates; ``none`` runs TFLite's own kernels."""

# How the runtime calls the node that stands for what a delegate took: TFLite's, LiteRT's.
_KERNELS = {
    "xnnpack": ("TfLiteXNNPackDelegate",),
    "gpu": ("TfLiteGpuDelegateV2", "LITERT_CL"),
    "nnapi": ("TfLiteNnapiDelegate",),
    "hexagon": ("TfLiteHexagonDelegate",),
}
_REPLACED = re.compile(
    r"Replacing (?P<taken>\d{1,9})(?: out of (?P<nodes>\d{1,9}))? node\(s\) with delegate"
    r" \((?P<kernel>[^)]*)\)(?: node, yielding (?P<partitions>\d{1,9}) partitions)?"
)
_WHOLLY = re.compile(r"Explicitly applied (\w+) delegate, .*\bcompletely executed")
_PARTLY = re.compile(r"Explicitly applied (\w+) delegate, .*\bpar(?:ti|it)ally executed")
_NOT_AT_ALL = re.compile(r"Though \w+ delegate is explicitly applied, .*\bnot be executed")
_UNDONE = re.compile(r"Restored original execution plan after delegate")
_ONLY_REFERENCE = re.compile(r"NNAPI accelerators available: \[nnapi-reference\]")
# Lines that say why, the most telling first.
_REASONS = (
    re.compile(r"acceleration is unsupported"),
    re.compile(r"[Cc]ould not create .*delegate"),
    _NOT_AT_ALL,
    re.compile(r"[Ff]ailed to (?:apply|prepare)"),
    _UNDONE,
    _ONLY_REFERENCE,
)


@dataclass(frozen=True)
class _Replacement:
    kernel: str
    taken: int
    nodes: int | None  # Older builds do not say of how many.
    partitions: int | None
    text: str

    @property
    def whole(self) -> bool:
        """Whether it took every node: a graph in one partition has none outside of it."""
        if self.nodes is None:
            return self.taken > 0 and self.partitions == 1
        return self.taken == self.nodes > 0


def require_delegate(delegate: str) -> None:
    """Refuse a name that is not one of :data:`DELEGATES`.

    Raises:
        UnknownNameError: it is not.
    """
    if delegate not in DELEGATES:
        raise UnknownNameError.of("delegate", delegate, DELEGATES)


def refuse_fallback(text: str, delegate: str) -> None:
    """Refuse the log of a run in which the delegate did not run the whole model.

    Args:
        text: all that ``benchmark_model`` printed.
        delegate: one of :data:`DELEGATES`.

    Raises:
        MeasurementError: another delegate ran the model or a part of it, or the CPU did, or the
            log does not say.
        UnknownNameError: no such delegate.
    """
    require_delegate(delegate)
    lines = log_lines(text)
    replacements = [_replacement(match) for line in lines if (match := _REPLACED.search(line.text))]
    if delegate == "none":
        _refuse_any(lines, replacements)
        return
    own = [each for each in replacements if each.kernel in _KERNELS[delegate]]
    others = [each for each in replacements if each.kernel not in _KERNELS[delegate]]
    for sign in (_NOT_AT_ALL, _UNDONE, *((_ONLY_REFERENCE,) if delegate == "nnapi" else ())):
        if any(sign.search(line.text) for line in lines):
            raise _fell_back(delegate, lines, others)
    for each in own:
        if not each.whole:
            raise _partial(delegate, each)
    for line in lines:
        if _PARTLY.search(line.text):
            raise MeasurementError(
                f"delegate {delegate} runs only a part of the model: the rest fell back",
                _shown(line.text),
                _hint(delegate),
            )
    if others:
        raise _fell_back(delegate, lines, others)
    wholly = [match[1].lower() for line in lines if (match := _WHOLLY.search(line.text))]
    if not own and delegate not in wholly:
        raise _fell_back(delegate, lines, others)


def _replacement(match: re.Match[str]) -> _Replacement:
    nodes, partitions = match["nodes"], match["partitions"]
    return _Replacement(
        kernel=match["kernel"],
        taken=int(match["taken"]),
        nodes=int(nodes) if nodes else None,
        partitions=int(partitions) if partitions else None,
        text=match.string,
    )


def _refuse_any(lines: Sequence[Line], replacements: Sequence[_Replacement]) -> None:
    applied = [each.text for each in replacements]
    applied += [
        line.text for line in lines if _WHOLLY.search(line.text) or _PARTLY.search(line.text)
    ]
    if applied:
        raise MeasurementError(
            "no delegate was asked for, and one ran the model",
            _shown(applied[0]),
            "that delegate by its name, or a benchmark_model that knows --use_xnnpack=false",
        )


def _partial(delegate: str, replacement: _Replacement) -> MeasurementError:
    taken, nodes = replacement.taken, replacement.nodes
    share = f"{taken} nodes" if nodes is None else f"{taken} of {nodes} nodes"
    return MeasurementError(
        f"delegate {delegate} runs only {share}: the rest fell back",
        _shown(replacement.text),
        _hint(delegate),
    )


def _fell_back(
    delegate: str, lines: Sequence[Line], others: Sequence[_Replacement]
) -> MeasurementError:
    """The error of a delegate that did not run the model, with the reason that the log gives."""
    said = [line.text for sign in _REASONS for line in lines if sign.search(line.text)]
    said += [line.text for line in lines if line.level == "ERROR"]
    said += [each.text for each in others]
    said += [line.text for line in lines if line.level == "WARN"]
    why = _shown(said[0]) if said else "the log names no delegate that took the nodes"
    return MeasurementError(f"delegate {delegate} fell back", why, _hint(delegate))


def _hint(delegate: str) -> str:
    other = "none" if delegate == "xnnpack" else "xnnpack"
    return f"delegate {other}, or a model whose every operation {delegate} runs on this device"


def _shown(text: str) -> str:
    return " ".join(shown(text).split())[:300].rstrip(".")
