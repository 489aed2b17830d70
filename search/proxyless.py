"""ProxylessNAS: weights and architecture of a supernet trained together, under a latency budget.

Cai, Zhu, Han: "ProxylessNAS: Direct Neural Architecture Search on Target Task and Hardware", ICLR
2019. After a warm-up of the weights on uniformly drawn paths, steps of the weights on the training
split take turns with steps of the architecture parameters on the validation split
(:mod:`search.alpha_steps`). The latter minimise cross-entropy together with the expected latency
(:mod:`search.losses`).

The paper keeps the likeliest candidate of each block. That network may miss the budget, so here
the result is the likeliest network within it (:func:`search.derive.derive`); the paper's own is
kept beside it. There may be several devices with a budget each: their terms are added up in the
loss, and the result meets all budgets (:func:`search.derive_several.derive_several`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from devices.errors import DivergedError, InputError
from search.architecture import Architecture
from search.checkpoint import fingerprint_of, load_checkpoint, save_checkpoint
from search.data import DataSource, check_data
from search.derive import argmax
from search.derive_several import check_limits, derive_several
from search.expected_latency import LatencyMatrix, Limit
from search.interrupts import Interrupts
from search.proxyless_config import ProxylessConfig
from search.proxyless_run import EpochRecord as EpochRecord
from search.proxyless_run import ProxylessRun, steps_an_epoch
from search.spaces.base import ChainSpace
from search.team import ALONE, Team


@dataclass(frozen=True)
class ProxylessResult:
    """What a search found.

    Attributes:
        architecture: the likeliest network predicted to be within the budget.
        predicted_ms: its predicted latency.
        argmax_architecture: the likeliest network whatever its latency, which the paper keeps.
        argmax_ms: its predicted latency.
        log_probabilities: of each candidate of each block; :func:`search.derive.derive` takes them
            with another budget.
        history: of each epoch.
        budget_ms: the budget searched under, and the losses' reference.
        config: how it was searched.
        also_predicted_ms: the architecture's predicted latency on each further device.
    """

    architecture: Architecture
    predicted_ms: float
    argmax_architecture: Architecture
    argmax_ms: float
    log_probabilities: tuple[tuple[float, ...], ...]
    history: tuple[EpochRecord, ...]
    budget_ms: float
    config: ProxylessConfig = field(compare=False)
    also_predicted_ms: tuple[float, ...] = ()

    @property
    def seed(self) -> int:
        """Of everything random."""
        return self.config.seed

    @property
    def probabilities(self) -> tuple[tuple[float, ...], ...]:
        """Of each candidate of each block."""
        return tuple(tuple(np.exp(block).tolist()) for block in self.log_probabilities)


OnProgress = Callable[[EpochRecord, int], None]


def proxyless_search(
    space: ChainSpace,
    matrix: LatencyMatrix,
    data: DataSource,
    budget_ms: float,
    config: ProxylessConfig | None = None,
    *,
    also: Sequence[Limit] = (),
    checkpoint: Path | None = None,
    warmup: Path | None = None,
    on_progress: OnProgress | None = None,
    team: Team = ALONE,
) -> ProxylessResult:
    """Search a space for an accurate network within a latency budget.

    Args:
        space: what is searched.
        matrix: latencies of that space.
        data: ``train`` trains the weights, ``validation`` the architecture; ``test`` is not used.
        budget_ms: in ms.
        config: how; the defaults suit small data.
        also: latencies of that space on further devices, and the budget on each.
        checkpoint: file that is written after each epoch, and on Ctrl-C and SIGTERM, which do what
            they do when it is written. The same call with an existing file goes on from it, and
            gives what an uninterrupted run gives; on a CPU bit for bit.
        warmup: file in which the warm-up is kept. Searches that differ in nothing but budgets and
            latencies go on from it, so that they share one warm-up.
        on_progress: called after each epoch with its record and the number of epochs in all.
        team: processes that train together. Only the first writes files, and calls.

    Raises:
        BudgetError: not even the fastest network is within the budget, or none within all.
        DatasetError: data this space cannot be trained on.
        InputError: latencies of another space; a checkpoint of another run; a batch that the
            processes cannot share out. All three are raised before anything is trained.
        DivergedError: a loss or gradient that is not finite. The checkpoint stays as it was.
        OutOfMemoryError: a batch does not fit in the device's memory; says how much does.
    """
    settings = ProxylessConfig() if config is None else config
    if matrix.space != space:
        raise InputError(f"latencies of {matrix.space.name} cannot price {space.name}")
    limits = (Limit(matrix, budget_ms), *also)
    check_limits(limits)
    check_data(data, space.input_shape, space.classes)
    steps = settings.search_epochs * steps_an_epoch(data, settings)
    if steps < settings.alpha_every:
        raise InputError(
            f"alpha_every={settings.alpha_every}",
            f"the search has {steps} steps, so the architecture would not be trained",
            f"alpha_every={max(1, steps // 10)}, or more search epochs",
        )
    run = ProxylessRun(limits, data, settings, team)
    files = _Files(run, checkpoint, warmup)
    files.restore()
    try:
        with Interrupts(hold=files.now is not None) as interrupts:
            while not run.is_over:
                file = files.now
                is_whole = run.train_epoch(interrupts)
                files.save(file)
                if not is_whole:
                    interrupts.deliver()
                    raise KeyboardInterrupt
                if on_progress is not None and team.is_first:
                    on_progress(run.history[-1], settings.epochs)
    except DivergedError as error:
        if not files.kept:
            raise
        raise DivergedError(error.what, error.why, f"{error.hint}; {files.kept}") from error
    return _result(run)


class _Files:
    """Where the state of a run is kept: that of the warm-up where it is shared, and its own."""

    def __init__(self, run: ProxylessRun, checkpoint: Path | None, warmup: Path | None) -> None:
        self.run = run
        self.checkpoint = checkpoint
        self.warmup = warmup
        self.kept = ""
        first, *others = run.limits
        # Which of several GPUs trains, or trained, is all the same.
        device = run.config.device.partition(":")[0]
        # What comes after the search does not change it.
        config = replace(run.config, device=device, finalists=1, finalist_epochs=1)
        parts = {"data": run.data, "config": config}
        self._whole = fingerprint_of(
            search="proxyless",
            matrix=first.matrix,
            budget_ms=first.budget_ms,
            **parts,
            **{f"also_{i}": limit for i, limit in enumerate(others, 1)},
        )
        self._shared = fingerprint_of(search="warm-up", space=first.matrix.space, **parts)

    @property
    def now(self) -> Path | None:
        """The file of the epoch under way."""
        is_shared = self.warmup is not None and self.run.is_warming_up
        return self.warmup if is_shared else self.checkpoint

    def restore(self) -> None:
        """Go on from what is kept, where something is."""
        for path, fingerprint in ((self.checkpoint, self._whole), (self.warmup, self._shared)):
            state = None if path is None else load_checkpoint(path, fingerprint)
            if state is not None:
                self.run.restore(state, only_weights=fingerprint is self._shared)
                self._say_kept(path)
                return

    def save(self, path: Path | None) -> None:
        """Keep what has been reached in the file of the epoch it was reached in."""
        if path is not None:
            if self.run.team.is_first:
                fingerprint = self._shared if path == self.warmup else self._whole
                save_checkpoint(path, fingerprint, self.run.state())
            self._say_kept(path)

    def _say_kept(self, path: Path | None) -> None:
        self.kept = f"{path} keeps the search after {self.run.told}"


def _result(run: ProxylessRun) -> ProxylessResult:
    """The networks the probabilities stand for."""
    logs = [block.numpy() for block in run.supernet.log_probabilities()]
    within = derive_several(run.limits, logs)
    first, *others = run.limits
    likeliest = argmax(first.matrix.space, logs)
    within_ms, likeliest_ms = map(float, first.matrix.price([within, likeliest]))
    return ProxylessResult(
        within,
        within_ms,
        likeliest,
        likeliest_ms,
        tuple(tuple(block.tolist()) for block in logs),
        tuple(run.history),
        first.budget_ms,
        run.config,
        tuple(float(limit.matrix.price([within])[0]) for limit in others),
    )
