from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from tiny_scores import batch, context, dead, network
from torch import Tensor, nn

from devices.errors import InputError
from search.proxies.pruning import fisher, grad_norm, grasp, snip, synflow


def loss(model: nn.Module) -> Tensor:
    inputs, targets = batch()
    return F.cross_entropy(model(inputs), targets)


def weights(model: nn.Sequential) -> list[Tensor]:
    return [model[0].weight, model[3].weight, model[7].weight]


def gradients() -> tuple[list[Tensor], tuple[Tensor, ...]]:
    model = network().train()
    return weights(model), torch.autograd.grad(loss(model), weights(model))


def test_grad_norm_adds_up_norms_of_layers() -> None:
    wanted = sum(float(gradient.square().sum().sqrt()) for gradient in gradients()[1])
    assert grad_norm(context()) == pytest.approx(wanted, rel=1e-9)


def test_snip_is_weight_times_gradient() -> None:
    wanted = sum(float((w * g).detach().abs().sum()) for w, g in zip(*gradients(), strict=True))
    assert snip(context()) == pytest.approx(wanted, rel=1e-9)


def test_grasp_is_the_slope_of_half_the_squared_gradient() -> None:
    # H g is the gradient of |g|^2 / 2, so that w H g is its slope along w.
    def half_square(scale: float) -> float:
        model = network().train()
        with torch.no_grad():
            for weight in weights(model):
                weight.mul_(scale)
        found = torch.autograd.grad(loss(model), weights(model))
        return sum(float(gradient.square().sum()) for gradient in found) / 2

    step = 1e-5
    slope = (half_square(1 + step) - half_square(1 - step)) / (2 * step)
    assert grasp(context()) == pytest.approx(-slope, rel=1e-4)


def test_fisher_squares_what_each_channel_would_change() -> None:
    model, (inputs, targets) = network().train(), batch()
    first = model[0](inputs)
    second = model[3](model[2](model[1](first)))
    value = F.cross_entropy(model[4:](second), targets)
    total = 0.0
    for output, gradient in zip(
        (first, second), torch.autograd.grad(value, (first, second)), strict=True
    ):
        for c in range(output.shape[1]):
            for i in range(len(inputs)):
                total += float((output[i, c] * gradient[i, c]).detach().sum()) ** 2 / (
                    2 * len(inputs)
                )
    assert fisher(context()) == pytest.approx(total, rel=1e-9)


def test_synflow_of_each_layer_is_the_sum_of_the_logits() -> None:
    # All is positive and linear, and biases have no part in what weights of layers before give.
    model = copy.deepcopy(network(norm=False))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.abs_()
        model[7].bias.zero_()
        logits = model(torch.ones(1, 2, 6, 6, dtype=torch.float64))
    assert synflow(context()) == pytest.approx(3 * float(logits.sum()), rel=1e-9)


def test_a_dead_network_is_a_failure() -> None:
    for proxy in (grad_norm, snip, grasp, fisher, synflow):
        with pytest.raises(InputError, match="no gradient reaches a weight"):
            proxy(context(dead()))


def test_fisher_needs_a_convolution() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(72, 3)).double()
    with pytest.raises(InputError, match="no convolution"):
        fisher(context(model))
