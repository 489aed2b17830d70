from __future__ import annotations

import gc
import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from devices.errors import DivergedError, InputError
from profiler.ops import OpSpec
from search.spaces.base import ChainSpace
from search.spaces.mobile import mobile_tiny
from search.supernet import Pair, Supernet, frozen_statistics, gate_to_alpha, update_alphas


def small(size: int = 9) -> ChainSpace:
    """Three blocks: four candidates with skip and zero, one candidate, three candidates."""
    stem = OpSpec.make("conv", (3, size, size), out=4, kernel=3, stride=2)
    shape = stem.output_shape

    def mbconv(kernel: int) -> OpSpec:
        return OpSpec.make("mbconv", shape, out=4, kernel=kernel, stride=1, expand=3)

    identity, zero = OpSpec.make("identity", shape), OpSpec.make("zero", shape)
    blocks = (
        (mbconv(3), mbconv(5), identity, zero),
        (mbconv(3),),
        (mbconv(3), identity, mbconv(7)),
    )
    pool = OpSpec.make("global_avg_pool", shape)
    return ChainSpace("small", (stem,), blocks, (pool, OpSpec.make("linear", (4,), out=2)))


def supernet(seed: int = 0) -> Supernet:
    return Supernet(small(), seed)


def images(count: int = 6) -> Tensor:
    return torch.randn(count, 3, 9, 9, generator=torch.Generator().manual_seed(1))


LABELS = torch.arange(6) % 2
PAIRS = [Pair(1, 2), Pair(0, None), Pair(2, 0)]


def adam(net: Supernet) -> torch.optim.Adam:
    return torch.optim.Adam(net.architecture_parameters(), lr=0.1, betas=(0.0, 0.999))


def gate_gradients(net: Supernet, pairs: list[Pair]) -> tuple[Tensor, ...]:
    logits, gates = net.forward_pairs(images(), pairs)
    return torch.autograd.grad(F.cross_entropy(logits, LABELS), gates)


def state(net: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def test_a_path_is_the_network_of_its_architecture() -> None:
    net = supernet().eval()
    plain = nn.Sequential(net.stem, net.blocks[0][1], net.blocks[1][0], net.blocks[2][2], net.head)
    assert torch.equal(net(images(), [1, 0, 2]), plain(images()))


def test_only_the_path_that_runs_gets_gradients() -> None:
    net = supernet()
    F.cross_entropy(net(images(), [0, 0, 1]), LABELS).backward()
    touched = {
        name.rpartition(".layers")[0] for name, p in net.named_parameters() if p.grad is not None
    }
    assert {name for name in touched if name.startswith("blocks")} == {"blocks.0.0", "blocks.1.0"}
    assert all(alpha.grad is None for alpha in net.alphas)


def test_a_path_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="takes candidate 4 in block 0"):
        supernet()(images(), [4, 0, 0])
    with pytest.raises(InputError, match="has 2 choices"):
        supernet()(images(), [0, 0])


def test_weights_and_alphas_are_kept_apart_and_all_are_saved() -> None:
    net = supernet()
    weights = {id(p) for p in net.weight_parameters()}
    alphas = {id(p) for p in net.architecture_parameters()}
    assert not weights & alphas
    assert len(alphas) == 2  # the block of one candidate has no choice
    assert weights | alphas | {id(net.alphas[1])} == {id(p) for p in net.parameters()}
    other = supernet(seed=1)
    other.load_state_dict(net.state_dict())
    assert torch.equal(other.eval()(images(), [1, 0, 0]), net.eval()(images(), [1, 0, 0]))
    assert all(torch.equal(a, b) for a, b in zip(other.alphas, net.alphas, strict=True))


def test_the_seed_decides_the_start_and_nothing_else_is_drawn() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    one, two, other = state(supernet(0)), state(supernet(0)), state(supernet(1))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["alphas.0"], other["alphas.0"])


def test_gate_gradients_are_those_of_a_weighted_sum_of_both_outputs() -> None:
    net = supernet().eval()
    found = gate_gradients(net, PAIRS)
    gates = [torch.tensor([1.0, 0.0], requires_grad=True) for _ in range(2)]
    with frozen_statistics([net]):
        x = net.stem(images())
        x = gates[0][0] * net.blocks[0][1](x) + gates[0][1] * net.blocks[0][2](x)
        x = net.blocks[1][0](x)
        x = gates[1][0] * net.blocks[2][2](x) + gates[1][1] * net.blocks[2][0](x)
        loss = F.cross_entropy(net.head(x), LABELS)
    for mine, wanted in zip(found, torch.autograd.grad(loss, gates), strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("active", [2, 3])
def test_skip_and_zero_get_a_task_gradient_while_they_are_active(active: int) -> None:
    gradient, _ = gate_gradients(supernet(), [Pair(active, 0), Pair(0, None), Pair(0, 1)])
    assert gradient[1] != 0
    # What zero adds is nothing, so its own gate is worth nothing; the other's is.
    assert (gradient[0] == 0) == (active == 3)


@given(st.lists(st.floats(-3, 3, width=32), min_size=2, max_size=6), st.data())
def test_alpha_gradients_are_those_of_the_softmax(alphas: list[float], data: Any) -> None:
    n = len(alphas)
    numbers = st.lists(st.floats(-5, 5, width=32), min_size=n, max_size=n)
    gradients = torch.tensor(data.draw(numbers))
    alpha = torch.tensor(alphas, requires_grad=True)
    (wanted,) = torch.autograd.grad(torch.softmax(alpha, 0) @ gradients, alpha)
    found = gate_to_alpha(gradients, alpha.detach())
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_an_update_leaves_all_other_probabilities_alone() -> None:
    net = supernet()
    before = [p.detach().clone() for p in net.probabilities()]
    # Momentum and weight decay would move the others too.
    optimizer = torch.optim.Adam(net.architecture_parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(3):
        update_alphas(net, PAIRS, gate_gradients(net, PAIRS), optimizer)
    after = [p.detach() for p in net.probabilities()]
    for old, new, pair in zip(before, after, PAIRS, strict=True):
        others = [i for i in range(len(old)) if i not in pair.members]
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


def test_an_alpha_step_changes_no_weight_statistic_or_mode() -> None:
    net = supernet()
    net.head.eval()
    before, modes = state(net), [module.training for module in net.modules()]
    update_alphas(net, PAIRS, gate_gradients(net, PAIRS), adam(net))
    changed = {name for name, tensor in state(net).items() if not torch.equal(tensor, before[name])}
    assert changed == {"alphas.0", "alphas.2"}
    assert [module.training for module in net.modules()] == modes
    assert all(parameter.grad is None for parameter in net.parameters())


class Broken(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("stop")


def test_nothing_stays_behind_after_an_exception() -> None:
    net = supernet().eval()
    before = state(net)
    net.blocks[2][0] = Broken()
    with pytest.raises(RuntimeError, match="stop"):
        net.forward_pairs(images(), PAIRS)
    net.blocks[2][0] = supernet().blocks[2][0].eval()
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    assert all(norm.track_running_stats and not norm.training for norm in norms)
    after = state(net)
    assert after.keys() == before.keys()
    assert all(torch.equal(tensor, before[name]) for name, tensor in after.items())
    assert torch.is_grad_enabled()


class Infinite(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.full_like(x, math.inf)


def test_an_infinity_in_an_inactive_candidate_stays_out_of_the_output() -> None:
    net = supernet()
    net.blocks[0][2] = Infinite()
    logits, gates = net.forward_pairs(images(), PAIRS)
    assert logits.isfinite().all()
    gradients = torch.autograd.grad(F.cross_entropy(logits, LABELS), gates)
    before = state(net)
    with pytest.raises(DivergedError, match=r"gates of block 0.*identity/4x5x5"):
        update_alphas(net, PAIRS, gradients, adam(net))
    assert all(torch.equal(tensor, before[name]) for name, tensor in state(net).items())


def test_memory_does_not_grow_from_step_to_step() -> None:
    net = supernet()
    optimizer = adam(net)
    weights = torch.optim.SGD(net.weight_parameters(), lr=0.1, momentum=0.9)

    def steps(count: int) -> int:
        generator = torch.Generator().manual_seed(0)
        for _ in range(count):
            weights.zero_grad()
            F.cross_entropy(net(images(), [0, 0, 0]), LABELS).backward()
            weights.step()
            weights.zero_grad()
            pairs = net.sample_pairs(generator)
            update_alphas(net, pairs, gate_gradients(net, pairs), optimizer)
        gc.collect()
        return sum(issubclass(type(found), Tensor) for found in gc.get_objects())

    steps(2)
    assert steps(1) == steps(10)


def test_paths_are_drawn_by_the_probabilities() -> None:
    net = supernet()
    wanted = torch.tensor([0.6, 0.25, 0.1, 0.05])
    with torch.no_grad():
        net.alphas[0].copy_(wanted.log())
    generator = torch.Generator().manual_seed(0)
    drawn = torch.tensor([net.sample_paths(generator)[0] for _ in range(4000)])
    assert (drawn.bincount(minlength=4) / 4000 - wanted).abs().max() < 0.03


def test_pairs_are_drawn_without_replacement_and_by_the_probabilities() -> None:
    net = supernet()
    p = torch.tensor([0.6, 0.25, 0.1, 0.05])
    with torch.no_grad():
        net.alphas[0].copy_(p.log())
    generator = torch.Generator().manual_seed(0)
    drawn = [net.sample_pairs(generator) for _ in range(4000)]
    assert all(block.active != block.inactive for pairs in drawn for block in pairs)
    assert all(pairs[1] == Pair(0, None) for pairs in drawn)
    ordered = [pairs[0] for pairs in drawn if set(pairs[0].members) == {0, 1}]
    expected = float(p[0] * p[1] / (1 - p[0]) + p[1] * p[0] / (1 - p[1]))
    assert abs(len(ordered) / 4000 - expected) < 0.03
    share = sum(pair.active == 0 for pair in ordered) / len(ordered)
    assert abs(share - 0.6 / 0.85) < 0.04


def test_sampling_survives_probabilities_that_round_to_zero() -> None:
    net = supernet()
    with torch.no_grad():
        net.alphas[0].copy_(torch.tensor([500.0, -500.0, 0.0, 0.0]))
    pairs = net.sample_pairs(torch.Generator().manual_seed(0))
    assert pairs[0].active == 0
    assert pairs[0].inactive in (1, 2, 3)


def test_odd_sizes_and_the_mobile_candidates_fit() -> None:
    net = Supernet(mobile_tiny(resolution=13, width=0.25), 0)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 13, 13, generator=generator)
    assert net(x, net.sample_paths(generator)).shape == (2, 10)
    logits, gates = net.forward_pairs(x, net.sample_pairs(generator))
    assert logits.shape == (2, 10)
    assert len(gates) == 9


def test_ops_that_do_not_follow_one_another_are_refused() -> None:
    space = small()
    head = (OpSpec.make("global_avg_pool", (5, 5, 5)), OpSpec.make("linear", (5,), out=2))
    with pytest.raises(InputError, match="cannot follow"):
        Supernet(ChainSpace("broken", space.stem, space.blocks, head), 0)
