from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_scores import batch, context, dead, network

from devices.errors import InputError
from search.proxies.context import ScoreContext
from search.proxies.ntk import ntk_condition


def test_the_condition_number_by_numpy() -> None:
    model, (inputs, _) = network().train(), batch()
    weights = [model[0].weight, model[3].weight, model[7].weight]
    rows = []
    for i in range(len(inputs)):
        found = torch.autograd.grad(model(inputs)[i].sum(), weights)
        rows.append(torch.cat([gradient.flatten() for gradient in found]).numpy())
    kernel = np.array(rows) @ np.array(rows).T
    assert ntk_condition(context()) == pytest.approx(np.linalg.cond(kernel), rel=1e-6)
    assert not ntk_condition.higher_is_better


def test_sixteen_images_at_most() -> None:
    inputs, targets = batch(20)
    few = ScoreContext(network(), inputs[:16], targets[:16])
    assert ntk_condition(ScoreContext(network(), inputs, targets)) == ntk_condition(few)


def test_equal_images_make_it_singular() -> None:
    inputs, targets = batch()
    inputs[1] = inputs[0]
    with pytest.raises(InputError, match="singular"):
        ntk_condition(ScoreContext(network(), inputs, targets))


def test_a_dead_network_has_none() -> None:
    with pytest.raises(InputError, match="no gradient"):
        ntk_condition(context(dead()))
