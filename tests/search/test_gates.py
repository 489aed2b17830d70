from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_supernet import ALL, LABELS, Infinite, images, supernet
from torch import Tensor, nn
from torch.nn import functional as F

from search.batch_norm import frozen_statistics
from search.gates import gate_to_alpha, gated


def scales(*factors: float) -> list[nn.Module]:
    modules = []
    for factor in factors:
        modules.append(nn.Conv2d(1, 1, 1, bias=False))
        nn.init.constant_(modules[-1].weight, factor)
    return list(modules)


@pytest.mark.parametrize("recompute", [False, True])
def test_a_gate_has_the_gradient_of_its_output(recompute: bool) -> None:
    x = torch.tensor([[[[1.0, 2.0]]]], requires_grad=True)
    out, gates = gated(3 * x, x, scales(5.0, 7.0), recompute=recompute)
    assert torch.equal(out, 3 * x)
    assert gates.tolist() == [1, 0, 0]
    slope, into = torch.autograd.grad((out * torch.tensor([1.0, 10.0])).sum(), [gates, x])
    assert slope.tolist() == [63.0, 105.0, 147.0]
    # No gradient goes through a candidate whose gate is 0.
    assert into.flatten().tolist() == [3.0, 30.0]


@pytest.mark.parametrize("recompute", [False, True])
def test_an_infinity_behind_a_closed_gate_stays_there(recompute: bool) -> None:
    x = torch.ones(1, 1, 1, 1)
    out, gates = gated(x, x, [Infinite()], recompute=recompute)
    assert out.item() == 1
    (slope,) = torch.autograd.grad(out.sum(), gates)
    assert slope[0] == 1
    assert slope[1].isinf()


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_the_others_go_by_the_batch_and_count_nothing(recompute: bool, training: bool) -> None:
    norm = nn.BatchNorm2d(1).train(training)
    x = torch.tensor([[[[1.0, 3.0]]], [[[5.0, 7.0]]]])
    out, gates = gated(x, x, [norm], recompute=recompute)
    (slope,) = torch.autograd.grad((out * x).sum(), gates)
    wanted = (x * (x - 4) / math.sqrt(5 + norm.eps)).sum()
    torch.testing.assert_close(slope[1], wanted)
    assert norm.training == training
    assert (norm.running_mean, norm.running_var, norm.num_batches_tracked) == (0, 1, 0)


def test_recomputing_runs_the_others_in_the_backward_pass_only() -> None:
    runs: list[str] = []

    class Counted(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            runs.append(when)
            return x

    x = torch.ones(1, 1, 1, 1)
    when = "forward"
    out, gates = gated(x, x, [Counted(), Counted()], recompute=True)
    when = "backward"
    torch.autograd.grad(out.sum(), gates)
    assert runs == ["backward"] * 2


@given(st.lists(st.floats(-3, 3, width=32), min_size=2, max_size=6), st.data())
def test_alpha_gradients_are_those_of_the_softmax(alphas: list[float], data: Any) -> None:
    n = len(alphas)
    numbers = st.lists(st.floats(-5, 5, width=32), min_size=n, max_size=n)
    gradients = torch.tensor(data.draw(numbers))
    alpha = torch.tensor(alphas, requires_grad=True)
    (wanted,) = torch.autograd.grad(torch.softmax(alpha, 0) @ gradients, alpha)
    found = gate_to_alpha(gradients, alpha.detach())
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("recompute", [False, True])
def test_alpha_gradients_are_the_papers_sum_over_both_indices(recompute: bool) -> None:
    """Gate gradients by autograd of the weighted sum, then equation 4 term by term."""
    net = supernet()
    with torch.no_grad():
        for alpha in net.alphas:
            alpha.copy_(torch.linspace(-1, 1, len(alpha)))
    with frozen_statistics([net]):
        free = [torch.eye(len(block))[0].requires_grad_() for block in ALL]
        x = net.stem(images())
        for block, gates, candidates in zip(ALL, free, net.blocks, strict=True):
            ops = list(candidates.children())
            x = sum(gate * ops[j](x) for gate, j in zip(gates, block, strict=True))
        wanted = torch.autograd.grad(F.cross_entropy(net.head(x), LABELS), free)
    logits, gates = net.forward_gates(images(), ALL, recompute=recompute)
    found = torch.autograd.grad(F.cross_entropy(logits, LABELS), gates)
    for mine, block in zip(found, (0, 2), strict=True):
        alpha = net.alphas[block].detach()[list(ALL[block])]
        p, slope = torch.softmax(alpha, 0), wanted[block]
        n = len(p)
        loop = [
            sum(slope[j] * p[j] * (float(i == j) - p[i]) for j in range(n)).item() for i in range(n)
        ]
        torch.testing.assert_close(mine, slope, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(
            gate_to_alpha(mine, alpha), torch.tensor(loop), rtol=1e-4, atol=1e-6
        )


def test_in_mixed_precision_recomputing_runs_in_it_too_and_sums_in_32_bits() -> None:
    x = images(4)[:, :, ::3, ::3]
    modules = [nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)) for _ in range(2)]
    seen: list[torch.dtype] = []
    modules[0].register_forward_hook(lambda _, __, output: seen.append(output.dtype))
    slopes = []
    active = nn.Conv2d(3, 3, 1)
    for recompute in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out, gates = gated(active(x), x, modules, recompute=recompute)
            loss = (out * 1.0).square().sum()
        assert out.dtype == torch.bfloat16
        (slope,) = torch.autograd.grad(loss, gates)
        assert slope.dtype == torch.float32
        slopes.append(slope)
    assert seen == [torch.bfloat16] * 2
    assert not torch.is_autocast_enabled("cpu")
    assert torch.equal(slopes[0], slopes[1])
    # A number that 16-bit floats do not have.
    out = torch.ones(1, 1, 17, 241, dtype=torch.bfloat16)
    same, gates = gated(out, out, [nn.Identity()])
    (slope,) = torch.autograd.grad(same.float().sum(), gates)
    assert slope.tolist() == [4097.0, 4097.0]
