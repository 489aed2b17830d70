from __future__ import annotations

import dataclasses
import gc
import math
from typing import Any

import numpy as np
import pytest
import torch
from tiny_supernet import (
    LABELS,
    PAIRS,
    Broken,
    Infinite,
    adam,
    changed,
    images,
    small,
    state,
    supernet,
)
from torch import Tensor
from torch.nn import functional as F
from toy_search import settle, toy_matrix

from devices.errors import DivergedError, InputError
from search.alpha_steps import AlphaSteps, update_alphas
from search.expected_latency import LatencyMatrix, Limit
from search.proxyless_config import GRADIENTS, ProxylessConfig
from search.supernet import Supernet

LIMIT = Limit(LatencyMatrix(small(), 0.5, ((3.0, 5.0, 0.0, 0.0), (1.0,), (3.0, 0.0, 6.0))), 4.0)


def steps(net: Supernet, limit: Limit = LIMIT, **config: Any) -> AlphaSteps:
    return AlphaSteps(net, [limit], ProxylessConfig(**config))


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def gate_gradients(net: Supernet) -> tuple[Tensor, ...]:
    logits, gates = net.forward_gates(images(), PAIRS)
    return torch.autograd.grad(F.cross_entropy(logits, LABELS), gates)


def test_an_update_leaves_all_other_probabilities_alone() -> None:
    net = supernet()
    before = [p.detach().clone() for p in net.probabilities()]
    # Momentum and weight decay would move the others too.
    optimizer = torch.optim.Adam(net.architecture_parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(3):
        update_alphas(net, PAIRS, gate_gradients(net), optimizer)
    after = [p.detach() for p in net.probabilities()]
    for old, new, pair in zip(before, after, PAIRS, strict=True):
        others = [i for i in range(len(old)) if i not in pair]
        torch.testing.assert_close(new[others], old[others], rtol=1e-5, atol=1e-7)
    assert abs(float(after[0][1] - before[0][1])) > 0.01
    assert torch.equal(after[1], torch.ones(1))


def test_an_update_prefers_the_candidate_that_lowers_the_loss() -> None:
    net = supernet()
    gradients = [torch.tensor([0.5, -0.5]), torch.tensor([-1.0, 0.0])]
    before = [p.detach().clone() for p in net.probabilities()]
    update_alphas(net, PAIRS, gradients, adam(net))
    first, _, last = net.probabilities()
    assert first[2] > before[0][2]
    assert first[1] < before[0][1]
    assert last[2] > before[2][2]
    assert last[0] < before[2][0]


def test_an_update_with_a_gradient_that_is_not_finite_is_refused_and_changes_nothing() -> None:
    net = supernet()
    gradients = [torch.tensor([0.5, math.inf]), torch.tensor([-1.0, 0.0])]
    before = state(net)
    with pytest.raises(DivergedError, match=r"gates of block 0.*identity/4x5x5"):
        update_alphas(net, PAIRS, gradients, adam(net))
    assert not changed(net, before)


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_a_step_changes_alphas_and_no_weight_statistic_or_mode(gradient: str) -> None:
    net = supernet()
    net.head.eval()
    before, modes = state(net), [module.training for module in net.modules()]
    steps(net, gradient=gradient).step(images(), LABELS, generator())
    assert changed(net, before) == {"alphas.0", "alphas.2"}
    assert [module.training for module in net.modules()] == modes
    assert all(parameter.grad is None for parameter in net.parameters())


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_nothing_stays_behind_after_an_exception(gradient: str) -> None:
    net = supernet().eval()
    modes = [module.training for module in net.modules()]
    with torch.no_grad():
        net.alphas[2].copy_(torch.tensor([9.0, 9.0, -99.0]))
    before = state(net)
    whole, net.blocks[2][0] = net.blocks[2][0], Broken()
    alphas = steps(net, gradient=gradient)
    with pytest.raises(RuntimeError, match="stop"):
        alphas.step(images(), LABELS, generator())
    net.blocks[2][0] = whole
    assert not changed(net, before)
    assert [module.training for module in net.modules()] == modes
    assert torch.is_grad_enabled()


def test_full_and_recomputed_steps_are_the_same() -> None:
    nets = [supernet(), supernet()]
    for net, gradient in zip(nets, ("full", "recompute"), strict=True):
        alphas, draws = steps(net, gradient=gradient), generator()
        for _ in range(3):
            alphas.step(images(), LABELS, draws)
    assert not changed(nets[0], state(nets[1]))


def test_a_full_step_follows_the_gradient_of_loss_and_latency() -> None:
    """SGD in place of Adam, so that the step shows the gradient."""
    net = supernet()
    alphas = steps(net, gradient="full", loss="add#linear", weight=2.0)
    alphas.optimizer = torch.optim.SGD(net.architecture_parameters(), lr=1.0)
    before = [alpha.detach().clone() for alpha in net.alphas]
    members = net.sample_all(generator())
    logits, gates = net.forward_gates(images(), members)
    slopes = torch.autograd.grad(F.cross_entropy(logits, LABELS), gates)
    task = dict(zip((0, 2), slopes, strict=True))
    alphas.step(images(), LABELS, generator())
    for block, old in enumerate(before):
        if len(old) == 1:
            continue
        slope = torch.zeros_like(old)
        slope[list(members[block])] = task[block]
        slope += 2.0 * torch.tensor(LIMIT.matrix.block_ms[block]) / LIMIT.budget_ms
        free = old.clone().requires_grad_()
        (wanted,) = torch.autograd.grad(torch.softmax(free, 0) @ slope, free)
        moved = old - net.alphas[block].detach()
        # The step is followed by a shift of all alphas, which no probability sees.
        torch.testing.assert_close(moved - moved.mean(), wanted, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("gradient", ["two", "full", "recompute"])
def test_an_infinite_candidate_stops_the_step_and_is_named(gradient: str) -> None:
    net = supernet()
    net.blocks[0][2] = Infinite()
    with torch.no_grad():
        net.alphas[0].copy_(torch.tensor([9.0, -99.0, 0.0, -99.0]))
    before = state(net)
    with pytest.raises(DivergedError, match=r"gates of block 0.*identity/4x5x5"):
        steps(net, gradient=gradient).step(images(), LABELS, generator())
    assert not changed(net, before)


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_memory_does_not_grow_from_step_to_step(gradient: str) -> None:
    net = supernet()
    alphas = steps(net, gradient=gradient, entropy_weight=0.1, checkpoint_activations=True)
    weights = torch.optim.SGD(net.weight_parameters(), lr=0.1, momentum=0.9)
    draws = generator()

    def tensors_after(count: int) -> int:
        for _ in range(count):
            weights.zero_grad()
            F.cross_entropy(net(images(), [0, 0, 0], checkpointed=True), LABELS).backward()
            weights.step()
            weights.zero_grad()
            alphas.step(images(), LABELS, draws)
        gc.collect()
        return sum(issubclass(type(found), Tensor) for found in gc.get_objects())

    # What other tests left is not looked through.
    gc.freeze()
    try:
        tensors_after(2)
        assert tensors_after(1) == tensors_after(10)
    finally:
        gc.unfreeze()


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_an_entropy_penalty_makes_the_choices(gradient: str) -> None:
    entropies = []
    for weight, progress in ((0.0, 1.0), (30.0, 0.0), (30.0, 1.0)):
        net, draws = supernet(), generator()
        with torch.no_grad():
            net.alphas[0][1] += 0.5
        alphas = steps(net, gradient=gradient, entropy_weight=weight)
        for _ in range(15):
            alphas.step(images(), LABELS, draws, progress)
        entropies.append(
            sum(float(torch.special.entr(p.detach()).sum()) for p in net.probabilities())
        )
    open_, early, late = entropies
    assert early == open_
    assert late < open_ - 0.1


def test_checkpointing_activations_changes_no_step() -> None:
    nets = [supernet(), supernet()]
    for net, checkpointed in zip(nets, (False, True), strict=True):
        alphas = steps(net, gradient="full", checkpoint_activations=checkpointed)
        alphas.step(images(), LABELS, generator())
    assert not changed(nets[0], state(nets[1]))


# Holding a budget


@pytest.mark.parametrize("start", [-1.5, 1.5])
@pytest.mark.parametrize("weight", [0.01, 1.0, 100.0])
def test_the_lagrangian_settles_at_the_budget_from_anywhere(start: float, weight: float) -> None:
    config = ProxylessConfig(loss="lagrangian", weight=weight)
    assert settle([Limit(toy_matrix(), 8.0)], start, config) == pytest.approx([1.0], abs=0.03)


def test_the_hinge_settles_there_only_with_the_right_strength() -> None:
    limits = [Limit(toy_matrix(), 8.0)]
    weak, right = (
        settle(limits, 1.5, ProxylessConfig(loss="add#hinge", weight=weight))[0]
        for weight in (0.01, 0.3)
    )
    assert weak > 1.5
    assert right == pytest.approx(1.0, abs=0.03)


def test_of_two_budgets_the_tighter_one_is_met() -> None:
    early, late = Limit(toy_matrix(-0.2), 4.5), Limit(toy_matrix(0.2), 14.0)
    ratios = settle([early, late], 1.5, ProxylessConfig(loss="lagrangian"))
    assert ratios[0] == pytest.approx(1.0, abs=0.03)
    assert ratios[1] < 1.0


# REINFORCE


def test_the_policy_gradient_is_that_of_the_log_probabilities() -> None:
    net = supernet()
    alphas = steps(net, gradient="reinforce", reward_networks=5, reward_exponent=0.5)
    alphas.optimizer = torch.optim.SGD(net.architecture_parameters(), lr=1.0)
    alphas.baseline = 0.3
    draws = generator()
    paths = [net.sample_paths(draws) for _ in range(5)]
    rewards = []
    for path in paths:
        accuracy = float((supernet()(images(), path).argmax(1) == LABELS).double().mean())
        latency_ms = float(LIMIT.matrix.price([net.space.architecture(path)])[0])
        rewards.append(accuracy * (4.0 / latency_ms) ** 0.5)
    free = [alpha.detach().clone().requires_grad_() for alpha in net.alphas]
    objective = sum(
        (reward - 0.3) * torch.log_softmax(alpha, 0)[choice] / 5
        for reward, path in zip(rewards, paths, strict=True)
        for alpha, choice in zip(free, path, strict=True)
    )
    wanted = torch.autograd.grad(objective, free)
    alphas.step(images(), LABELS, generator())
    for alpha, start, climb in zip(net.alphas, free, wanted, strict=True):
        torch.testing.assert_close(alpha.detach() - start.detach(), climb, rtol=1e-4, atol=1e-6)
    assert alphas.baseline == pytest.approx(0.3 + 0.5 * (np.mean(rewards) - 0.3))


def test_reinforce_prefers_the_fast_where_accuracy_is_the_same() -> None:
    net = supernet()
    alphas = steps(net, gradient="reinforce", reward_exponent=1.0)
    draws, same = generator(), torch.zeros(6, dtype=torch.long)
    with torch.no_grad():
        net.head[-1].weight.zero_()
        net.head[-1].bias.copy_(torch.tensor([1.0, 0.0]))
    for _ in range(40):
        alphas.step(images(), same, draws)
    first, _, last = net.probabilities()
    assert first[2:].sum() > 0.9
    assert last[1] > 0.9


def test_rewards_of_networks_that_take_no_time_are_refused() -> None:
    matrix = dataclasses.replace(LIMIT.matrix, constant_ms=-1.0)
    with pytest.raises(InputError, match="latencies above zero"):
        steps(supernet(), Limit(matrix, 4.0), gradient="reinforce")


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_steps_go_on_from_a_state(gradient: str) -> None:
    nets = [supernet(), supernet()]
    whole, halved = (steps(net, gradient=gradient) for net in nets)
    for draws in (1, 2):
        whole.step(images(), LABELS, torch.Generator().manual_seed(draws))
        halved.step(images(), LABELS, torch.Generator().manual_seed(draws))
        kept, halved = halved.state(), steps(nets[1], gradient=gradient)
        halved.restore(kept)
    assert whole.baseline == halved.baseline
    assert not changed(nets[0], state(nets[1]))
