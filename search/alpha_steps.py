"""Steps of a supernet's architecture parameters on validation images.

Latency enters where cross-entropy does, at the gates: ``dE[LAT]/dp_j = F_j`` is added to
``dL/dg_j`` before the rule of :mod:`search.gates`, so that among the candidates that take part the
same rule weighs what each costs and what each is worth. (The published code instead lets the
latency move all candidates of a block at every step, and the task only two.)

REINFORCE, the paper's other way (section 3.3.2), draws whole networks, and needs no gates::

    dJ/dalpha = mean over networks of (R - baseline) * d log p(network) / dalpha
    R         = accuracy * product over devices of (budget / latency) ** w
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from devices.errors import DivergedError, InputError
from search.batch_norm import frozen_statistics
from search.expected_latency import Limit
from search.gates import gate_to_alpha
from search.losses import LatencyLoss
from search.precision import Precision
from search.proxyless_config import ProxylessConfig
from search.supernet import Members, Supernet
from search.team import ALONE, Team
from search.train import checked_loss, placed


class AlphaSteps:
    """The alphas' optimizer, and all else that lasts from one of their steps to the next.

    Args:
        supernet: whose alphas are trained, on the configured device.
        limits: latencies and budgets, one device or several.
        config: how.
        team: processes that share out each batch, and hold the same alphas.

    Raises:
        InputError: latencies the loss or the reward cannot take.
    """

    def __init__(
        self,
        supernet: Supernet,
        limits: Sequence[Limit],
        config: ProxylessConfig,
        team: Team = ALONE,
    ) -> None:
        self.supernet = supernet
        self.limits = tuple(limits)
        self.config = config
        self.team = team
        self.precision = Precision(config.device, mixed=config.mixed_precision)
        self.loss = LatencyLoss([limit.budget_ms for limit in self.limits], config)
        self.baseline: float | None = None
        self.optimizer = torch.optim.Adam(
            supernet.architecture_parameters() or [torch.zeros(0)],
            lr=config.alpha_learning_rate,
            betas=config.alpha_betas,
            weight_decay=0.0,
        )
        # What cannot be taken is said now, not after the warm-up.
        with torch.no_grad():
            self.loss(torch.ones(()), self._expected_ms(supernet.probabilities()))
        for limit in self.limits:
            fastest, fastest_ms = limit.matrix.fastest()
            if config.gradient == "reinforce" and not (fastest_ms > 0 and limit.budget_ms > 0):
                raise InputError(
                    f"{fastest} is predicted at {fastest_ms:.6g} ms",
                    "the reward of reinforce needs latencies above zero",
                    "gradient two, full or recompute",
                )

    @property
    def multipliers(self) -> tuple[float, ...]:
        """How much latency counts on each device; empty where the loss has no multipliers."""
        has_any = self.config.loss == "lagrangian" and self.config.gradient != "reinforce"
        return tuple(self.loss.multipliers) if has_any else ()

    def state(self) -> dict[str, Any]:
        """Tensors and plain values that :meth:`restore` takes; without the supernet."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "baseline": self.baseline,
            "multipliers": list(self.loss.multipliers),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.baseline = state["baseline"]
        self.loss.multipliers = list(state["multipliers"])

    def step(
        self,
        inputs: Tensor,
        labels: Tensor,
        generator: torch.Generator,
        progress: float = 1.0,
        when: str = "an alpha step",
    ) -> float:
        """One step of the alphas; weights and running statistics stay as they are.

        Args:
            inputs: validation images, ``(N, C, H, W)``.
            labels: their classes, ``(N,)``.
            generator: draws candidates.
            progress: of the search, 0 to 1.
            when: for messages.

        Returns:
            Cross-entropy, of ``reinforce`` the mean over its networks.

        Raises:
            DivergedError: a loss or gradient that is not finite. No alpha is changed.
        """
        inputs, labels = placed(inputs, self.config.device), labels.to(self.config.device)
        if self.config.gradient == "reinforce":
            return self._reinforce(inputs, labels, generator, progress, when)
        supernet = self.supernet
        if self.config.gradient == "two":
            members = supernet.sample_pairs(generator)
        else:
            members = supernet.sample_all(generator)
        with self.precision.autocast():
            logits, gates = supernet.forward_gates(
                inputs,
                members,
                recompute=self.config.gradient == "recompute",
                checkpointed=self.config.checkpoint_activations,
            )
            cross_entropy = F.cross_entropy(logits, labels)
        value = checked_loss(self.team.mean(cross_entropy), self.config.learning_rate, when)
        if gates:
            probabilities = [p.detach().requires_grad_() for p in supernet.probabilities()]
            expected_ms = self._expected_ms(probabilities)
            loss = self.loss(cross_entropy, expected_ms) + self._penalty(probabilities, progress)
            # Below the budget the loss may not depend on the probabilities.
            found = self.team.mean_each(
                torch.autograd.grad(
                    loss, [*gates, *probabilities], allow_unused=True, materialize_grads=True
                )
            )
            prices = [
                price[list(block)]
                for price, block in zip(found[len(gates) :], members, strict=True)
                if len(block) > 1
            ]
            gradients = [
                task + price for task, price in zip(found[: len(gates)], prices, strict=True)
            ]
            update_alphas(supernet, members, gradients, self.optimizer)
            self.loss.follow([float(latency_ms.detach()) for latency_ms in expected_ms])
        return value

    def _expected_ms(self, probabilities: Sequence[Tensor]) -> list[Tensor]:
        return [limit.matrix.expected_ms(probabilities) for limit in self.limits]

    def _penalty(self, probabilities: Sequence[Tensor], progress: float) -> Tensor:
        strength = self.config.entropy_weight * progress
        if strength == 0:
            return torch.zeros((), device=probabilities[0].device)
        entropy: Tensor = torch.special.entr(torch.cat(tuple(probabilities))).sum()
        return strength * entropy

    def _reinforce(
        self,
        inputs: Tensor,
        labels: Tensor,
        generator: torch.Generator,
        progress: float,
        when: str,
    ) -> float:
        config, supernet = self.config, self.supernet
        paths = [supernet.sample_paths(generator) for _ in range(config.reward_networks)]
        losses, accuracies = [], []
        with torch.no_grad(), frozen_statistics([supernet]), self.precision.autocast():
            for path in paths:
                logits = supernet(inputs, path)
                losses.append(F.cross_entropy(logits, labels))
                accuracies.append((logits.argmax(1) == labels).double().mean())
        loss = self.team.mean(torch.stack(losses).mean())
        value = checked_loss(loss, config.learning_rate, when)
        choices = np.array(paths)
        reward = self.team.mean(torch.stack(accuracies)).cpu().numpy()
        for limit in self.limits:
            latency_ms = limit.matrix.price(choices)
            reward = reward * (limit.budget_ms / latency_ms) ** config.reward_exponent
        mean = float(reward.mean())
        baseline = mean if self.baseline is None else self.baseline
        self.baseline = baseline + config.baseline_rate * (mean - baseline)
        self._follow(torch.from_numpy(reward - baseline), torch.from_numpy(choices), progress)
        return value

    def _follow(self, advantages: Tensor, choices: Tensor, progress: float) -> None:
        """Make networks likelier by their advantages ``(n,)``; choices are ``(n, blocks)``."""
        self.optimizer.zero_grad()
        for alpha, column in zip(self.supernet.alphas, choices.T, strict=True):
            if len(alpha) == 1:
                continue
            weights = torch.bincount(column, advantages, minlength=len(alpha)) / len(column)
            p = torch.softmax(alpha.detach(), 0).requires_grad_()
            alpha.grad = p.detach() * advantages.mean().to(p) - weights.to(p)
            penalty = self._penalty([p], progress)
            if penalty.requires_grad:
                (slope,) = torch.autograd.grad(penalty, p)
                alpha.grad += gate_to_alpha(slope, alpha.detach())
        self.optimizer.step()
        self.optimizer.zero_grad()


def update_alphas(
    supernet: Supernet,
    members: Sequence[Members],
    gate_gradients: Sequence[Tensor],
    optimizer: torch.optim.Optimizer,
) -> None:
    """One step of the alphas, confined to the candidates of each block that take part.

    Their alphas are shifted by one offset after the step, so that the probabilities of the block's
    other candidates stay as they were.

    Args:
        supernet: whose alphas are updated.
        members: of each block.
        gate_gradients: for each block with more than one member, gradients of the loss with
            respect to their gates, ``(members,)``.
        optimizer: of :meth:`Supernet.architecture_parameters` and nothing else.

    Raises:
        DivergedError: a gradient that is not finite; names the candidates. No alpha is changed.
    """
    chosen = [
        (block, alpha, list(taking_part))
        for block, (alpha, taking_part) in enumerate(zip(supernet.alphas, members, strict=True))
        if len(taking_part) > 1
    ]
    for (block, _, taking_part), gradient in zip(chosen, gate_gradients, strict=True):
        if not bool(torch.isfinite(gradient).all()):
            ops = " or ".join(supernet.space.blocks[block][member].key for member in taking_part)
            raise DivergedError(
                f"the gates of block {block} have gradients {gradient.tolist()}",
                f"{ops} gives values that are not finite",
                "a lower learning rate of the weights",
            )
    optimizer.zero_grad()
    before = [alpha.detach().clone() for _, alpha, _ in chosen]
    for (_, alpha, taking_part), gradient in zip(chosen, gate_gradients, strict=True):
        alpha.grad = torch.zeros_like(alpha)
        alpha.grad[taking_part] = gate_to_alpha(gradient, alpha.detach()[taking_part])
    optimizer.step()
    optimizer.zero_grad()
    with torch.no_grad():
        for (_, alpha, taking_part), old in zip(chosen, before, strict=True):
            new = alpha[taking_part]
            offset = torch.logsumexp(new, 0) - torch.logsumexp(old[taking_part], 0)
            alpha.copy_(old)
            alpha[taking_part] = new - offset
