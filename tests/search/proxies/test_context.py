from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from tiny_scores import batch, context, dead, network
from torch import nn

from devices.errors import InputError
from search.proxies.context import ScoreContext
from search.proxies.registry import proxy_names, score


def test_gradients_are_those_of_training() -> None:
    model, (inputs, targets) = network().train(), batch()
    found = ScoreContext(model, inputs, targets).loss_gradients.weights
    weights = [model[0].weight, model[3].weight, model[7].weight]
    wanted = torch.autograd.grad(F.cross_entropy(model(inputs), targets), weights)
    for one, other in zip(found, wanted, strict=True):
        assert torch.allclose(one, other, rtol=1e-9)


def test_a_trace_holds_what_layers_put_out() -> None:
    model, (inputs, targets) = network().train(), batch()
    trace = ScoreContext(model, inputs, targets).trace
    assert torch.allclose(trace.logits, model(inputs))
    first, second = trace.convolutions
    assert torch.allclose(first, model[0](inputs))
    assert second.shape == (6, 4, 3, 3)
    assert [pattern.shape for pattern in trace.patterns] == [(6, 108), (6, 36)]
    assert torch.equal(trace.patterns[1], (second > 0).flatten(1))
    assert len(trace.blocks) == 3  # two convolutions and the pool


def test_the_network_is_left_as_it_was() -> None:
    model, (inputs, targets) = network().float().train(), batch()
    state = copy.deepcopy(model.state_dict())
    model[1].eval()
    modes = [module.training for module in model.modules()]
    before = torch.random.get_rng_state()
    score(ScoreContext(model, inputs.float(), targets), proxy_names())
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_pass_is_run_once() -> None:
    model, (inputs, targets) = network(), batch()
    calls: list[int] = []
    model.register_forward_hook(lambda *_: calls.append(1))
    score(ScoreContext(model, inputs, targets), ["grad_norm", "snip", "fisher", "naswot", "swap"])
    assert len(calls) == 1


def test_dead_networks_are_named() -> None:
    with pytest.raises(InputError, match="no gradient reaches a weight"):
        _ = context(dead()).loss_gradients


def test_gradients_that_are_not_finite_are_a_failure() -> None:
    model = network()
    with torch.no_grad():
        model[7].weight.fill_(torch.inf)
    with pytest.raises(InputError, match="not finite"):
        _ = context(model).loss_gradients


@pytest.mark.parametrize(
    ("model", "match"),
    [
        (nn.Flatten(), "no convolution or linear layer"),
        (nn.Conv2d(2, 3, 3), "does not give logits"),
        (nn.Sequential(nn.Flatten(), nn.Linear(72, 1)).double(), "it has 1 classes"),
    ],
)
def test_networks_that_cannot_be_scored(model: nn.Module, match: str) -> None:
    with pytest.raises(InputError, match=match):
        _ = context(model.double()).loss_gradients


def test_a_batch_norm_of_one_value_is_refused() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(72, 4), nn.BatchNorm1d(4)).double()
    with pytest.raises(InputError, match="no variance"):
        context(model).forward(batch(1)[0])


@pytest.mark.parametrize(("images", "labels"), [(1, 1), (4, 3)])
def test_other_batches_are_refused(images: int, labels: int) -> None:
    inputs, targets = batch(4)
    with pytest.raises(InputError, match="a proxy wants"):
        ScoreContext(network(), inputs[:images], targets[:labels])
