"""How a network is trained, and what training gave."""

from __future__ import annotations

import math
from dataclasses import dataclass

from devices.errors import InputError
from search.augment import Augmentation


@dataclass(frozen=True)
class TrainConfig:
    """How a network is trained: SGD with Nesterov momentum, cosine schedule, label smoothing.

    Attributes:
        epochs: passes over the training split.
        batch_size: images a step.
        learning_rate: at its peak, reached after ``warmup_epochs`` of linear rise.
        warmup_epochs: passes over which the learning rate rises.
        momentum: of SGD.
        weight_decay: on kernels and matrices; never on batch norm and biases.
        label_smoothing: share of each label spread over all classes.
        seed: order of the images, and how they are augmented.
        device: torch device that trains.
        augmentation: what is done to training images; ``None`` takes what the data suggest.
        average_decay: of the moving average of the weights, which is the network then; 0 keeps the
            last weights.
        mixed_precision: whether a CUDA device computes in bfloat16, or in float16 where it has no
            other.
        max_seconds: training ends after this time, its learning rate brought down by then; what is
            found depends on the speed of the machine.
    """

    epochs: int = 12
    batch_size: int = 64
    learning_rate: float = 0.1
    warmup_epochs: float = 1.0
    momentum: float = 0.9
    weight_decay: float = 1e-4
    label_smoothing: float = 0.1
    seed: int = 0
    device: str = "cpu"
    augmentation: Augmentation | None = None
    average_decay: float = 0.0
    mixed_precision: bool = False
    max_seconds: float | None = None

    def __post_init__(self) -> None:
        require_positive(
            epochs=self.epochs, batch_size=self.batch_size, learning_rate=self.learning_rate
        )
        if self.max_seconds is not None:
            require_positive(max_seconds=self.max_seconds)
        if not 0 <= self.label_smoothing < 1:
            raise InputError(f"label_smoothing={self.label_smoothing}", "must be 0 to below 1")
        if not 0 <= self.average_decay < 1:
            raise InputError(f"average_decay={self.average_decay}", "must be 0 to below 1")
        check_mixed_precision(self.device, wanted=self.mixed_precision)


@dataclass(frozen=True)
class TrainResult:
    """What training gave.

    Attributes:
        validation_accuracy: share of the validation split classified correctly, after the last
            epoch.
        test_accuracy: the same of the test split.
        train_loss: mean loss of each epoch.
        epochs: how many there were, the one that was cut short included.
        seed: order of the images.
        stopped_early: whether the time was over before the last epoch.
    """

    validation_accuracy: float
    test_accuracy: float
    train_loss: tuple[float, ...]
    epochs: int
    seed: int
    stopped_early: bool = False


def require_positive(**values: float) -> None:
    """Raise :class:`InputError` for the first value that is not finite and above zero."""
    for name, value in values.items():
        if not (math.isfinite(value) and value > 0):
            raise InputError(f"{name}={value}", "must be above zero")


def check_mixed_precision(device: str, *, wanted: bool) -> None:
    """Raise :class:`InputError` where mixed precision is wanted of a device that has none."""
    if wanted and not device.startswith("cuda"):
        raise InputError(f"mixed precision on {device}", "it is for CUDA devices", "device cuda")
