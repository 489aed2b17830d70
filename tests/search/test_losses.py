from __future__ import annotations

import math

import pytest
import torch
from toy_search import toy_matrix

from devices.errors import InputError
from search.losses import LatencyLoss, add_hinge, add_linear, lagrangian, mul_log
from search.proxyless_config import LOSSES, ProxylessConfig


def scalar(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64, requires_grad=True)


def test_both_losses_at_the_reference_are_the_cross_entropy_but_for_scale() -> None:
    assert mul_log(scalar(2.0), scalar(5.0), 5.0).item() == pytest.approx(0.4)
    assert add_linear(scalar(2.0), scalar(5.0), 5.0).item() == pytest.approx(2.0)


def test_mul_log_counted_in_ms_is_the_published_formula() -> None:
    loss = mul_log(scalar(2.0), scalar(80.0), 40.0, a=0.2, b=0.6, unit_ms=1.0)
    assert loss.item() == pytest.approx(0.2 * 2.0 * (math.log(80) / math.log(40)) ** 0.6)


@pytest.mark.parametrize("reference_ms", [0.02, 0.9, 1.0, 80.0])
def test_both_losses_push_towards_faster_networks_at_any_scale(reference_ms: float) -> None:
    for loss in (mul_log, add_linear):
        expected_ms = scalar(1.1 * reference_ms)
        loss(scalar(2.0), expected_ms, reference_ms).backward()
        assert expected_ms.grad is not None
        assert 0 < expected_ms.grad.item() < math.inf


def test_at_the_reference_mul_log_pulls_by_b_over_the_logarithm_of_the_reference() -> None:
    expected_ms = scalar(5.0)
    loss = mul_log(scalar(2.0), expected_ms, 5.0, b=0.3)
    loss.backward()
    assert expected_ms.grad is not None
    relative = expected_ms.grad.item() * 5.0 / loss.item()
    assert relative == pytest.approx(0.3 / math.log(5000))


@pytest.mark.parametrize(("expected", "reference_ms"), [(0.001, 1.0), (1.0, 0.001), (-1.0, 1.0)])
def test_mul_log_of_a_latency_without_a_logarithm_is_refused(
    expected: float, reference_ms: float
) -> None:
    with pytest.raises(InputError, match="add#linear"):
        mul_log(scalar(2.0), scalar(expected), reference_ms)


def test_add_linear_counts_relative_to_the_reference() -> None:
    assert add_linear(scalar(2.0), scalar(7.5), 5.0, weight=0.1).item() == pytest.approx(2.05)
    with pytest.raises(InputError, match="above zero"):
        add_linear(scalar(2.0), scalar(7.5), 0.0)


def test_the_hinge_is_linear_above_the_reference_and_flat_below() -> None:
    assert add_hinge(scalar(2.0), scalar(7.5), 5.0, weight=0.1).item() == pytest.approx(2.05)
    for latency_ms in (1.0, 5.0):
        cross_entropy = scalar(2.0)
        assert add_hinge(cross_entropy, scalar(latency_ms), 5.0) is cross_entropy


@pytest.mark.parametrize(
    ("loss", "wanted"),
    [
        ("add#hinge", 2.0 + 0.5 * 0.5),
        ("lagrangian", (2.0 + 0.5 * 0.5) / 1.5),
        ("add#linear", 2.0 + 0.5 * 0.5 - 0.5 * 0.2),
        ("mul#log", 0.2 * 2.0 * (math.log(7500) / math.log(5000) * math.log(8) / math.log(10))),
    ],
)
def test_several_budgets_are_weighed_together(loss: str, wanted: float) -> None:
    config = ProxylessConfig(loss=loss, weight=0.5, b=1.0)
    latencies = [scalar(7.5), scalar(0.008)]
    assert LatencyLoss([5.0, 0.010], config)(scalar(2.0), latencies).item() == pytest.approx(wanted)


def test_the_lagrangian_is_a_mean_of_what_is_wrong() -> None:
    latencies = [scalar(7.5), scalar(20.0), scalar(9.0)]
    loss = lagrangian(scalar(2.0), latencies, [5.0, 10.0, 10.0], [3.0, 4.0, 100.0])
    assert loss.item() == pytest.approx((2.0 + 3.0 * 0.5 + 4.0 * 1.0) / 8)


def test_the_lagrangian_gives_no_reward_below_the_budget() -> None:
    expected_ms, cross_entropy = scalar(4.9), scalar(2.0)
    loss = lagrangian(cross_entropy, [expected_ms], [5.0], [100.0])
    found = torch.autograd.grad(loss, [cross_entropy, expected_ms], allow_unused=True)
    assert loss.item() == 2.0
    assert found[0].item() == 1.0
    assert found[1] is None


def test_multipliers_grow_above_the_budget_and_shrink_below() -> None:
    config = ProxylessConfig(loss="lagrangian", weight=2.0, multiplier_rate=0.5)
    loss = LatencyLoss([5.0, 10.0], config)
    loss.follow([6.0, 9.0])
    assert loss.multipliers == pytest.approx([2 * math.exp(0.1), 2 * math.exp(-0.05)])
    for _ in range(100):
        loss.follow([50.0, 0.1])
    assert loss.multipliers == [1e3, 1e-3]
    loss.follow([4.0, 11.0])
    assert loss.multipliers == pytest.approx([1e3 * math.exp(-0.1), 1e-3 * math.exp(0.05)])


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("budget_ms", [2.6, 9.0])
def test_gradients_of_alphas_through_the_expected_latency_are_finite_differences(
    loss: str, budget_ms: float
) -> None:
    matrix, server = toy_matrix(), toy_matrix(slope=0.5)
    config = ProxylessConfig(loss=loss, weight=0.7)
    whole = LatencyLoss([budget_ms, 1.1 * budget_ms], config)
    generator = torch.Generator().manual_seed(0)
    alphas = [
        torch.randn(width, dtype=torch.float64, generator=generator).requires_grad_()
        for width in matrix.space.widths
    ]

    def value(*alphas: torch.Tensor) -> torch.Tensor:
        p = [torch.softmax(alpha, 0) for alpha in alphas]
        cross_entropy = p[0].new_tensor(1.3) + 0.1 * p[0][0]
        found = whole(cross_entropy, [matrix.expected_ms(p), server.expected_ms(p)])
        # So that it depends on all of them below the budget too.
        return found + 0.0 * torch.stack([alpha.sum() for alpha in alphas]).sum()

    assert torch.autograd.gradcheck(value, alphas, eps=1e-6, atol=1e-7, rtol=1e-5)
    pulled = torch.autograd.grad(value(*alphas), alphas)
    # Above the budget every block is pulled at; below it none but by the losses that always pull.
    always = loss in ("mul#log", "add#linear")
    assert bool(pulled[1].abs().max() > 1e-4) == (budget_ms < 3 or always)
