from __future__ import annotations

import math

import pytest
import torch
from tiny_scores import batch, context, network

from devices.errors import InputError
from search.gradient_kernel import mean_gram
from search.proxies.mgm import mgm, mgm_batch, mgm_layers, mgm_per_parameter


def test_mgm_is_the_mean_gram() -> None:
    assert mgm(context()) == pytest.approx(mean_gram(network(), batch()[0]))


def test_mgm_batch_is_the_mean_of_the_explicit_gram_matrix() -> None:
    model, (inputs, _) = network().train(), batch()
    weights = [model[0].weight, model[3].weight, model[7].weight]
    rows = []
    for i in range(len(inputs)):
        gradients = torch.autograd.grad(model(inputs)[i].sum(), weights)
        rows.append(torch.cat([gradient.flatten() for gradient in gradients]))
    gram = torch.stack(rows) @ torch.stack(rows).T
    assert mgm_batch(context()) == pytest.approx(float(gram.mean()), rel=1e-9)


def test_mgm_of_each_tensor_alone() -> None:
    total = 0.0
    for name, _ in network().named_parameters():
        model = network()
        for other, parameter in model.named_parameters():
            parameter.requires_grad_(other == name)
        total += math.log1p(mean_gram(model, batch()[0]))
    assert mgm_layers(context()) == pytest.approx(total)


def test_mgm_per_parameter_is_its_mean_square() -> None:
    count = sum(p.numel() for p in network().parameters())
    assert mgm_per_parameter(context()) == pytest.approx(mgm(context()) / count)


def test_a_network_without_parameters_has_none() -> None:
    for proxy in (mgm, mgm_batch, mgm_layers, mgm_per_parameter):
        with pytest.raises(InputError):
            proxy(context(torch.nn.Flatten()))
