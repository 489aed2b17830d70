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

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from devices.errors import InputError
from search.alpha_steps import AlphaSteps
from search.architecture import Architecture
from search.checkpoint import fingerprint_of, load_checkpoint, save_checkpoint
from search.data import DataSource, batches, check_data, size_of
from search.derive import argmax
from search.derive_several import check_limits, derive_several
from search.expected_latency import LatencyMatrix, Limit
from search.proxyless_config import ProxylessConfig
from search.spaces.base import ChainSpace
from search.supernet import Supernet
from search.train import (
    checked_loss,
    placed,
    scheduled,
    seeded,
    set_learning_rate,
    sgd,
)


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch of a search saw.

    Attributes:
        epoch: from 1.
        phase: ``warmup`` or ``search``.
        train_loss: mean of the weights' loss over the drawn paths.
        validation_loss: mean cross-entropy of the alpha steps; ``None`` where there were none.
        expected_ms: expected latency under the probabilities at the end of the epoch.
        entropy: of the probabilities, in nats, mean over the blocks that have a choice.
        also_expected_ms: expected latency on each further device.
    """

    epoch: int
    phase: str
    train_loss: float
    validation_loss: float | None
    expected_ms: float
    entropy: float
    also_expected_ms: tuple[float, ...] = ()


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
        seed: of everything random.
        also_predicted_ms: the architecture's predicted latency on each further device.
    """

    architecture: Architecture
    predicted_ms: float
    argmax_architecture: Architecture
    argmax_ms: float
    log_probabilities: tuple[tuple[float, ...], ...]
    history: tuple[EpochRecord, ...]
    budget_ms: float
    seed: int
    also_predicted_ms: tuple[float, ...] = ()

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
    on_progress: OnProgress | None = None,
) -> ProxylessResult:
    """Search a space for an accurate network within a latency budget.

    Args:
        space: what is searched.
        matrix: latencies of that space.
        data: ``train`` trains the weights, ``validation`` the architecture; ``test`` is not used.
        budget_ms: in ms.
        config: how; the defaults suit small data.
        also: latencies of that space on further devices, and the budget on each.
        checkpoint: file that is written after each epoch. The same call with an existing file goes
            on after its last epoch, and gives what an uninterrupted run gives.
        on_progress: called after each epoch with its record and the number of epochs in all.

    Raises:
        BudgetError: not even the fastest network is within the budget, or none within all.
        DatasetError: data this space cannot be trained on.
        InputError: latencies of another space; a checkpoint of another run. All three are raised
            before anything is trained.
        DivergedError: a loss or gradient that is not finite.
    """
    settings = ProxylessConfig() if config is None else config
    if matrix.space != space:
        raise InputError(f"latencies of {matrix.space.name} cannot price {space.name}")
    limits = (Limit(matrix, budget_ms), *also)
    check_limits(limits)
    check_data(data, space.input_shape, space.classes)
    steps = settings.search_epochs * _steps(data, settings)
    if steps < settings.alpha_every:
        raise InputError(
            f"alpha_every={settings.alpha_every}",
            f"the search has {steps} steps, so the architecture would not be trained",
            f"alpha_every={max(1, steps // 10)}, or more search epochs",
        )
    run = _Run(limits, data, settings)
    fingerprint = fingerprint_of(
        search="proxyless",
        matrix=matrix,
        data=data,
        budget_ms=budget_ms,
        config=settings,
        **{f"also_{i}": limit for i, limit in enumerate(also, 1)},
    )
    if checkpoint is not None:
        run.restore(load_checkpoint(checkpoint, fingerprint))
    for epoch in range(len(run.history) + 1, settings.epochs + 1):
        run.history.append(run.epoch(epoch))
        if checkpoint is not None:
            save_checkpoint(checkpoint, fingerprint, run.state())
        if on_progress is not None:
            on_progress(run.history[-1], settings.epochs)
    return run.result()


class _Run:
    """A search under way: everything it changes is in :meth:`state`.

    Randomness is drawn from generators seeded by the run's seed and the epoch, so that an epoch
    does the same whether or not the ones before it ran in the same process.
    """

    def __init__(self, limits: Sequence[Limit], data: DataSource, config: ProxylessConfig) -> None:
        self.limits = limits
        self.data = data
        self.config = config
        self.history: list[EpochRecord] = []
        self.supernet = Supernet(limits[0].matrix.space, config.seed)
        self.supernet.to(config.device)
        self.supernet.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stub
        self.weight_optimizer = sgd(
            self.supernet.weight_parameters(),
            config.learning_rate,
            config.momentum,
            config.weight_decay,
        )
        self.alpha_steps = AlphaSteps(self.supernet, limits, config)

    def state(self) -> dict[str, Any]:
        """Tensors and plain values that :meth:`restore` takes."""
        return {
            "supernet": self.supernet.state_dict(),
            "weight_optimizer": self.weight_optimizer.state_dict(),
            "alpha_steps": self.alpha_steps.state(),
            "history": [dataclasses.asdict(record) for record in self.history],
        }

    def restore(self, state: dict[str, Any] | None) -> None:
        """Go on from a state, where there is one."""
        if state is not None:
            self.supernet.load_state_dict(state["supernet"])
            self.weight_optimizer.load_state_dict(state["weight_optimizer"])
            self.alpha_steps.restore(state["alpha_steps"])
            self.history = [EpochRecord(**record) for record in state["history"]]

    def epoch(self, epoch: int) -> EpochRecord:
        """One pass over the training split."""
        config = self.config
        searching = epoch > config.warmup_epochs
        paths, order, validation_order, items = (
            np.random.SeedSequence([config.seed, epoch, stream]).generate_state(1)[0]
            for stream in range(4)
        )
        generator = _generator(paths)
        validation = self._validation(_generator(validation_order))
        steps = _steps(self.data, config)
        total, seen = 0.0, 0
        losses: list[float] = []
        with seeded(int(items)):
            for step, (inputs, labels) in enumerate(
                batches(self.data.train, config.batch_size, _generator(order), drop_last=True)
            ):
                progress = (epoch - 1 + step / steps) / config.epochs
                set_learning_rate(self.weight_optimizer, scheduled(config.learning_rate, progress))
                path = self.supernet.sample_paths(generator)
                value = self._weight_step(inputs, labels, path, f"epoch {epoch}")
                total += value * len(labels)
                seen += len(labels)
                searched = (epoch - config.warmup_epochs - 1) * steps + step + 1
                if searching and searched % config.alpha_every == 0:
                    losses.append(
                        self.alpha_steps.step(
                            *next(validation),
                            generator,
                            searched / (config.search_epochs * steps),
                            f"epoch {epoch} on the validation split",
                        )
                    )
        with torch.no_grad():
            probabilities = self.supernet.probabilities()
            expected_ms, *also_ms = (
                float(limit.matrix.expected_ms(probabilities)) for limit in self.limits
            )
        entropies = [float(torch.special.entr(p).sum()) for p in probabilities if len(p) > 1]
        return EpochRecord(
            epoch,
            "search" if searching else "warmup",
            total / seen,
            float(np.mean(losses)) if losses else None,
            expected_ms,
            float(np.mean(entropies)) if entropies else 0.0,
            tuple(also_ms),
        )

    def _validation(self, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield from batches(
                self.data.validation, self.config.batch_size, generator, drop_last=True
            )

    def _weight_step(self, inputs: Tensor, labels: Tensor, path: list[int], when: str) -> float:
        device = self.config.device
        self.supernet.train()
        self.weight_optimizer.zero_grad()
        logits = self.supernet(
            placed(inputs, device), path, checkpointed=self.config.checkpoint_activations
        )
        loss = F.cross_entropy(
            logits, labels.to(device), label_smoothing=self.config.label_smoothing
        )
        value = checked_loss(loss, self.config.learning_rate, when)
        torch.autograd.backward(loss)
        self.weight_optimizer.step()
        self.weight_optimizer.zero_grad()
        return value

    def result(self) -> ProxylessResult:
        """The networks the probabilities stand for."""
        logs = [block.numpy() for block in self.supernet.log_probabilities()]
        within = derive_several(self.limits, logs)
        first = self.limits[0]
        likeliest = argmax(first.matrix.space, logs)
        within_ms, likeliest_ms = map(float, first.matrix.price([within, likeliest]))
        return ProxylessResult(
            within,
            within_ms,
            likeliest,
            likeliest_ms,
            tuple(tuple(block.tolist()) for block in logs),
            tuple(self.history),
            first.budget_ms,
            self.config.seed,
            tuple(float(limit.matrix.price([within])[0]) for limit in self.limits[1:]),
        )


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(int(seed))


def _steps(data: DataSource, config: ProxylessConfig) -> int:
    """Batches an epoch."""
    return max(1, size_of(data.train) // config.batch_size)
