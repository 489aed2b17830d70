"""KNAS: rank networks by a figure of theirs before training, train the best few, keep the best one.

Xu et al.: "KNAS: Green Neural Architecture Search", ICML 2021. Coarse step: score freshly
initialised networks and keep the ``k`` best. The paper's score is ``mgm``, the mean of the Gram
matrix of per-sample gradients; any proxy, and any combination of proxies, can take its place. Fine
step: train those, and keep the one of highest validation accuracy. Here the networks that are
scored are all predicted to be within a latency budget, and a device may have the last word on each
before it is trained.

A score has earned its place where it beats ``score="random"`` with the same ``k``: on
NAS-Bench-201 ``mgm`` often does not.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from devices.errors import DatasetError, InputError, MeasurementError
from search.architecture import Architecture
from search.checkpoint import Fingerprint, fingerprint_of, load_checkpoint, save_checkpoint
from search.closed_loop import Measure
from search.data import DataSource, check_data, fetch, size_of
from search.fine_stage import FineStage, TrainWork
from search.halving import check_rungs
from search.parallel.base import InProcess, Workers
from search.pool import Pool, sample_pool
from search.result import Candidate, Finalist, Funnel, KnasResult, rank_finalists
from search.scoring import DEFAULT_SCORE, Scored, ScoreRule, ScoreWork
from search.space_latency import SpaceLatency
from search.spaces.base import SearchSpace
from search.train import TrainConfig, require_positive

_LARGEST_WHOLE_POOL = 100_000
_STORE_EVERY_S = 2.0


@dataclass(frozen=True)
class KnasConfig:
    """How networks are drawn, scored and trained.

    Attributes:
        pool_size: different networks within the budget to draw and score; ``None`` for all of
            them.
        k: networks to train.
        score: what they are ranked by: a proxy, several joined by ``+`` (sum of ranks) or ``*``
            (product of ranks), ``az_nas``, or ``random`` as a control: the same search with
            nothing scored.
        proxy_batch_size: images of the training split a network is scored on.
        repeats: initialisations whose scores are averaged.
        halving: epochs of training after which the worse half of the finalists is dropped.
        train: how the finalists are trained.
        seed: of the pool, the initial weights and the images networks are scored on.
    """

    pool_size: int | None = 200
    k: int = 3
    score: str = DEFAULT_SCORE
    proxy_batch_size: int = 32
    repeats: int = 1
    halving: tuple[int, ...] = ()
    train: TrainConfig = field(default_factory=TrainConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        ScoreRule.parse(self.score)
        if self.seed < 0:
            raise InputError(f"seed={self.seed}", "must be 0 or more")
        require_positive(
            pool_size=1 if self.pool_size is None else self.pool_size,
            k=self.k,
            proxy_batch_size=self.proxy_batch_size,
            repeats=self.repeats,
        )
        check_rungs(self.halving, self.train.epochs)
        if self.pool_size is not None:
            _check_k(self.k, self.pool_size, "a larger pool")


def _check_k(k: int, pool: int, hint: str) -> None:
    if k > pool:
        raise InputError(
            f"k={k} of a pool of {pool} networks", "no more can be trained than there are", hint
        )


Stage = Literal["score", "measure", "train"]
OnProgress = Callable[[Stage, int, int], None]


def knas_search(
    space: SearchSpace,
    matrix: SpaceLatency,
    data: DataSource,
    budget_ms: float,
    config: KnasConfig | None = None,
    *,
    admit: Measure | None = None,
    checkpoint: Path | None = None,
    on_progress: OnProgress | None = None,
    workers: Workers | None = None,
) -> KnasResult:
    """Search a space for an accurate network within a latency budget.

    Args:
        space: what is searched.
        matrix: latencies of that space.
        data: ``train`` scores and trains, ``validation`` chooses, ``test`` is only reported.
        budget_ms: in ms.
        config: how.
        admit: measures a network before any is trained. One whose upper end is over the budget
            gives way to the next best by score.
        checkpoint: folder that keeps scores, latencies and trained finalists as they come. The
            same call with the same folder does only what is missing; ``k``, ``pool_size`` and
            ``halving`` may change, and so may the workers.
        on_progress: called with the stage, and how much of it is done out of how much. ``measure``
            counts finalists asked for, ``train`` epochs of all finalists.
        workers: who scores and trains; the asking process by default.

    Raises:
        BudgetError: not even the fastest network is predicted to be within the budget, or none of
            the pool is when measured.
        DatasetError: data this space cannot be trained on, or fewer images than a score takes.
        DivergedError: all finalists diverged in training.
        MeasurementError: ``admit`` gave a latency that is not finite.
        LinkLostError: workers were lost again and again.
        InputError: latencies of another space, no network that could be scored, a pool smaller
            than ``k`` or too large to be taken whole, or a checkpoint of another search.
    """
    settings = KnasConfig() if config is None else config
    if matrix.space != space:
        raise InputError(f"latencies of {matrix.space.name} cannot price {space.name}")
    matrix.check_budget(budget_ms)
    check_data(data, space.input_shape, space.classes)
    if settings.proxy_batch_size > size_of(data.train) and ScoreRule.parse(settings.score).names:
        raise DatasetError(
            f"the train split of {data.name} has {size_of(data.train)} images",
            f"networks are scored on {settings.proxy_batch_size}",
            f"a batch of {size_of(data.train)} for scores",
        )
    pool = draw_pool(matrix, budget_ms, settings.pool_size, settings.seed)
    _check_k(settings.k, len(pool.architectures), "a smaller k, or a larger budget")
    run = _Run(matrix, data, budget_ms, settings, checkpoint, on_progress, workers or InProcess())
    candidates = run.ranked(pool)
    scored = [candidate for candidate in candidates if not candidate.failure]
    if not scored:
        raise InputError(
            f"none of {len(candidates)} networks could be scored", candidates[0].failure
        )
    finalists = run.finalists(scored, admit)
    status = Counter(finalist.status for finalist in finalists)
    return KnasResult(
        rank_finalists(finalists, budget_ms),
        run.fine.weights,
        tuple(finalists),
        tuple(candidates),
        Funnel(
            pool.space_size,
            pool.admissible,
            len(pool.architectures),
            len(scored),
            sum(finalist.measured_ms is not None for finalist in finalists),
            status["trained"],
            dict(Counter(one.failure for one in candidates if one.failure).most_common()),
            status["over budget"],
            status["dropped"],
            status["diverged"],
            pool.admissible == pool.admissible_at_most,
        ),
        budget_ms,
        settings.seed,
    )


def draw_pool(matrix: SpaceLatency, budget_ms: float, size: int | None, seed: int) -> Pool:
    """Different networks within a budget, drawn uniformly.

    Args:
        matrix: latencies of the space.
        budget_ms: in ms.
        size: how many; ``None`` for all.
        seed: the same draws the same pool.

    Raises:
        BudgetError: no network is within the budget.
        InputError: all were asked for, and they are too many.
    """
    if size is not None:
        return sample_pool(matrix, budget_ms, size, np.random.default_rng(seed))
    whole = sample_pool(matrix, budget_ms, _LARGEST_WHOLE_POOL, np.random.default_rng(seed))
    if whole.admissible_at_most > len(whole.architectures):
        raise InputError(
            f"{whole.admissible:,} networks or more are within the budget",
            f"a pool is taken whole up to {_LARGEST_WHOLE_POOL:,}",
            "a pool of a number of networks, or a smaller budget",
        )
    return whole


class _Run:
    """A search under way, and what it has stored."""

    def __init__(
        self,
        matrix: SpaceLatency,
        data: DataSource,
        budget_ms: float,
        config: KnasConfig,
        folder: Path | None,
        on_progress: OnProgress | None,
        workers: Workers,
    ) -> None:
        self.space = matrix.space
        self.data = data
        self.budget_ms = budget_ms
        self.config = config
        self.folder = folder
        self.on_progress = on_progress
        self.workers = workers
        self.fingerprint: Fingerprint = {}
        if folder is not None:
            # None of these changes a score or a training, so all may change from run to run.
            kept = dataclasses.replace(config, k=1, pool_size=1, halving=())
            self.fingerprint = fingerprint_of(
                search="knas", matrix=matrix, data=data, budget_ms=budget_ms, config=kept
            )
        self.fine = FineStage(
            TrainWork(self.space, data, config.train),
            config.halving,
            workers,
            folder,
            self.fingerprint,
            lambda done, total: self._tell("train", done, total),
        )

    def _tell(self, stage: Stage, done: int, total: int) -> None:
        if self.on_progress is not None:
            self.on_progress(stage, done, total)

    def _load(self, name: str) -> dict[str, Any]:
        path = None if self.folder is None else self.folder / name
        return (None if path is None else load_checkpoint(path, self.fingerprint)) or {}

    def _save(self, name: str, state: dict[str, Any]) -> None:
        if self.folder is not None:
            save_checkpoint(self.folder / name, self.fingerprint, state)

    def ranked(self, pool: Pool) -> list[Candidate]:
        """The pool, best score first; in random order for the control; failures last."""
        rule = ScoreRule.parse(self.config.score)
        drawn = list(zip(pool.architectures, map(float, pool.latencies_ms), strict=True))
        if not rule.names:
            shuffled = np.random.default_rng([self.config.seed, 1]).permutation(len(drawn))
            return [Candidate(drawn[i][0], drawn[i][1], None) for i in shuffled]
        rows = self._rows(rule, pool.architectures)
        scores = [Scored(**rows[architecture.code]) for architecture in pool.architectures]
        candidates = [
            Candidate(*network, combined, scored.failure, scored.values)
            for network, combined, scored in zip(drawn, rule.combined(scores), scores, strict=True)
        ]
        return sorted(candidates, key=lambda c: math.inf if c.score is None else -c.score)

    def _rows(self, rule: ScoreRule, architectures: tuple[Architecture, ...]) -> dict[str, Any]:
        """Scores of all networks by code: those that are stored, and those that are missing."""
        config, rows = self.config, self._load("scores.pt")
        missing = [one for one in architectures if one.code not in rows]
        total, stored = len(architectures), time.monotonic()
        self._tell("score", total - len(missing), total)
        order = torch.randperm(
            size_of(self.data.train), generator=torch.Generator().manual_seed(config.seed)
        )
        inputs, targets = fetch(self.data.train, order[: config.proxy_batch_size])
        work = ScoreWork(
            self.space,
            rule.names,
            inputs,
            targets,
            config.seed,
            config.repeats,
            config.train.device,
        )
        try:
            with closing(self.workers.results(work, missing)) as results:
                for done, (index, scored) in enumerate(results, total - len(missing) + 1):
                    rows[missing[index].code] = scored.row()
                    if time.monotonic() - stored > _STORE_EVERY_S:
                        self._save("scores.pt", rows)
                        stored = time.monotonic()
                    self._tell("score", done, total)
        finally:
            if missing:
                self._save("scores.pt", rows)
        return rows

    def finalists(self, scored: list[Candidate], admit: Measure | None) -> list[Finalist]:
        """Measure, best score first, until ``k`` are within the budget; then train those."""
        wanted = min(self.config.k, len(scored))
        latencies = self._load("latencies.pt")
        taken: list[Finalist] = []
        admitted = 0
        for candidate in scored:
            if admitted == wanted:
                break
            finalist = self._measured(candidate, admit, latencies)
            taken.append(finalist)
            if finalist.status != "over budget":
                admitted += 1
                self._tell("measure", admitted, wanted)
        admitted_ones = [finalist for finalist in taken if finalist.status != "over budget"]
        trained = {one.architecture: one for one in self.fine.trained(admitted_ones)}
        return [trained.get(finalist.architecture, finalist) for finalist in taken]

    def _measured(
        self, candidate: Candidate, admit: Measure | None, latencies: dict[str, Any]
    ) -> Finalist:
        finalist = Finalist(
            candidate.architecture, candidate.predicted_ms, candidate.score, "trained"
        )
        if admit is None:
            return finalist
        code = candidate.architecture.code
        if code not in latencies:
            measured_ms, upper_ms = admit(candidate.architecture)
            if not math.isfinite(upper_ms):
                raise MeasurementError(f"{candidate.architecture} was measured at {upper_ms} ms")
            if upper_ms > self.budget_ms:
                # Not kept: where the machine was slow for a while it is asked again.
                return dataclasses.replace(
                    finalist, status="over budget", measured_ms=measured_ms, upper_ms=upper_ms
                )
            latencies[code] = (measured_ms, upper_ms)
            self._save("latencies.pt", latencies)
        measured_ms, upper_ms = latencies[code]
        return dataclasses.replace(finalist, measured_ms=measured_ms, upper_ms=upper_ms)
