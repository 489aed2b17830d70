from __future__ import annotations

import pytest
import torch
from tiny_supernet import (
    ALL,
    LABELS,
    PAIRS,
    Broken,
    Infinite,
    changed,
    images,
    small,
    state,
    supernet,
)
from torch import Tensor, nn
from torch.nn import functional as F

from devices.errors import InputError
from profiler.ops import OpSpec
from search.batch_norm import frozen_statistics
from search.spaces.base import ChainSpace
from search.spaces.mobile import mobile_tiny
from search.supernet import Members, Supernet


def gate_gradients(net: Supernet, members: list[Members], **how: bool) -> tuple[Tensor, ...]:
    logits, gates = net.forward_gates(images(), members, **how)
    return torch.autograd.grad(F.cross_entropy(logits, LABELS), gates)


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
    gradient, _ = gate_gradients(supernet(), [(active, 0), (0,), (0, 1)])
    assert gradient[1] != 0
    # What zero adds is nothing, so its own gate is worth nothing; the other's is.
    assert (gradient[0] == 0) == (active == 3)


@pytest.mark.parametrize("recompute", [False, True])
def test_a_block_whose_active_candidate_is_zero_weighs_all_others(recompute: bool) -> None:
    members: list[Members] = [(3, 0, 1, 2), (0,), (1, 0, 2)]
    gradient, _ = gate_gradients(supernet(), members, recompute=recompute)
    assert gradient[0] == 0
    assert (gradient[1:] != 0).all()


def test_recomputing_gives_the_same_gate_gradients() -> None:
    kept = gate_gradients(supernet(), ALL)
    recomputed = gate_gradients(supernet(), ALL, recompute=True)
    assert all(torch.equal(a, b) for a, b in zip(kept, recomputed, strict=True))


def test_a_pair_has_the_gate_gradients_that_it_has_among_all() -> None:
    pair, among_all = gate_gradients(supernet(), PAIRS), gate_gradients(supernet(), ALL)
    assert torch.equal(pair[0], among_all[0][[0, 2]])
    assert torch.equal(pair[1], among_all[1][[0, 1]])


@pytest.mark.parametrize("recompute", [False, True])
def test_checkpointing_activations_changes_no_gate_gradient(recompute: bool) -> None:
    plain, again = (
        gate_gradients(supernet(), ALL, recompute=recompute, checkpointed=checkpointed)
        for checkpointed in (False, True)
    )
    assert all(torch.equal(a, b) for a, b in zip(plain, again, strict=True))


def test_checkpointing_activations_changes_no_weight_gradient_or_statistic() -> None:
    nets = [supernet(), supernet()]
    for net, checkpointed in zip(nets, (False, True), strict=True):
        logits = net(images(), [0, 0, 2], checkpointed=checkpointed)
        F.cross_entropy(logits, LABELS).backward()
    one, other = nets
    assert not changed(other, state(one))
    gradients = [(p.grad, q.grad) for p, q in zip(*(n.parameters() for n in nets), strict=True)]
    assert all(q is None if p is None else torch.equal(p, q) for p, q in gradients)
    assert any(p is not None for p, _ in gradients)


def test_a_graph_is_kept_of_the_active_candidate_only() -> None:
    def kept(members: list[Members], **how: bool) -> int:
        storages: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            storages[tensor.untyped_storage().data_ptr()] = tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            held = net.forward_gates(images(), members, **how)
        assert held[0].requires_grad
        return sum(storages.values())

    net = supernet()
    alone = kept(PAIRS, recompute=True)
    assert kept(ALL, recompute=True) == alone
    output = 6 * 4 * 5 * 5
    # Of the inactive candidates no more than their outputs is kept: zero, three and two of them.
    assert kept(PAIRS) <= alone + 2 * output
    assert kept(ALL) <= alone + 5 * output
    assert kept(ALL, checkpointed=True, recompute=True) < alone


def test_members_of_other_blocks_are_refused() -> None:
    with pytest.raises(InputError, match="members of 2 blocks"):
        supernet().forward_gates(images(), PAIRS[:2])


def stopped(net: Supernet, recompute: bool, checkpointed: bool) -> None:
    """Run into a candidate that stops, in the forward or in the backward pass."""
    logits, gates = net.forward_gates(
        images(), PAIRS, recompute=recompute, checkpointed=checkpointed
    )
    torch.autograd.grad(F.cross_entropy(logits, LABELS), gates)


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("checkpointed", [False, True])
def test_nothing_stays_behind_after_an_exception(recompute: bool, checkpointed: bool) -> None:
    net = supernet().eval()
    before = state(net)
    whole, net.blocks[2][0] = net.blocks[2][0], Broken()
    with pytest.raises(RuntimeError, match="stop"):
        stopped(net, recompute, checkpointed)
    net.blocks[2][0] = whole
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    assert all(norm.track_running_stats and not norm.training for norm in norms)
    assert not changed(net, before)
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("recompute", [False, True])
def test_an_infinity_in_an_inactive_candidate_stays_out_of_the_output(recompute: bool) -> None:
    net = supernet()
    net.blocks[0][2] = Infinite()
    logits, gates = net.forward_gates(images(), ALL, recompute=recompute)
    assert logits.isfinite().all()
    first, last = torch.autograd.grad(F.cross_entropy(logits, LABELS), gates)
    assert last.isfinite().all()
    assert first.isfinite().tolist() == [True, True, False, True]


def test_counting_costs_runs_nothing() -> None:
    net = supernet()
    before = state(net)
    assert sum(op.flops for op in net.space.ops(net.space.architecture([0, 0, 0]))) > 0
    assert not changed(net, before)


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
    assert all(len(set(block)) == len(block) for pairs in drawn for block in pairs)
    assert all(pairs[1] == (0,) for pairs in drawn)
    ordered = [pairs[0] for pairs in drawn if set(pairs[0]) == {0, 1}]
    expected = float(p[0] * p[1] / (1 - p[0]) + p[1] * p[0] / (1 - p[1]))
    assert abs(len(ordered) / 4000 - expected) < 0.03
    share = sum(pair[0] == 0 for pair in ordered) / len(ordered)
    assert abs(share - 0.6 / 0.85) < 0.04


def test_all_are_drawn_with_the_active_one_by_the_probabilities() -> None:
    net = supernet()
    p = torch.tensor([0.6, 0.25, 0.1, 0.05])
    with torch.no_grad():
        net.alphas[0].copy_(p.log())
    generator = torch.Generator().manual_seed(0)
    drawn = [net.sample_all(generator) for _ in range(4000)]
    assert all([sorted(block) for block in one] == [[0, 1, 2, 3], [0], [0, 1, 2]] for one in drawn)
    active = torch.tensor([first[0] for first, _, _ in drawn])
    assert (active.bincount(minlength=4) / 4000 - p).abs().max() < 0.03


def test_sampling_survives_probabilities_that_round_to_zero() -> None:
    net = supernet()
    with torch.no_grad():
        net.alphas[0].copy_(torch.tensor([500.0, -500.0, 0.0, 0.0]))
    pairs = net.sample_pairs(torch.Generator().manual_seed(0))
    assert pairs[0][0] == 0
    assert pairs[0][1] in (1, 2, 3)


def test_odd_sizes_and_the_mobile_candidates_fit() -> None:
    net = Supernet(mobile_tiny(resolution=13, width=0.25), 0)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 13, 13, generator=generator)
    assert net(x, net.sample_paths(generator)).shape == (2, 10)
    for members in (net.sample_pairs(generator), net.sample_all(generator)):
        logits, gates = net.forward_gates(x, members)
        assert logits.shape == (2, 10)
        assert len(gates) == 9


def test_ops_that_do_not_follow_one_another_are_refused() -> None:
    space = small()
    head = (OpSpec.make("global_avg_pool", (5, 5, 5)), OpSpec.make("linear", (5,), out=2))
    with pytest.raises(InputError, match="cannot follow"):
        Supernet(ChainSpace("broken", space.stem, space.blocks, head), 0)
