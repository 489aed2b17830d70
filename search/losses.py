"""Cross-entropy and expected latency in one loss.

ProxylessNAS (Cai, Zhu, Han, ICLR 2019) has two ways, and there are two more here; ``ref`` is the
budget::

    mul#log      a * CE * (log E[LAT] / log ref) ** b
    add#linear   CE + weight * (E[LAT] - ref) / ref
    add#hinge    CE + weight * max(0, E[LAT] - ref) / ref
    lagrangian   (CE + m * (E[LAT] - ref) / ref) / (1 + m)    above ref
                 CE                                           at ref and below

The paper's go on rewarding ever faster networks below the budget, or never reach it, as their
strength will have it. The other two pull above the budget only. The hinge still has a strength
that may be too weak to reach the budget, or so strong that steps overshoot it. The multiplier
``m`` of the last one finds its own: it is multiplied after each step by
``exp(rate * (E[LAT] - ref) / ref)``, so it grows above the budget and shrinks back below. Dividing
by ``1 + m`` changes no minimum, but keeps gradients of one size, which Adam remembers for a
thousand steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from devices.errors import InputError
from search.proxyless_config import ProxylessConfig

_MULTIPLIERS = (1e-3, 1e3)
"""The least and the largest."""


class LatencyLoss:
    """The configured loss under one budget or several.

    Added terms add up; the factors of ``mul#log`` are multiplied.

    Args:
        budgets_ms: of each device, in ms.
        config: which loss, and how strong.

    Attributes:
        multipliers: of ``lagrangian``, one for each device; they start at the config's ``weight``.
    """

    def __init__(self, budgets_ms: Sequence[float], config: ProxylessConfig) -> None:
        self.budgets_ms = tuple(budgets_ms)
        self.config = config
        self.multipliers = [config.weight] * len(self.budgets_ms)

    def __call__(
        self, cross_entropy: torch.Tensor, expected_ms: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """The loss, differentiable.

        Args:
            cross_entropy: scalar.
            expected_ms: expected latency on each device, scalars in ms.

        Raises:
            InputError: a latency the loss cannot take.
        """
        config = self.config
        if config.loss == "lagrangian":
            return lagrangian(cross_entropy, expected_ms, self.budgets_ms, self.multipliers)
        loss = config.a * cross_entropy if config.loss == "mul#log" else cross_entropy
        for latency_ms, budget_ms in zip(expected_ms, self.budgets_ms, strict=True):
            if config.loss == "mul#log":
                loss = mul_log(loss, latency_ms, budget_ms, 1.0, config.b)
            elif config.loss == "add#hinge":
                loss = add_hinge(loss, latency_ms, budget_ms, config.weight)
            else:
                loss = add_linear(loss, latency_ms, budget_ms, config.weight)
        return loss

    def follow(self, expected_ms: Sequence[float]) -> None:
        """Let the multipliers grow where a budget is exceeded, and shrink where it is not.

        Args:
            expected_ms: expected latency on each device, in ms.
        """
        least, largest = _MULTIPLIERS
        for i, (latency_ms, budget_ms) in enumerate(zip(expected_ms, self.budgets_ms, strict=True)):
            excess = min(max(latency_ms / budget_ms - 1, -1.0), 1.0)
            grown = self.multipliers[i] * math.exp(self.config.multiplier_rate * excess)
            self.multipliers[i] = min(max(grown, least), largest)


def lagrangian(
    cross_entropy: torch.Tensor,
    expected_ms: Sequence[torch.Tensor],
    references_ms: Sequence[float],
    multipliers: Sequence[float],
) -> torch.Tensor:
    """Latency terms with multipliers, of the latencies above their references only.

    ``(CE + sum m * (E - ref) / ref) / (1 + sum m)``, the sums over the latencies with
    ``E > ref``. Not in the paper.

    Args:
        cross_entropy: scalar.
        expected_ms: expected latencies, scalars in ms.
        references_ms: the latencies aimed at, in ms.
        multipliers: strength of each latency.

    Raises:
        InputError: a reference that is not above zero.
    """
    loss, total = cross_entropy, 1.0
    for latency_ms, reference_ms, multiplier in zip(
        expected_ms, references_ms, multipliers, strict=True
    ):
        over = add_hinge(loss, latency_ms, reference_ms, multiplier)
        if over is not loss:
            loss, total = over, total + multiplier
    return loss / total


def mul_log(
    cross_entropy: torch.Tensor,
    expected_ms: torch.Tensor,
    reference_ms: float,
    a: float = 0.2,
    b: float = 0.3,
    unit_ms: float = 1e-3,
) -> torch.Tensor:
    """ProxylessNAS's loss with a multiplied latency term: ``a * CE * (log E / log ref) ** b``.

    The logarithm of a latency depends on the unit it is counted in, and a latency of one unit or
    less has none that the power can take. The formula as published counts in ms, which breaks for
    networks of 1 ms and less; here both latencies are counted in microseconds. In a smaller unit
    the term pulls less: at the reference, a relative change of the latency changes the loss by
    ``b / log(ref / unit)`` times as much. ``unit_ms=1.0`` gives the published numbers.

    Args:
        cross_entropy: scalar.
        expected_ms: scalar, expected latency in ms.
        reference_ms: the latency aimed at, in ms.
        a: scale of the loss.
        b: strength of the latency term.
        unit_ms: the unit the logarithm counts in, in ms.

    Raises:
        InputError: a latency of one unit or less.
    """
    for noun, latency_ms in (("expected", expected_ms.item()), ("reference", reference_ms)):
        if not latency_ms > unit_ms:
            raise InputError(
                f"{noun} latency of {latency_ms:.6g} ms in mul#log",
                f"its logarithm needs more than one unit of {unit_ms:.6g} ms",
                "the loss add#linear, which has no logarithm",
            )
    log_ratio = torch.log(expected_ms / unit_ms) / math.log(reference_ms / unit_ms)
    return a * cross_entropy * log_ratio**b


def add_linear(
    cross_entropy: torch.Tensor,
    expected_ms: torch.Tensor,
    reference_ms: float,
    weight: float = 0.1,
) -> torch.Tensor:
    """ProxylessNAS's loss with an added latency term: ``CE + weight * (E - ref) / ref``.

    Below the reference the term goes on rewarding ever faster networks.

    Args:
        cross_entropy: scalar.
        expected_ms: scalar, expected latency in ms.
        reference_ms: the latency aimed at, in ms.
        weight: strength of the latency term.

    Raises:
        InputError: a reference that is not above zero.
    """
    if not reference_ms > 0:
        raise InputError(f"reference latency of {reference_ms:.6g} ms", "must be above zero")
    return cross_entropy + weight * (expected_ms - reference_ms) / reference_ms


def add_hinge(
    cross_entropy: torch.Tensor,
    expected_ms: torch.Tensor,
    reference_ms: float,
    weight: float = 1.0,
) -> torch.Tensor:
    """A latency term above the reference only: ``CE + weight * max(0, E - ref) / ref``.

    Not in the paper. At the reference and below, the loss does not depend on the latency.

    Args:
        cross_entropy: scalar.
        expected_ms: scalar, expected latency in ms.
        reference_ms: the latency aimed at, in ms.
        weight: strength of the latency term.

    Raises:
        InputError: a reference that is not above zero.
    """
    over = add_linear(cross_entropy, expected_ms, reference_ms, weight)
    return over if expected_ms.item() > reference_ms else cross_entropy
