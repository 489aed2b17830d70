"""Under what conditions everything was measured and searched."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lutier.plots.evidence import Evidence
from lutier.plots.runs import Run
from lutier.terminal import duration, percent
from lutier.verification import describe_drift

Facts = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Condition:
    """A group of facts.

    Attributes:
        title: what they are of.
        facts: name and value.
        settings: groups that few people ask for.
    """

    title: str
    facts: Facts
    settings: tuple[Condition, ...] = ()


def conditions(runs: Sequence[Run], evidence: Mapping[str, Evidence]) -> list[Condition]:
    """Machines, protocols, models and searches, in that order; only what is known."""
    found = []
    for target, of in evidence.items():
        if of.table is None:
            continue
        environment = of.table.environment
        facts = [("id", environment.id), *_facts(environment.to_dict())]
        found.append(Condition(f"Machine of {target}", tuple(facts)))
        found += [
            Condition(f"Protocol of {target} ({count} rows)", _facts(settings))
            for settings, count in _protocols(of)
        ]
        found += [
            Condition(f"Latency model of {space} on {target}", _model(of, space))
            for space in of.models
        ]
    return [*found, *map(_search, runs)]


def _protocols(evidence: Evidence) -> list[tuple[Mapping[str, Any], int]]:
    counts: dict[str, int] = {}
    settings: dict[str, Mapping[str, Any]] = {}
    for row in evidence.rows:
        counts[row.protocol_id] = counts.get(row.protocol_id, 0) + 1
        settings[row.protocol_id] = row.protocol
    return [(settings[id_], counts[id_]) for id_ in counts if settings[id_]]


def _facts(settings: Mapping[str, Any]) -> Facts:
    return tuple((name.replace("_", " "), _text(value)) for name, value in settings.items())


def _text(value: Any) -> str:
    if value is None:
        return "not said"
    return value if isinstance(value, str) else json.dumps(value)


def _model(evidence: Evidence, space: str) -> Facts:
    metadata = evidence.models[space][1]
    evaluation = metadata.evaluation
    floor, coverage = evaluation.noise_floor, metadata.coverage
    facts = [
        ("calibrated on", f"{len(metadata.calibration)} networks"),
        ("tested on", f"{evaluation.n} networks that took part in no fit"),
        ("mean error", percent(evaluation.mape)),
        ("bias", f"{100 * evaluation.bias:+.2f} %"),
        ("within 5 %", percent(evaluation.within_5)),
        ("Spearman", f"{evaluation.spearman:.3f}"),
        ("mean error of the plain sum of ops", percent(metadata.uncalibrated.mape)),
    ]
    if floor is not None:
        facts.append(("noise floor", percent(floor)))
    if coverage is not None:
        facts.append(("within their 90 % interval", percent(coverage)))
    return (*facts, ("seed", str(metadata.seed)), ("table digest", metadata.table_digest[:12]))


def _search(run: Run) -> Condition:
    result, details = run.result, run.details
    facts = [
        ("method", result.method),
        ("space", result.space),
        ("data", result.data),
        ("seed", str(result.seed)),
        ("took", duration(result.seconds)),
        ("Lutier", result.lutier_version),
        ("environment", result.environment_id),
        ("model file, SHA-256", result.artifact_sha256[:16]),
    ]
    if details.confidence is not None:
        facts.append(("confidence", f"{details.confidence:g}"))
    if result.drift is not None:
        facts.append(("speed", describe_drift(result.drift) or "as when the table was measured"))
    if details.regressed_ops:
        facts.append(("ops that regressors answered for", str(len(details.regressed_ops))))
    facts += [("data", note) for note in details.data_notes]
    settings = []
    for name, values in (("search", details.config), ("training", details.training)):
        flat = {key: value for key, value in values.items() if not isinstance(value, Mapping)}
        if flat:
            settings.append(Condition(f"Settings of the {name}", _facts(flat)))
    return Condition(f"Search {run.name}", tuple(facts), tuple(settings))
