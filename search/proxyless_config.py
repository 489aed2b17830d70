"""How a search by ProxylessNAS is done."""

from __future__ import annotations

import math
from dataclasses import dataclass

from devices.errors import InputError, UnknownNameError
from search.augment import NONE, Augmentation
from search.train_config import check_mixed_precision, require_positive

LOSSES = ("lagrangian", "add#hinge", "mul#log", "add#linear")
GRADIENTS = ("two", "full", "recompute", "reinforce")


@dataclass(frozen=True)
class ProxylessConfig:
    """How a supernet is trained and searched.

    Attributes:
        warmup_epochs: passes over the training split that train weights only.
        search_epochs: passes that train weights and alphas.
        batch_size: images a step, of weights and of alphas.
        learning_rate: of the weights (SGD, Nesterov, cosine to 0 over all epochs).
        momentum: of the weights.
        weight_decay: of kernels and matrices.
        label_smoothing: of the weights' loss; the alphas' has none.
        alpha_learning_rate: of the alphas (Adam). The paper's 0.001 is for some 50,000 steps; small
            data give a few hundred.
        alpha_betas: of Adam.
        alpha_every: weight steps to one alpha step.
        gradient: of the alphas, of :data:`GRADIENTS`. ``two``: of two candidates of each block.
            ``full``: of all, whose outputs are kept. ``recompute``: of all, the inactive ones run
            one by one in the backward pass; the gradients of ``full``, slower and in less memory.
            ``reinforce``: of the reward of whole networks.
        loss: of :data:`LOSSES`; ``reinforce`` has a reward instead. ``lagrangian`` meets the budget
            whatever the strength it starts from, where the others depend on theirs.
        a: scale of ``mul#log``, which Adam does not see.
        b: strength of the latency in ``mul#log``; the paper's 0.3 is too weak for a few hundred
            steps to show.
        weight: strength of the latency in ``add#hinge`` and ``add#linear``, where the paper has
            0.1 for the latter; of ``lagrangian`` only where its multipliers start.
        multiplier_rate: how fast the multipliers of ``lagrangian`` follow the excess, a step.
        reward_exponent: ``w`` of the reward ``accuracy * (budget / latency) ** w``.
        reward_networks: networks drawn in a step of ``reinforce``.
        baseline_rate: how far a step of ``reinforce`` moves the baseline to its mean reward, 0 to
            1.
        entropy_weight: strength of a penalty on the entropy of the probabilities, in nats, summed
            over blocks. It grows from 0 at the start of the search to this at its end, so that
            choices are open at first and made in the end.
        checkpoint_activations: make activations again in the backward pass instead of keeping
            them, in steps of weights and of alphas: less memory, more time, the same gradients.
        finalists: networks within the budget that are compared by short trainings in the end: half
            of them drawn by the probabilities, half changes of the best so far. 1 takes the
            likeliest.
        finalist_epochs: of a short training.
        seed: of weights, alphas, paths and the order of images.
        device: torch device that trains.
        augmentation: what is done to the images that weights are trained on; ``None`` takes what
            the data suggest. Nothing by default: a short search learns no images by heart.
        mixed_precision: whether a CUDA device computes in bfloat16, or in float16 where it has no
            other.
    """

    warmup_epochs: int = 4
    search_epochs: int = 10
    batch_size: int = 32
    learning_rate: float = 0.2
    momentum: float = 0.9
    weight_decay: float = 4e-5
    label_smoothing: float = 0.1
    alpha_learning_rate: float = 0.1
    alpha_betas: tuple[float, float] = (0.0, 0.999)
    alpha_every: int = 1
    gradient: str = "two"
    loss: str = "lagrangian"
    a: float = 0.2
    b: float = 0.3
    weight: float = 1.0
    multiplier_rate: float = 0.3
    reward_exponent: float = 0.1
    reward_networks: int = 10
    baseline_rate: float = 0.5
    entropy_weight: float = 0.0
    checkpoint_activations: bool = False
    finalists: int = 1
    finalist_epochs: int = 3
    seed: int = 0
    device: str = "cpu"
    augmentation: Augmentation | None = NONE
    mixed_precision: bool = False

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise UnknownNameError.of("loss", self.loss, LOSSES)
        if self.gradient not in GRADIENTS:
            raise UnknownNameError.of("gradient", self.gradient, GRADIENTS)
        for name in ("warmup_epochs", "seed", "entropy_weight"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise InputError(f"{name}={value}", "must be 0 or more")
        require_positive(
            search_epochs=self.search_epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            alpha_learning_rate=self.alpha_learning_rate,
            alpha_every=self.alpha_every,
            reward_networks=self.reward_networks,
            finalists=self.finalists,
            finalist_epochs=self.finalist_epochs,
            baseline_rate=self.baseline_rate,
        )
        if self.loss == "lagrangian":
            require_positive(weight=self.weight, multiplier_rate=self.multiplier_rate)
        check_mixed_precision(self.device, wanted=self.mixed_precision)
        if self.baseline_rate > 1:
            raise InputError(f"baseline_rate={self.baseline_rate}", "must be 1 or less")

    @property
    def epochs(self) -> int:
        """Of warm-up and search together."""
        return self.warmup_epochs + self.search_epochs
