from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_scores import batch, context, dead, network

from devices.errors import InputError
from search.proxies.jacobian import jacob_cov


def test_jacob_cov_by_numpy() -> None:
    model, (inputs, _) = network().train(), batch()
    inputs.requires_grad_()
    (rows,) = torch.autograd.grad(model(inputs).sum(), inputs)
    values = np.linalg.eigvalsh(np.corrcoef(rows.flatten(1).numpy())) + 1e-5
    assert jacob_cov(context()) == pytest.approx(-np.sum(np.log(values) + 1 / values))


def test_uncorrelated_images_score_best() -> None:
    # Eigenvalues that are all 1 give -1 each.
    assert jacob_cov(context()) < -6 * (1 - 1e-4)


def test_a_network_that_does_not_look_at_its_input_has_none() -> None:
    with pytest.raises(InputError, match="has no variance"):
        jacob_cov(context(dead()))
