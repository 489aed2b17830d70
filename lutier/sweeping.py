"""ProxylessNAS under several budgets, from one warm-up, and the trade-off that comes of it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from devices.errors import BudgetError, InputError
from devices.files import write_at_once
from lutier.opening import open_measured
from lutier.results import SearchResult
from lutier.searching import Bench, Request
from lutier.searching_proxyless import help_search, search_proxyless
from lutier.settings import Settings
from lutier.terminal import to_json
from search.budget import format_ms, parse_budget
from search.pareto import pareto_front
from search.proxyless_config import ProxylessConfig
from search.spaces.registry import open_chain
from search.team import ALONE, Team

SWEEP_FILE = "sweep.json"
_WARMUP_FILE = "warmup.pt"


class Point(BaseModel):
    """The network that was found under a budget.

    Attributes:
        budget_ms: latency it must not exceed.
        folder: of the whole result, below the folder of the sweep.
        architecture: id of the network.
        predicted_ms: by the latency model.
        measured_ms: median on the device.
        measured_interval_ms: 95 % confidence interval of that median.
        accuracy: share of the test split classified correctly.
        validation_accuracy: the same of the validation split.
        on_front: whether no other network of the sweep is as accurate and faster, or as fast and
            more accurate.
    """

    model_config = ConfigDict(extra="forbid")

    budget_ms: float
    folder: str
    architecture: str
    predicted_ms: float
    measured_ms: float
    measured_interval_ms: tuple[float, float]
    accuracy: float
    validation_accuracy: float
    on_front: bool = False


class Missed(BaseModel):
    """A budget that no network met when it was measured.

    Attributes:
        budget_ms: the budget.
        why: what was measured.
    """

    model_config = ConfigDict(extra="forbid")

    budget_ms: float
    why: str


class Sweep(BaseModel):
    """What came of all budgets, as it stands in ``sweep.json``.

    Attributes:
        target: that was measured.
        space: that was searched.
        data: that networks were trained on.
        seed: of everything drawn at random.
        points: in the order of their budgets, as far as they have been searched.
        missed: budgets without a network.
    """

    model_config = ConfigDict(extra="forbid")

    target: str
    space: str
    data: str
    seed: int
    points: tuple[Point, ...] = ()
    missed: tuple[Missed, ...] = ()

    def with_point(self, point: Point) -> Sweep:
        """The sweep with one more network."""
        points = (*self.points, point)
        front = pareto_front([p.accuracy for p in points], [p.measured_ms for p in points])
        marked = (p.model_copy(update={"on_front": i in front}) for i, p in enumerate(points))
        return self.model_copy(update={"points": tuple(marked)})

    def with_missed(self, missed: Missed) -> Sweep:
        """The sweep with one more budget that was missed."""
        return self.model_copy(update={"missed": (*self.missed, missed)})


def parse_budgets(text: str) -> tuple[float, ...]:
    """Budgets in ms, smallest first, of a list like ``5ms,8ms,12ms``.

    Raises:
        InputError: a budget that cannot be read, or the same one twice.
    """
    budgets_ms = sorted(parse_budget(part) for part in text.split(","))
    for one, next_ in itertools.pairwise(budgets_ms):
        if one == next_:
            raise InputError(f"budgets {text!r}", f"{format_ms(one)} is there twice")
    return tuple(budgets_ms)


def sweep_proxyless(
    settings: Settings,
    request: Request,
    config: ProxylessConfig,
    budgets_ms: Sequence[float],
    *,
    team: Team = ALONE,
) -> Sweep:
    """Search under one budget after the other, as :func:`search_proxyless` does.

    Each has a folder of its own below that of the request, named after its budget. The warm-up is
    trained once. A budget that no network meets when measured does not keep the others from being
    searched. Interrupted, the same call goes on.

    Args:
        settings: where tables and models are.
        request: what is searched for; its budget is not used.
        config: of the supernet.
        budgets_ms: of the main target; those of further targets stay.
        team: processes that train together. Only the first gives any networks.

    Raises:
        LutierError: as :func:`search_proxyless` does, but for budgets that measured networks miss;
            a budget that none can meet is refused before anything is trained.
    """
    open_chain(request.space, "ProxylessNAS")
    requests = [
        replace(request, budget_ms=budget_ms, folder=request.folder / _folder(budget_ms))
        for budget_ms in budgets_ms
    ]
    data = None
    with open_measured(settings, request.target) as device:
        for each in requests:
            data = Bench(settings, replace(each, quiet=True), device, data=data).data
    sweep = Sweep(
        target=str(request.target), space=request.space, data=request.data, seed=request.seed
    )
    for each in requests:
        warmup = request.folder / _WARMUP_FILE
        if not team.is_first:
            help_search(settings, each, config, warmup=warmup, team=team)
            continue
        try:
            found = search_proxyless(settings, each, config, warmup=warmup, team=team)
        except BudgetError as error:
            sweep = sweep.with_missed(Missed(budget_ms=each.budget_ms, why=str(error)))
        else:
            sweep = sweep.with_point(_point(each, found))
        _save(request.folder, sweep)
    return sweep


def _point(request: Request, found: SearchResult) -> Point:
    shared = Point.model_fields.keys() & SearchResult.model_fields.keys()
    figures = {name: getattr(found, name) for name in shared}
    return Point(folder=request.folder.name, **figures)


def _folder(budget_ms: float) -> str:
    return f"{budget_ms:.9g}ms"


def _save(folder: Path, sweep: Sweep) -> None:
    text = json.dumps(to_json(sweep.model_dump()), indent=2)
    write_at_once(folder / SWEEP_FILE, text + "\n")
