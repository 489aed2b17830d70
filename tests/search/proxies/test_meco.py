from __future__ import annotations

import numpy as np
import pytest
from tiny_scores import context, dead, network
from torch import nn

from devices.errors import InputError
from search.proxies.meco import meco


def test_smallest_eigenvalues_by_numpy() -> None:
    found = context()
    noise = found.noise(1, 2, 6, 6)
    model = network().train()
    first = model[0](noise)
    second = model[3](model[1:3](first))
    wanted = sum(
        np.linalg.eigvalsh(np.corrcoef(output[0].flatten(1).detach().numpy()))[0]
        for output in (first, second)
    )
    assert meco(found) == pytest.approx(wanted)


def test_channels_that_are_constant_have_none() -> None:
    with pytest.raises(InputError, match="channel is constant"):
        meco(context(dead()))


def test_it_needs_a_convolution() -> None:
    with pytest.raises(InputError, match="no convolution"):
        meco(context(nn.Sequential(nn.Flatten(), nn.Linear(72, 3)).double()))
