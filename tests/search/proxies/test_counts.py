from __future__ import annotations

import pytest
import torch
from tiny_scores import context, network
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from devices.errors import InputError
from search.proxies.counts import flops, parameters
from search.spaces.nasbench201 import NasBench201

CONVOLUTIONS = 3 * 2 * 9, 4 * 3 * 9


def test_parameters_by_hand() -> None:
    assert parameters(context()) == sum(CONVOLUTIONS) + 2 * 3 + 4 * 3 + 3


def test_flops_by_hand() -> None:
    macs = CONVOLUTIONS[0] * 36 + CONVOLUTIONS[1] * 9 + 4 * 3
    assert flops(context()) == 2 * macs


def test_parameters_that_are_not_trained_do_not_count() -> None:
    model = network()
    model[0].requires_grad_(False)
    assert parameters(context(model)) == CONVOLUTIONS[1] + 6 + 15


def test_flops_are_those_of_the_ops() -> None:
    space = NasBench201(channels=2, cells=1, resolution=8)
    architecture = space.architecture((3, 2, 4, 1, 0, 3))
    model = nn.Sequential(nn.Conv2d(2, 3, 1), space.build(architecture), nn.Flatten()).double()
    model[0] = nn.Sequential(nn.ZeroPad2d(1), nn.Conv2d(2, 3, 1))
    extra = 2 * 2 * 3 * 64
    assert flops(context(model.double())) == extra + sum(op.flops for op in space.ops(architecture))


def test_a_network_of_nothing_has_neither() -> None:
    for proxy in (parameters, flops):
        with pytest.raises(InputError, match="no score"):
            proxy(context(nn.Flatten()))


def test_flops_are_those_of_the_counter_of_torch() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inside = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.inside(x.flatten(2).transpose(1, 2)).mean(1)

    model = nn.Sequential(nn.Conv2d(2, 4, 3, groups=2), nn.GELU(), Attention()).double()
    found = context(model)
    with FlopCounterMode(display=False) as counter, torch.enable_grad():
        found.forward(found.inputs)
    assert flops(found) == counter.get_total_flops() / len(found.inputs)
