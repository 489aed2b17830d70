"""The training of a search by ProxylessNAS: a supernet, its optimizers, and where in it one is.

Everything random is drawn from generators that are seeded by the run's seed and the epoch, so that
an epoch does the same whether or not the ones before it ran in the same process.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from search.alpha_steps import AlphaSteps
from search.augment import augmented
from search.data import DataSource, batches, size_of
from search.expected_latency import Limit
from search.interrupts import Interrupts
from search.memory import within_memory
from search.precision import Precision
from search.proxyless_config import ProxylessConfig
from search.supernet import Supernet
from search.team import ALONE, Team, joined
from search.train import checked_loss, placed, scheduled, seeded, set_learning_rate, sgd


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
        multipliers: of the loss ``lagrangian``, how much latency counts on each device at the end
            of the epoch; empty in the warm-up and with other losses.
    """

    epoch: int
    phase: str
    train_loss: float
    validation_loss: float | None
    expected_ms: float
    entropy: float
    also_expected_ms: tuple[float, ...] = ()
    multipliers: tuple[float, ...] = ()


class ProxylessRun:
    """A search under way: everything it changes is in :meth:`state`.

    Args:
        limits: latencies of the space and a budget, of one device or several.
        data: ``train`` trains the weights, ``validation`` the architecture.
        config: how.
        team: processes that train together.

    Raises:
        InputError: latencies the loss or the reward cannot take; batches that cannot be shared out.
    """

    def __init__(
        self,
        limits: Sequence[Limit],
        data: DataSource,
        config: ProxylessConfig,
        team: Team = ALONE,
    ) -> None:
        self.limits = tuple(limits)
        self.data = data
        self.config = config
        self.team = team
        for split in (data.train, data.validation):
            team.check_batch(min(config.batch_size, size_of(split)))
        self.augmentation = config.augmentation or data.augmentation
        self.precision = Precision(config.device, mixed=config.mixed_precision)
        self.supernet = Supernet(limits[0].matrix.space, config.seed)
        joined(self.supernet, team)
        self.supernet.to(config.device)
        self.supernet.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stub
        self.weight_optimizer = sgd(
            self.supernet.weight_parameters(),
            config.learning_rate,
            config.momentum,
            config.weight_decay,
        )
        self.alpha_steps = AlphaSteps(self.supernet, limits, config, team)
        self.steps_an_epoch = steps_an_epoch(data, config)
        self.history: list[EpochRecord] = []
        self._begin()

    def _begin(self) -> None:
        """Draw the epoch that is next."""
        paths, order, validation_order, items, draws = (
            int(np.random.SeedSequence([self.config.seed, self.epoch, stream]).generate_state(1)[0])
            for stream in range(5)
        )
        self.step, self.total, self.seen = 0, 0.0, 0
        self.losses: list[float] = []
        self._order, self._validation_order, self._items = order, validation_order, items
        self.paths, self.draws = _generator(paths), _generator(draws)
        self._items_state: Tensor | None = None

    @property
    def epoch(self) -> int:
        """Number of the epoch under way, from 1."""
        return len(self.history) + 1

    @property
    def is_warming_up(self) -> bool:
        """Whether only weights are trained."""
        return self.epoch <= self.config.warmup_epochs

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to train."""
        return self.epoch > self.config.epochs

    @property
    def told(self) -> str:
        """How far it is, for people."""
        done = f"{len(self.history)} epochs"
        return f"{done} and {self.step} steps" if self.step else done

    def state(self) -> dict[str, Any]:
        """Tensors and plain values that :meth:`restore` takes."""
        return {
            "supernet": self.supernet.state_dict(),
            "weight_optimizer": self.weight_optimizer.state_dict(),
            "scaler": self.precision.state(),
            "alpha_steps": self.alpha_steps.state(),
            "history": [dataclasses.asdict(record) for record in self.history],
            "step": self.step,
            "total": self.total,
            "seen": self.seen,
            "losses": list(self.losses),
            "generators": (self.paths.get_state(), self.draws.get_state(), self._items_state),
        }

    def restore(self, state: dict[str, Any], *, only_weights: bool = False) -> None:
        """Go on from a state.

        Args:
            state: of a run that differs from this one in nothing.
            only_weights: the run may differ in its limits, of which a warm-up makes no use.
        """
        self.supernet.load_state_dict(state["supernet"])
        self.weight_optimizer.load_state_dict(state["weight_optimizer"])
        self.precision.restore(state["scaler"])
        self.history = [EpochRecord(**record) for record in state["history"]]
        if only_weights:
            now, *also = self._expected_ms()
            self.history = [
                dataclasses.replace(record, expected_ms=now, also_expected_ms=tuple(also))
                for record in self.history
            ]
        else:
            self.alpha_steps.restore(state["alpha_steps"])
        self._begin()
        self.step, self.total, self.seen = state["step"], state["total"], state["seen"]
        self.losses = list(state["losses"])
        paths, draws, self._items_state = state["generators"]
        self.paths.set_state(paths)
        self.draws.set_state(draws)

    def train_epoch(self, interrupts: Interrupts) -> bool:
        """The rest of an epoch.

        Args:
            interrupts: where one was caught, the run stops after the step.

        Returns:
            Whether the epoch is over; where it is not, :meth:`state` is good to go on from.

        Raises:
            DivergedError: a loss or gradient that is not finite.
            OutOfMemoryError: a batch does not fit in the device's memory.
        """
        config = self.config
        validation = self._validation()
        pass_ = batches(
            self.data.train,
            config.batch_size,
            _generator(self._order),
            drop_last=True,
            first=self.step,
            team=self.team,
        )
        with seeded(self._items):
            if self._items_state is not None:
                torch.set_rng_state(self._items_state)
            for inputs, labels in pass_:
                self._train_batch(inputs, labels, validation)
                if self._must_stop(interrupts):
                    self._items_state = torch.get_rng_state()
                    return False
        self._finish()
        return True

    def _must_stop(self, interrupts: Interrupts) -> bool:
        """Whether any process was told to stop, so that all stop after the same step."""
        is_caught = interrupts.caught is not None
        if self.team.size == 1:
            return is_caught
        return bool(self.team.mean(torch.tensor(float(is_caught), device=self.config.device)) > 0)

    def _train_batch(
        self, inputs: Tensor, labels: Tensor, validation: Iterator[tuple[Tensor, Tensor]]
    ) -> None:
        def attempt(count: int) -> None:
            fewer = ((images[:count], classes[:count]) for images, classes in validation)
            self._train_step(inputs[:count], labels[:count], fewer)

        within_memory(
            lambda: self._train_step(inputs, labels, validation),
            len(labels),
            self.config.device,
            # The others would wait for this process.
            attempt if self.team.size == 1 else None,
        )

    def _train_step(
        self, inputs: Tensor, labels: Tensor, validation: Iterator[tuple[Tensor, Tensor]]
    ) -> None:
        config, steps = self.config, self.steps_an_epoch
        progress = (self.epoch - 1 + self.step / steps) / config.epochs
        set_learning_rate(self.weight_optimizer, scheduled(config.learning_rate, progress))
        path = self.supernet.sample_paths(self.paths)
        value = self._weight_step(inputs, labels, path)
        self.step += 1
        self.total += value * len(labels)
        self.seen += len(labels)
        searched = (self.epoch - config.warmup_epochs - 1) * steps + self.step
        if not self.is_warming_up and searched % config.alpha_every == 0:
            loss = self.alpha_steps.step(
                *next(validation),
                self.paths,
                searched / (config.search_epochs * steps),
                f"epoch {self.epoch} on the validation split",
            )
            self.losses.append(loss)

    def _weight_step(self, inputs: Tensor, labels: Tensor, path: list[int]) -> float:
        config = self.config
        inputs = augmented(inputs, self.augmentation, self.draws, self.team)
        self.supernet.train()
        self.weight_optimizer.zero_grad()
        with self.precision.autocast():
            logits = self.supernet(
                placed(inputs, config.device), path, checkpointed=config.checkpoint_activations
            )
            loss = F.cross_entropy(
                logits, labels.to(config.device), label_smoothing=config.label_smoothing
            )
        value = checked_loss(self.team.mean(loss), config.learning_rate, f"epoch {self.epoch}")
        self.precision.backward(loss)
        self.team.average_gradients(self.supernet.weight_parameters())
        self.precision.step(self.weight_optimizer)
        self.weight_optimizer.zero_grad()
        return value

    def _validation(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches from the one that is next in this epoch on, pass after pass."""
        size = self.config.batch_size
        generator = _generator(self._validation_order)
        a_pass = max(1, size_of(self.data.validation) // size)
        taken = len(self.losses)
        while True:
            first = min(taken, a_pass)
            # A pass that is over draws its order all the same.
            yield from batches(
                self.data.validation,
                size,
                generator,
                drop_last=True,
                first=first,
                team=self.team,
            )
            taken -= first

    def _expected_ms(self) -> list[float]:
        with torch.no_grad():
            probabilities = self.supernet.probabilities()
            return [float(limit.matrix.expected_ms(probabilities)) for limit in self.limits]

    def _finish(self) -> None:
        expected_ms, *also_ms = self._expected_ms()
        logs = [block for block in self.supernet.log_probabilities() if len(block) > 1]
        entropies = [float(torch.special.entr(block.exp()).sum()) for block in logs]
        record = EpochRecord(
            self.epoch,
            "warmup" if self.is_warming_up else "search",
            self.total / self.seen,
            float(np.mean(self.losses)) if self.losses else None,
            expected_ms,
            float(np.mean(entropies)) if entropies else 0.0,
            tuple(also_ms),
            self.alpha_steps.multipliers if not self.is_warming_up else (),
        )
        self.history.append(record)
        self._begin()


def steps_an_epoch(data: DataSource, config: ProxylessConfig) -> int:
    """Batches of one pass over the training split."""
    return max(1, size_of(data.train) // config.batch_size)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
