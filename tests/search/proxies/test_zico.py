from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from tiny_scores import batch, context, dead, network

from devices.errors import InputError
from search.proxies.context import ScoreContext
from search.proxies.zico import zico, zico_signed

Array = npt.NDArray[np.float64]


def by_hand(of: Callable[[Array], Array]) -> float:
    """With the deviation of what a function makes of the gradients."""
    model, (inputs, targets) = network().train(), batch()
    weights = [model[0].weight, model[3].weight, model[7].weight]
    halves = []
    for part in (slice(0, 3), slice(3, 6)):
        loss = F.cross_entropy(model(inputs[part]), targets[part])
        halves.append([g.numpy().ravel() for g in torch.autograd.grad(loss, weights)])
    total = 0.0
    for layer in zip(*halves, strict=True):
        gradients = np.array(layer)
        deviation = np.std(of(gradients), axis=0)
        mean = np.mean(np.abs(gradients), axis=0)
        total += np.log(np.sum(mean[deviation > 0] / deviation[deviation > 0]))
    return total


def test_the_formula() -> None:
    assert zico(context()) == pytest.approx(by_hand(np.abs))


def test_the_code() -> None:
    assert zico_signed(context()) == pytest.approx(by_hand(lambda gradients: gradients))


def test_gradients_that_do_not_vary_have_none() -> None:
    inputs, targets = batch(3)
    twice = ScoreContext(network(), inputs.repeat(2, 1, 1, 1), targets.repeat(2))
    with pytest.raises(InputError, match="no gradient varies"):
        zico(twice)


def test_a_dead_network_and_a_batch_too_small() -> None:
    with pytest.raises(InputError, match="no gradient reaches"):
        zico(context(dead()))
    with pytest.raises(InputError, match="fewer than four images"):
        zico(context(samples=3))
