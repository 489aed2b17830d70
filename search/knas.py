"""KNAS: rank networks by their gradients before training, train the best few, keep the best one.

Xu et al.: "KNAS: Green Neural Architecture Search", ICML 2021. Coarse step: score freshly
initialised networks by the mean of the Gram matrix of their per-sample gradients
(:func:`search.gradient_kernel.mean_gram`; larger is better) and keep the ``k`` best. Fine step:
train those, and keep the one of highest validation accuracy. Here the networks that are scored are
all predicted to be within a latency budget, and a device may have the last word on each before it
is trained.

A score has earned its place where it beats ``score="random"`` with the same ``k``: on
NAS-Bench-201 this one often does not.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from devices.errors import DivergedError, InputError, MeasurementError, UnknownNameError
from search.architecture import Architecture
from search.checkpoint import Fingerprint, fingerprint_of, load_checkpoint, save_checkpoint
from search.closed_loop import Measure
from search.data import DataSource, check_data, fetch, size_of
from search.expected_latency import LatencyMatrix
from search.gradient_kernel import Output, mean_gram
from search.pool import Pool, sample_pool
from search.result import Candidate, Finalist, Funnel, KnasResult, Status, rank_finalists
from search.spaces.base import ChainSpace
from search.train import TrainConfig, build_network, placed, require_positive, train

SCORES = ("mgm", "random")


@dataclass(frozen=True)
class KnasConfig:
    """How networks are drawn, scored and trained.

    Attributes:
        pool_size: different networks within the budget to draw and score.
        k: networks to train.
        score: ``mgm``, or ``random`` as a control: the same search with nothing scored.
        output: what is differentiated, the summed ``logits`` or the ``loss``.
        proxy_batch_size: images of the training split a network is scored on.
        repeats: initialisations whose scores are averaged.
        train: how the finalists are trained.
        seed: of the pool, the initial weights and the images networks are scored on.
    """

    pool_size: int = 200
    k: int = 3
    score: str = "mgm"
    output: Output = "logits"
    proxy_batch_size: int = 32
    repeats: int = 1
    train: TrainConfig = field(default_factory=TrainConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.score not in SCORES:
            raise UnknownNameError.of("score", self.score, SCORES)
        if self.seed < 0:
            raise InputError(f"seed={self.seed}", "must be 0 or more")
        require_positive(
            pool_size=self.pool_size,
            k=self.k,
            proxy_batch_size=self.proxy_batch_size,
            repeats=self.repeats,
        )


Stage = Literal["score", "measure", "train"]
OnProgress = Callable[[Stage, int, int], None]


def knas_search(
    space: ChainSpace,
    matrix: LatencyMatrix,
    data: DataSource,
    budget_ms: float,
    config: KnasConfig | None = None,
    *,
    admit: Measure | None = None,
    checkpoint: Path | None = None,
    on_progress: OnProgress | None = None,
) -> KnasResult:
    """Search a space for an accurate network within a latency budget.

    Args:
        space: what is searched.
        matrix: latencies of that space.
        data: ``train`` scores and trains, ``validation`` chooses, ``test`` is only reported.
        budget_ms: in ms.
        config: how.
        admit: measures a network before it is trained. One whose upper end is over the budget
            gives way to the next best by score.
        checkpoint: folder that keeps scores and trained finalists as they come. The same call
            with the same folder does only what is missing; ``k`` and ``pool_size`` may grow.
        on_progress: called with the stage, and how much of it is done out of how much. ``measure``
            counts finalists asked for, ``train`` epochs of all finalists.

    Raises:
        BudgetError: not even the fastest network is predicted to be within the budget, or none of
            the pool is when measured.
        DatasetError: data this space cannot be trained on.
        DivergedError: all finalists diverged in training.
        MeasurementError: ``admit`` gave a latency that is not finite.
        InputError: latencies of another space, no network that could be scored, or a checkpoint of
            another search.
    """
    settings = KnasConfig() if config is None else config
    if matrix.space != space:
        raise InputError(f"latencies of {matrix.space.name} cannot price {space.name}")
    matrix.check_budget(budget_ms)
    check_data(data, space.input_shape, space.classes)
    pool = sample_pool(matrix, budget_ms, settings.pool_size, np.random.default_rng(settings.seed))
    run = _Run(matrix, data, budget_ms, settings, checkpoint, on_progress)
    candidates = run.ranked(pool)
    scored = [candidate for candidate in candidates if not candidate.failure]
    if not scored:
        raise InputError(
            f"none of {len(candidates)} networks could be scored", candidates[0].failure
        )
    finalists = run.finalists(scored, admit)
    return KnasResult(
        rank_finalists(finalists, budget_ms),
        run.weights,
        tuple(finalists),
        tuple(candidates),
        Funnel(
            pool.space_size,
            pool.admissible,
            len(pool.architectures),
            len(scored),
            sum(finalist.measured_ms is not None for finalist in finalists),
            sum(finalist.status == "trained" for finalist in finalists),
        ),
        budget_ms,
        settings.seed,
    )


class _Run:
    """A search under way, and what it has stored."""

    def __init__(
        self,
        matrix: LatencyMatrix,
        data: DataSource,
        budget_ms: float,
        config: KnasConfig,
        folder: Path | None,
        on_progress: OnProgress | None,
    ) -> None:
        self.space = matrix.space
        self.data = data
        self.budget_ms = budget_ms
        self.config = config
        self.folder = folder
        self.on_progress = on_progress
        self.weights: dict[Architecture, Mapping[str, Tensor]] = {}
        self.fingerprint: Fingerprint = {}
        if folder is not None:
            # Neither number changes a score or a training, so both may grow from run to run.
            kept = dataclasses.replace(config, k=1, pool_size=1)
            self.fingerprint = fingerprint_of(
                search="knas", matrix=matrix, data=data, budget_ms=budget_ms, config=kept
            )

    def _tell(self, stage: Stage, done: int, total: int) -> None:
        if self.on_progress is not None:
            self.on_progress(stage, done, total)

    def ranked(self, pool: Pool) -> list[Candidate]:
        """The pool, best score first; in random order for the control; failures last."""
        config = self.config
        drawn = list(zip(pool.architectures, map(float, pool.latencies_ms), strict=True))
        if config.score == "random":
            shuffled = np.random.default_rng([config.seed, 1]).permutation(len(drawn))
            return [Candidate(drawn[i][0], drawn[i][1], None) for i in shuffled]
        path = None if self.folder is None else self.folder / "scores.pt"
        stored = None if path is None else load_checkpoint(path, self.fingerprint)
        scores: dict[str, tuple[float | None, str]] = {} if stored is None else stored
        generator = torch.Generator().manual_seed(config.seed)
        order = torch.randperm(size_of(self.data.train), generator=generator)
        inputs, targets = fetch(self.data.train, order[: config.proxy_batch_size])
        inputs = placed(inputs, config.train.device)
        targets = targets.to(config.train.device)
        for done, (architecture, _) in enumerate(drawn, 1):
            if architecture.code not in scores:
                scores[architecture.code] = self._score(architecture, inputs, targets)
                # Often enough to lose seconds, seldom enough to cost none.
                if path is not None and (done % 20 == 0 or done == len(drawn)):
                    save_checkpoint(path, self.fingerprint, scores)
            self._tell("score", done, len(drawn))
        candidates = [Candidate(*network, *scores[network[0].code]) for network in drawn]
        return sorted(candidates, key=lambda c: math.inf if c.score is None else -c.score)

    def _score(
        self, architecture: Architecture, inputs: Tensor, targets: Tensor
    ) -> tuple[float | None, str]:
        """A score, or why there is none: a network that cannot be scored is not a bad one."""
        total = 0.0
        for repeat in range(self.config.repeats):
            network = build_network(self.space, architecture, self.config.seed + repeat)
            network.to(inputs.device)
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stub
            try:
                total += mean_gram(network, inputs, targets, self.config.output)
            except (InputError, RuntimeError) as error:
                return None, str(error).partition("\n")[0]
        score = total / self.config.repeats
        return (score, "") if math.isfinite(score) else (None, f"the score is {score}")

    def finalists(self, scored: list[Candidate], admit: Measure | None) -> list[Finalist]:
        """Measure and train, best score first, until ``k`` were trained or none is left."""
        wanted = min(self.config.k, len(scored))
        epochs = self.config.train.epochs
        taken: list[Finalist] = []
        done = 0
        for candidate in scored:
            if done == wanted:
                break
            finalist = self._restored(candidate)
            if finalist is None or (admit is not None and finalist.measured_ms is None):
                finalist = self._measured(candidate, admit)
                self._tell("measure", done + 1, wanted)
                if finalist.status != "over budget":
                    finalist = self._trained(finalist, done, wanted)
            taken.append(finalist)
            if finalist.status != "over budget":
                done += 1
                self._tell("train", done * epochs, wanted * epochs)
        return taken

    def _measured(self, candidate: Candidate, admit: Measure | None) -> Finalist:
        finalist = Finalist(
            candidate.architecture, candidate.predicted_ms, candidate.score, "trained"
        )
        if admit is None:
            return finalist
        measured_ms, upper_ms = admit(candidate.architecture)
        if not math.isfinite(upper_ms):
            raise MeasurementError(f"{candidate.architecture} was measured at {upper_ms} ms")
        status: Status = "trained" if upper_ms <= self.budget_ms else "over budget"
        return dataclasses.replace(
            finalist, status=status, measured_ms=measured_ms, upper_ms=upper_ms
        )

    def _trained(self, finalist: Finalist, before: int, wanted: int) -> Finalist:
        config = self.config.train
        network = build_network(self.space, finalist.architecture, config.seed)

        def tell(epoch: int, loss: float) -> None:
            self._tell("train", before * config.epochs + epoch, wanted * config.epochs)

        # Of the training under way: it goes on in the middle of an epoch.
        path = self._path(finalist.architecture).with_suffix(".training.pt")
        under_way = None if self.folder is None else path
        try:
            result = train(network, self.data, config, on_epoch=tell, checkpoint=under_way)
        except DivergedError as error:
            return dataclasses.replace(finalist, status="diverged", failure=str(error))
        finalist = dataclasses.replace(
            finalist,
            validation_accuracy=result.validation_accuracy,
            test_accuracy=result.test_accuracy,
            train_loss=result.train_loss,
        )
        weights = {name: tensor.cpu() for name, tensor in network.state_dict().items()}
        self.weights[finalist.architecture] = weights
        if self.folder is not None:
            fields = dataclasses.asdict(finalist)
            fields["architecture"] = finalist.architecture.id
            state = {"finalist": fields, "weights": weights}
            save_checkpoint(self._path(finalist.architecture), self.fingerprint, state)
            path.unlink(missing_ok=True)
        return finalist

    def _restored(self, candidate: Candidate) -> Finalist | None:
        if self.folder is None:
            return None
        state = load_checkpoint(self._path(candidate.architecture), self.fingerprint)
        if state is None:
            return None
        self.weights[candidate.architecture] = state["weights"]
        return Finalist(**{**state["finalist"], "architecture": candidate.architecture})

    def _path(self, architecture: Architecture) -> Path:
        return (self.folder or Path()) / f"{architecture.code}.pt"
