"""The results that are drawn: found in folders, checked, and named."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from devices.errors import InputError
from devices.target import Target
from lutier import __version__
from lutier.plots.details import Details, read_details
from lutier.results import RESULT_FILE, SearchResult, load_result
from profiler.ops import OpSpec
from search.architecture import Architecture
from search.spaces.base import SearchSpace

_POSITIVE = ("budget_ms", "predicted_ms", "measured_ms")
_SHARES = ("accuracy", "validation_accuracy")


@dataclass(frozen=True)
class Run:
    """One search: its folder, what it found, and a short name of its own.

    Attributes:
        name: told apart from all others that are drawn with it.
        folder: where the result is.
        result: what was found.
        details: what the method says beyond that.
    """

    name: str
    folder: Path
    result: SearchResult
    details: Details

    @cached_property
    def space(self) -> SearchSpace:
        """What was searched."""
        return self.result.load_space()

    @cached_property
    def architecture(self) -> Architecture:
        """What was found."""
        return self.result.load_architecture()

    def ops(self, architecture: str) -> tuple[OpSpec, ...]:
        """The ops of a network of this space, given by its id.

        Raises:
            InputError: not a network of this space.
        """
        return self.space.ops(Architecture.parse(architecture))


def find_runs(folders: Sequence[Path]) -> list[Run]:
    """The results in some folders, or one level below them, as ``lutier demo`` leaves them.

    Raises:
        InputError: no result in one of them, one that is cut, of another version, or damaged.
    """
    found: dict[Path, Run] = {}
    for folder in folders:
        for each in _result_folders(folder):
            found.setdefault(each.resolve(), _read(each))
    counts = Counter(run.folder.resolve().name for run in found.values())
    seen: Counter[str] = Counter()
    runs = []
    for path, run in found.items():
        name = path.name
        if counts[name] > 1:
            name = f"{path.parent.name}/{name}"
        seen[name] += 1
        runs.append(replace(run, name=name if seen[name] == 1 else f"{name} ({seen[name]})"))
    return runs


def _result_folders(folder: Path) -> list[Path]:
    if (folder / RESULT_FILE).is_file():
        return [folder]
    if not folder.is_dir():
        raise InputError(
            f"no folder {folder}",
            "a search leaves one",
            "the folder that was given as --out, or runs/demo after lutier demo",
        )
    below = sorted(path.parent for path in folder.glob(f"*/{RESULT_FILE}"))
    if not below:
        raise InputError(
            f"no {RESULT_FILE} in {folder}, nor in a folder in it",
            "a finished search leaves one",
            f"lutier search proxyless ... --out {folder}",
        )
    return below


def _read(folder: Path) -> Run:
    try:
        result = load_result(folder)
    except InputError as error:
        raise InputError(
            error.what, error.why, error.hint or f"a result of Lutier {__version__}"
        ) from error
    try:
        _check(result)
        run = Run(folder.name, folder, result, read_details(result, str(folder)))
        for id_ in (*(x.architecture for x in run.details.finalists), run.architecture.id):
            run.ops(id_)
        for tried in run.details.rounds:
            run.ops(tried.architecture)
        for further in run.details.also:
            Target.parse(further.target)
    except InputError as error:
        written = result.lutier_version
        why = error.what + (f": {error.why}" if error.why else "")
        if written != __version__:
            why += f"; it is of Lutier {written[:20]}, this is {__version__}"
        raise InputError(f"the result in {folder} cannot be shown", why, error.hint) from error
    return run


def _check(result: SearchResult) -> None:
    """Raise :class:`InputError` for a figure that cannot be one."""
    result.load_target()
    for name in _POSITIVE:
        value = getattr(result, name)
        if not (math.isfinite(value) and value > 0):
            raise InputError(f"{name}={value}", "must be above zero and finite")
    for name in _SHARES:
        value = getattr(result, name)
        if not 0 <= value <= 1:
            raise InputError(f"{name}={value}", "must be from 0 to 1")
    low_ms, high_ms = result.measured_interval_ms
    if not low_ms <= result.measured_ms <= high_ms < math.inf:
        raise InputError(
            f"measured_interval_ms={low_ms}, {high_ms}", "the measured latency is not within it"
        )
