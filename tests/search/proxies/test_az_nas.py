from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_scores import batch, context, network
from torch import Tensor, nn

from devices.errors import InputError
from search.proxies.az_nas import az_expressivity, az_progressivity, az_trainability


def blocks() -> nn.Sequential:
    """Three parts with features, the second halves the size."""
    whole = network().train()
    return nn.Sequential(whole[:3], whole[3:5], *whole[5:])


def outputs() -> list[Tensor]:
    model, x = blocks(), batch()[0]
    found = []
    for part in model[:3]:
        x = part(x)
        found.append(x)
    return found


def entropies() -> list[float]:
    found = []
    for output in outputs():
        rows = output.detach().permute(0, 2, 3, 1).reshape(-1, output.shape[1]).numpy()
        values = np.linalg.eigvalsh(np.cov(rows.T))
        shares = values[values > 1e-12] / values.sum()
        found.append(float(-np.sum(shares * np.log(shares))))
    return found


def test_expressivity_is_the_entropy_of_principal_components() -> None:
    assert az_expressivity(context(blocks())) == pytest.approx(sum(entropies()))


def test_progressivity_is_the_least_gain() -> None:
    first, second, third = entropies()
    found = az_progressivity(context(blocks()))
    assert found == pytest.approx(min(second - first, third - second))


def test_trainability_by_explicit_products() -> None:
    found = context(blocks())
    generator = found.generator()
    first, second, third = outputs()
    terms = []
    for before, after in ((first, second), (second, third)):
        signs = torch.randint(0, 2, after.shape, generator=generator).double() * 2 - 1
        (given,) = torch.autograd.grad(after, before, signs, retain_graph=True)
        images, out, height, width = after.shape
        stride = before.shape[2] // height
        total = np.zeros((before.shape[1] * stride**2, out))
        for i in range(images):
            for y in range(height):
                for x in range(width):
                    patch = given[
                        i, :, y * stride : (y + 1) * stride, x * stride : (x + 1) * stride
                    ]
                    total += np.outer(patch.flatten().numpy(), signs[i, :, y, x].numpy())
        largest = np.linalg.norm(total / (images * height * width), 2)
        terms.append(2 - largest - 1 / (largest + 1e-6))
    assert az_trainability(found) == pytest.approx(np.mean(terms))


def test_a_block_that_does_nothing_is_a_failure() -> None:
    whole = network()
    model = nn.Sequential(whole[:3], nn.Identity(), *whole[3:])
    with pytest.raises(InputError, match="hands gradients on"):
        az_trainability(context(model))


def test_constant_features_are_a_failure() -> None:
    model = blocks()
    with torch.no_grad():
        model[1][0].weight.zero_()
    for proxy in (az_expressivity, az_progressivity):
        with pytest.raises(InputError, match="constant"):
            proxy(context(model))


def test_batch_norm_and_rectifiers_alone_are_no_block() -> None:
    whole = blocks()
    model = nn.Sequential(whole[0], nn.Sequential(nn.BatchNorm2d(3), nn.ReLU()), *whole[1:])
    assert len(context(model.double()).trace.blocks) == len(context(blocks()).trace.blocks)


def test_blocks_are_needed() -> None:
    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inside = network()

        def forward(self, x: Tensor) -> Tensor:
            return self.inside(x)

    for proxy in (az_expressivity, az_progressivity, az_trainability):
        with pytest.raises(InputError, match=r"nn.Sequential"):
            proxy(context(Whole()))
