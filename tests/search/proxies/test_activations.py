from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_scores import batch, context, network
from torch import Tensor, nn

from devices.errors import InputError
from search.proxies.activations import linear_regions, naswot, swap


def patterns() -> Tensor:
    """Of the network of the tests, shape (images, units)."""
    model, (inputs, _) = network().train(), batch()
    first = model[:3](inputs)
    second = model[3:5](first)
    return torch.cat([(first > 0).flatten(1), (second > 0).flatten(1)], 1)


def test_naswot_counts_agreements() -> None:
    on = patterns().numpy()
    kernel = np.array([[np.sum(a == b) for b in on] for a in on], dtype=float)
    assert naswot(context()) == pytest.approx(np.log(np.linalg.det(kernel)))


def test_swap_counts_patterns_of_units() -> None:
    assert swap(context()) == len({tuple(unit.tolist()) for unit in patterns().T})


@pytest.mark.parametrize("samples", [61, 62, 63, 130])
def test_swap_of_many_images(samples: int) -> None:
    on = context(samples=samples)
    units = torch.cat(on.trace.patterns, 1).T
    assert swap(on) == len({tuple(unit.tolist()) for unit in units})


def test_linear_regions_count_patterns_of_images() -> None:
    found = context()
    noise = found.noise(1000, 2, 4, 4)
    model = network().train()
    first = model[:3](noise)
    on = torch.cat([(first > 0).flatten(1), (model[3:5](first) > 0).flatten(1)], 1)
    assert linear_regions(found) == len({tuple(image.tolist()) for image in on})


def test_images_of_the_same_pattern_have_no_naswot() -> None:
    model = network()
    with torch.no_grad():
        model[1].bias.fill_(100.0)
        model[3].weight.abs_()
    with pytest.raises(InputError, match="singular"):
        naswot(context(model))


def test_a_network_without_rectifiers_has_none() -> None:
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3)).double()
    for proxy in (naswot, swap, linear_regions):
        with pytest.raises(InputError, match="no ReLU"):
            proxy(context(model))
