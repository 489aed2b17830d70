"""Training one network from scratch, and the pieces a supernet's training shares with it."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from devices.errors import DatasetError, DivergedError, InputError
from search.architecture import Architecture
from search.augment import augmented
from search.averaging import WeightAverage
from search.checkpoint import Fingerprint, fingerprint_of, load_checkpoint, save_checkpoint
from search.data import DataSource, batches, check_data, check_outputs, fetch, size_of
from search.interrupts import Interrupts
from search.memory import within_memory
from search.modes import evaluating
from search.precision import Precision
from search.spaces.base import SearchSpace
from search.train_config import TrainConfig as TrainConfig
from search.train_config import TrainResult as TrainResult
from search.train_config import require_positive as require_positive

OnEpoch = Callable[[int, float], None]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Torch's global CPU generator at ``seed`` inside, and as it was found afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def build_network(space: SearchSpace, architecture: Architecture, seed: int) -> nn.Module:
    """The network of an architecture with weights drawn from ``seed``."""
    with seeded(seed):
        return space.build(architecture)


def sgd(
    parameters: Iterable[nn.Parameter], learning_rate: float, momentum: float, weight_decay: float
) -> torch.optim.SGD:
    """SGD with Nesterov momentum that decays kernels and matrices, not batch norm and biases."""
    decayed: list[nn.Parameter] = []
    kept: list[nn.Parameter] = []
    for parameter in parameters:
        (decayed if parameter.ndim > 1 else kept).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": kept, "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=learning_rate, momentum=momentum, nesterov=momentum > 0)


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Use this learning rate from the next step on."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate


def scheduled(peak: float, progress: float, rise: float = 0.0) -> float:
    """Learning rate at ``progress`` from 0 to 1: linear up to ``rise``, then cosine down to 0."""
    if progress < rise:
        return peak * (progress / rise + 1e-2) / 1.01
    return peak * (1 + math.cos(math.pi * (progress - rise) / (1 - rise))) / 2


def placed(inputs: Tensor, device: str) -> Tensor:
    """Images on the device, channels last: 2-3 times faster than channels first on a CPU."""
    return inputs.to(device, memory_format=torch.channels_last)


def check_device(device: str) -> None:
    """Raise :class:`InputError` where torch cannot train on a device."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        why = str(error).partition("\n")[0]
        raise InputError(f"no training on {device!r}", why, "cpu, or cuda:0") from error


def checked_loss(loss: Tensor, learning_rate: float, when: str) -> float:
    """The value of a loss.

    Raises:
        DivergedError: it is not finite.
    """
    value = float(loss.detach())
    if not math.isfinite(value):
        raise DivergedError(
            f"the loss became {value} in {when}",
            f"a learning rate of {learning_rate:g} is too high here, or the data hold extremes",
            f"a learning rate of {learning_rate / 10:g}",
        )
    return value


def train(
    model: nn.Module,
    data: DataSource,
    config: TrainConfig,
    on_epoch: OnEpoch | None = None,
    *,
    checkpoint: Path | None = None,
) -> TrainResult:
    """Train a network in place, and say how well it does.

    The network is moved to the configured device and to the channels-last layout, and keeps the
    statistics and weights of the last step, or their average. Torch's global generator is left as
    found.

    Args:
        model: takes ``(N, *data.input_shape)``, gives logits ``(N, classes)``.
        data: what to train on; only ``train`` touches the weights.
        config: how.
        on_epoch: called after each epoch with its number, from 1, and its mean loss.
        checkpoint: file that is written after each epoch, and on Ctrl-C and SIGTERM, which do what
            they do when it is written. The same call with an existing file goes on from it; on a
            CPU it gives what an uninterrupted training gives, bit for bit, but for a time limit.

    Raises:
        DatasetError: data this network cannot be trained on, before the first step.
        InputError: a checkpoint of another training; a device that is not there.
        DivergedError: a loss or weight that is not finite; the checkpoint stays as it was before.
        OutOfMemoryError: a batch does not fit in the device's memory; says how much does.
    """
    check_data(data, data.input_shape, data.classes)
    check_device(config.device)
    run = _Run(model, data, config, checkpoint)
    _check_fit(model, data, config.device)
    with seeded(config.seed):
        run.restore()
        with Interrupts(hold=checkpoint is not None) as interrupts:
            while not run.is_over:
                run.train_epoch(interrupts)
                run.save()
                if on_epoch is not None:
                    on_epoch(len(run.history), run.history[-1])
        if run.average is not None:
            model.load_state_dict(run.average.average)
        return TrainResult(
            evaluate(model, data.validation, config.device),
            evaluate(model, data.test, config.device),
            tuple(run.history),
            len(run.history),
            config.seed,
            run.stopped_early,
        )


class _Run:
    """A training under way: everything it changes is in :meth:`save`."""

    def __init__(
        self, model: nn.Module, data: DataSource, config: TrainConfig, checkpoint: Path | None
    ) -> None:
        self.model = model
        self.data = data
        self.config = config
        self.checkpoint = checkpoint
        own = config.augmentation
        self.augmentation = data.augmentation if own is None else own
        self.fingerprint: Fingerprint = {}
        if checkpoint is not None:
            self.fingerprint = fingerprint_of(
                training=config,
                augmentation=self.augmentation,
                data=data,
                network=_digest(model),
            )
        model.to(config.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub knows this argument only without a device
        self.optimizer = sgd(
            model.parameters(), config.learning_rate, config.momentum, config.weight_decay
        )
        self.average = WeightAverage(model, config.average_decay) if config.average_decay else None
        self.precision = Precision(config.device, mixed=config.mixed_precision)
        self.order = torch.Generator().manual_seed(config.seed)
        self.draws = torch.Generator().manual_seed(config.seed + 1)
        # Where the order of the epoch under way was drawn.
        self.order_state = self.order.get_state()
        self.steps_an_epoch = max(1, size_of(data.train) // config.batch_size)
        self.history: list[float] = []
        self.step, self.total, self.seen, self.seconds = 0, 0.0, 0, 0.0
        self.stopped_early = False
        self.kept = ""

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to train."""
        return self.stopped_early or len(self.history) >= self.config.epochs

    def train_epoch(self, interrupts: Interrupts) -> None:
        """The rest of an epoch."""
        config = self.config
        self.model.train()
        start = time.monotonic() - self.seconds
        self.order_state = self.order.get_state()
        try:
            for inputs, labels in batches(
                self.data.train, config.batch_size, self.order, drop_last=True, first=self.step
            ):
                self._train_batch(inputs, labels)
                self.seconds = time.monotonic() - start
                if interrupts.caught is not None:
                    self.save()
                    interrupts.deliver()
                if config.max_seconds is not None and self.seconds >= config.max_seconds:
                    break
            _check_finite(self.model, config.learning_rate, self._epoch)
        except DivergedError as error:
            if not self.kept:
                raise
            raise DivergedError(error.what, error.why, f"{error.hint}; {self.kept}") from error
        self.stopped_early = (
            config.max_seconds is not None
            and self.seconds >= config.max_seconds
            and (self.step < self.steps_an_epoch or len(self.history) + 1 < config.epochs)
        )
        self.history.append(self.total / self.seen)
        self.step, self.total, self.seen = 0, 0.0, 0

    @property
    def _epoch(self) -> str:
        return f"epoch {len(self.history) + 1}"

    def _train_batch(self, inputs: Tensor, labels: Tensor) -> None:
        within_memory(
            lambda: self._train_step(inputs, labels),
            len(labels),
            self.config.device,
            lambda count: self._train_step(inputs[:count], labels[:count]),
        )

    def _train_step(self, inputs: Tensor, labels: Tensor) -> None:
        config = self.config
        set_learning_rate(self.optimizer, self._learning_rate())
        self.optimizer.zero_grad()
        inputs = augmented(inputs, self.augmentation, self.draws)
        with self.precision.autocast():
            logits = self.model(placed(inputs, config.device))
            loss = F.cross_entropy(
                logits, labels.to(config.device), label_smoothing=config.label_smoothing
            )
        value = checked_loss(loss, config.learning_rate, self._epoch)
        self.precision.backward(loss)
        self.precision.step(self.optimizer)
        self.optimizer.zero_grad()
        if self.average is not None:
            self.average.update(self.model)
        self.step += 1
        self.total += value * len(labels)
        self.seen += len(labels)

    def _learning_rate(self) -> float:
        """By the steps that were made, or by the time that went by where that is further on."""
        config = self.config
        rise = min(config.warmup_epochs / config.epochs, 0.5)
        done = len(self.history) * self.steps_an_epoch + self.step
        progress = done / (config.epochs * self.steps_an_epoch)
        if config.max_seconds is not None:
            progress = max(progress, min(self.seconds / config.max_seconds, 1.0))
        return scheduled(config.learning_rate, progress, rise)

    def save(self) -> None:
        """Write the checkpoint, where there is one, unless a weight is not finite."""
        if self.checkpoint is None or _not_finite(self.model):
            return
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.precision.state(),
            "average": None if self.average is None else self.average.state(),
            "order": self.order_state if self.step else self.order.get_state(),
            "draws": self.draws.get_state(),
            "global": torch.get_rng_state(),
            **{name: getattr(self, name) for name in _PLAIN},
        }
        save_checkpoint(self.checkpoint, self.fingerprint, state)
        self._say_kept()

    def restore(self) -> None:
        """Go on from the checkpoint, where there is one."""
        if self.checkpoint is None:
            return
        state = load_checkpoint(self.checkpoint, self.fingerprint)
        if state is None:
            return
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.precision.restore(state["scaler"])
        if self.average is not None:
            self.average.restore(**state["average"])
        self.order.set_state(state["order"])
        self.draws.set_state(state["draws"])
        torch.set_rng_state(state["global"])
        for name in _PLAIN:
            setattr(self, name, state[name])
        self._say_kept()

    def _say_kept(self) -> None:
        self.kept = f"{self.checkpoint} keeps the network after {len(self.history)} epochs"
        self.kept += f" and {self.step} steps" if self.step else ""


_PLAIN = ("history", "step", "total", "seen", "seconds", "stopped_early")


def _digest(model: nn.Module) -> str:
    """Of the names, shapes and values of the weights."""
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        digest.update(f"{name} {tuple(value.shape)} {value.dtype};".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _not_finite(model: nn.Module) -> str:
    """Name of a weight or statistic that is not finite, if there is one."""
    for name, value in model.state_dict().items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            return name
    return ""


def _check_finite(model: nn.Module, learning_rate: float, when: str) -> None:
    if name := _not_finite(model):
        raise DivergedError(
            f"{name} is not finite after {when}",
            f"a learning rate of {learning_rate:g} is too high here, or the data hold extremes",
            f"a learning rate of {learning_rate / 10:g}",
        )


def evaluate(
    model: nn.Module, dataset: Dataset[Any], device: str = "cpu", batch_size: int = 256
) -> float:
    """Share of a dataset that a network classifies correctly, 0 to 1.

    Raises:
        DatasetError: nothing to classify.
    """
    count = size_of(dataset)
    if count == 0:
        raise DatasetError("the dataset is empty", "there is nothing to classify")
    correct = 0
    with evaluating(model), torch.no_grad():
        for inputs, labels in batches(dataset, batch_size):
            predicted = model(placed(inputs, device)).argmax(1)
            correct += int((predicted == labels.to(device)).sum())
    return correct / count


def _check_fit(model: nn.Module, data: DataSource, device: str) -> None:
    """Try one image, so that what does not fit is said before anything is trained."""
    inputs, _ = fetch(data.train, torch.tensor([0]))
    with evaluating(model), torch.no_grad():
        try:
            logits = model(placed(inputs, device))
        except RuntimeError as error:
            shape = "x".join(map(str, data.input_shape))
            raise DatasetError(
                f"the network cannot take images of {shape}", str(error).partition("\n")[0]
            ) from error
    check_outputs(data, int(logits.shape[-1]))
