"""The gradient of the expected latency against finite differences, through softmax."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from search.expected_latency import LatencyMatrix
from search.spaces.base import ChainSpace
from search.spaces.cifar import proxyless_cifar
from search.spaces.mobile import mobile, mobile_tiny

STEP = 1e-5


def random_matrix(space: ChainSpace, generator: np.random.Generator) -> LatencyMatrix:
    blocks = tuple(tuple(generator.exponential(1, n).tolist()) for n in space.widths)
    return LatencyMatrix(space, float(generator.uniform(0, 2)), blocks)


def random_alphas(space: ChainSpace, generator: np.random.Generator) -> list[torch.Tensor]:
    return [torch.tensor(generator.normal(size=n), requires_grad=True) for n in space.widths]


def expected_ms(matrix: LatencyMatrix, alphas: list[torch.Tensor]) -> torch.Tensor:
    return matrix.expected_ms([torch.softmax(alpha, 0) for alpha in alphas])


def differences(alphas: list[torch.Tensor], value: Callable[[], torch.Tensor]) -> list[list[float]]:
    """Central differences of a value in each alpha, by changing one after another in place."""
    found = []
    with torch.no_grad():
        for alpha in alphas:
            row = []
            for i, kept in enumerate(alpha.tolist()):
                sides = []
                for shift in (STEP, -STEP):
                    alpha[i] = kept + shift
                    sides.append(value().item())
                alpha[i] = kept
                row.append((sides[0] - sides[1]) / (2 * STEP))
            found.append(row)
    return found


@pytest.mark.parametrize(
    "space", [mobile_tiny(), mobile(), proxyless_cifar(), mobile(depth="1-1-1-1-1-1")]
)
def test_the_gradient_in_every_alpha_is_the_slope(space: ChainSpace) -> None:
    generator = np.random.default_rng(0)
    matrix, alphas = random_matrix(space, generator), random_alphas(space, generator)
    expected_ms(matrix, alphas).backward()
    slopes = differences(alphas, lambda: expected_ms(matrix, alphas))
    for alpha, slope in zip(alphas, slopes, strict=True):
        assert alpha.grad is not None
        np.testing.assert_allclose(alpha.grad.numpy(), slope, rtol=1e-6, atol=1e-8)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_it_is_the_published_formula(seed: int) -> None:
    # dE/dalpha_i = p_i * (F_i - sum_j p_j F_j), block by block.
    generator = np.random.default_rng(seed)
    space = mobile_tiny()
    matrix, alphas = random_matrix(space, generator), random_alphas(space, generator)
    expected_ms(matrix, alphas).backward()
    for alpha, block in zip(alphas, matrix.block_ms, strict=True):
        p, ms = torch.softmax(alpha.detach(), 0), torch.tensor(block, dtype=torch.float64)
        assert alpha.grad is not None
        torch.testing.assert_close(alpha.grad, p * (ms - p @ ms))


def test_padded_probabilities_have_the_same_gradient() -> None:
    matrix = random_matrix(mobile_tiny(), np.random.default_rng(2))
    _, mask = matrix.tensor()
    scores = torch.randn(mask.shape, dtype=torch.float64, requires_grad=True)

    def value(scores: torch.Tensor) -> torch.Tensor:
        hidden = scores.masked_fill(~mask, -torch.inf)
        return matrix.expected_ms(torch.softmax(hidden, 1))

    assert torch.autograd.gradcheck(value, [scores])
