"""The commands that make what a report shows, again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from lutier.plots.evidence import Evidence
from lutier.plots.runs import Run
from lutier.settings import Settings
from search.knas import KnasConfig
from search.proxyless_config import ProxylessConfig
from search.train_config import TrainConfig

if TYPE_CHECKING:
    import click

_CONFIGS: Mapping[str, type] = {"proxyless": ProxylessConfig, "knas": KnasConfig}
_RENAMED = {
    "pool": "pool_size",
    "search_batch": "batch_size",
    "search_rate": "learning_rate",
    "seconds": "max_seconds",
    "evaluation_epochs": "epochs",
}
"""Flags whose setting has another name."""
_TRAINING = {"train_epochs": "epochs"}
_GIVEN = {"target", "space_name", "data", "budget", "confidence", "folder", "seed", "db", "also"}
# Set for a search as a whole, and said once.
_SHARED = {"seed", "device", "train"}


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        title: what it does.
        line: as it is typed.
        remark: what it cannot say.
    """

    title: str
    line: str
    remark: str = ""


def commands(
    runs: Sequence[Run], evidence: Mapping[str, Evidence], settings: Settings, page: str
) -> list[Command]:
    """Everything from the measurements to the page, in the order it is typed.

    Args:
        runs: the searches.
        evidence: of their targets.
        settings: what needs no flag.
        page: file that the report is written to.
    """
    found: dict[str, Command] = {}

    def add(command: Command) -> None:
        found.setdefault(command.line, command)

    for run in runs:
        of = evidence[str(run.result.load_target())]
        add(_profile(run, of, settings))
        add(_fit(run, of, settings))
    for run in runs:
        of = evidence[str(run.result.load_target())]
        add(_search(run, _db(of, settings)))
    for run in runs:
        of = evidence[str(run.result.load_target())]
        folder = str(run.folder)
        line = shlex.join(["lutier", "verify", folder, *_db(of, settings)])
        add(Command(f"Measure the network of {run.name} again", line))
        line = shlex.join(
            ["lutier", "export", folder, "--format", "onnx", "-o", f"{run.name}.onnx"]
        )
        add(Command(f"Take the network of {run.name} away", line))
    db = next((words for of in evidence.values() if (words := _db(of, settings))), [])
    folders = [str(run.folder) for run in runs]
    add(Command("Make this page", shlex.join(["lutier", "report", *folders, "-o", page, *db])))
    return list(found.values())


def _db(evidence: Evidence, settings: Settings) -> list[str]:
    if not evidence.store or evidence.store == settings.shown_db:
        return []
    return ["--db", evidence.store]


def _profile(run: Run, evidence: Evidence, settings: Settings) -> Command:
    target = run.result.load_target()
    words = ["--space", run.space.name]
    remark = ""
    if evidence.table is not None:
        names = [name for name in evidence.table.networks if _space_of(name) == run.space.name]
        if len(names) != settings.networks:
            words += ["--networks", str(len(names))]
        protocol = _protocol(evidence)
        usual = settings.protocol(target)
        for flag, name in (("--max-rounds", "max_rounds"), ("--time-limit", "max_seconds")):
            value = protocol.get(name)
            if value is not None and value != getattr(usual, name):
                words += [flag, f"{value:g}"]
        remark = "The seed that networks were drawn with is not kept; --seed is 0 by default."
    line = f"lutier profile {target.flags} {shlex.join([*words, *_db(evidence, settings)])}"
    return Command(f"Measure the ops of {run.space.name}", line, remark)


def _protocol(evidence: Evidence) -> Mapping[str, Any]:
    """The settings that most rows were measured under; nothing where rows do not say."""
    ids = [row.protocol_id for row in evidence.rows]
    most = max(sorted(set(ids)), key=ids.count, default="")
    return next((row.protocol for row in evidence.rows if row.protocol_id == most), {})


def _space_of(architecture: str) -> str:
    return architecture.rpartition(":")[0]


def _fit(run: Run, evidence: Evidence, settings: Settings) -> Command:
    words = ["lutier", "fit", "--target", run.result.target]
    model = evidence.models.get(run.space.name)
    if model is not None:
        metadata = model[1]
        # Carriers are calibrated on too, and are not counted.
        drawn = [
            figure.id for figure in metadata.calibration if _space_of(figure.id) == run.space.name
        ]
        everything = len(drawn) + len(metadata.held_out)
        if len(drawn) != max(3, min(40, 2 * everything // 3)):
            words += ["--calibration", str(len(drawn))]
        if metadata.seed != settings.seed:
            words += ["--seed", str(metadata.seed)]
    return Command("Fit the latency model", shlex.join([*words, *_db(evidence, settings)]))


def _search(run: Run, db: Sequence[str]) -> Command:
    from lutier.cli.search import search

    result, details = run.result, run.details
    title = f"Search: {run.name}"
    command = search.commands.get(result.method)
    if command is None:
        remark = f"No command searches with {result.method}: that was done from Python."
        return Command(title, "lutier search --help", remark)
    words = ["lutier", "search", result.method, "--target", result.target]
    words += ["--space", result.space, "--data", result.data, "--budget", _budget(result.budget_ms)]
    if details.confidence is not None:
        words += ["--confidence", repr(details.confidence)]
    for further in details.also:
        words += ["--also", f"{further.target}={_budget(further.budget_ms)}"]
    strategy = details.config.get("strategy")
    config = {**details.config, **(strategy if isinstance(strategy, Mapping) else {})}
    chosen, unsaid = _flags(command, result.method, config, details.training)
    words += [*chosen, "--seed", str(result.seed), "--out", str(run.folder), *db]
    remark = f"Set from Python, by no flag: {', '.join(unsaid)}." if unsaid else ""
    return Command(title, shlex.join(words), remark)


def _budget(budget_ms: float) -> str:
    return f"{Decimal(repr(budget_ms)):f}ms"


def _flags(
    command: click.Command, method: str, config: Mapping[str, Any], training: Mapping[str, Any]
) -> tuple[list[str], list[str]]:
    """Flags of all settings that differ from their defaults, and settings that no flag sets."""
    usual = {"training": _defaults(TrainConfig), "config": _defaults(_CONFIGS.get(method))}
    said: dict[str, set[str]] = {"training": {"seed"}, "config": set(_SHARED)}
    words: list[str] = []
    for parameter in command.params:
        name = parameter.name or ""
        if name in _GIVEN:
            continue
        if name == "augment":
            said["training"].add("augmentation")
            words += _augment(training.get("augmentation"))
            continue
        field = _TRAINING.get(name, name)
        place, values = ("training", training)
        if field not in training:
            field = _RENAMED.get(name, name)
            place, values = ("config", config)
        if field not in values:
            continue
        said[place].add(field)
        value = values[field]
        # What holds where the flag is left out: its own default, else that of the setting.
        left_out = parameter.default if isinstance(parameter.default, str | int | float) else None
        left_out = usual[place].get(field) if left_out is None else left_out
        if not _same(value, left_out):
            words += _words(max(parameter.opts, key=len), name, value)
    unsaid = [
        f"{name}={value}"
        for place, values in (("training", training), ("config", config))
        for name, value in values.items()
        if name not in said[place] and name in usual[place] and not _same(value, usual[place][name])
    ]
    return words, unsaid


def _words(flag: str, name: str, value: Any) -> list[str]:
    """A flag with its value, as it is typed."""
    if value is True:
        return [flag]
    if value is None:
        return [flag, "all"] if name == "pool" else []
    if value is False:
        return []
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return [flag, text]


def _augment(given: Any) -> list[str]:
    """What is done to training images, where it is not left to the data."""
    if not isinstance(given, Mapping):
        return []
    kinds = [kind for kind in ("crop", "flip", "cutout") if given.get(kind)]
    return ["--augment", "+".join(kinds) or "none"]


def _defaults(config: type | None) -> dict[str, Any]:
    """Settings that nobody changed; none of a method that is not known here."""
    if config is None:
        return {}
    made = config()
    return {each.name: getattr(made, each.name) for each in fields(made)}


def _same(value: Any, usual: Any) -> bool:
    if isinstance(usual, tuple) and isinstance(value, list | tuple):
        return tuple(value) == usual
    return bool(value == usual)
