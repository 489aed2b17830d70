from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from devices.errors import InputError
from search.modes import BatchNormMode, check_has_variance, evaluating


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))


def test_modes_come_back_after_an_exception() -> None:
    model = network()
    modes: list[bool] = []

    def fail() -> None:
        with evaluating(model):
            modes.extend(module.training for module in model.modules())
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert not any(modes)
    assert all(module.training for module in model.modules())


def test_each_module_gets_its_own_mode_back() -> None:
    model = network()
    model[1].eval()
    with evaluating(model):
        assert not model[0].training
    assert [module.training for module in model] == [True, False, True, True]


class Doubling(BatchNormMode):
    """Batch norm that doubles, and leaves running statistics alone."""

    def batch_norm(self, x: Tensor, *others: object, **named: object) -> Tensor:  # type: ignore[override]  # what it ignores
        return 2 * x


def test_inside_batch_norm_is_what_was_said_and_nothing_else_is() -> None:
    norm, x = nn.BatchNorm2d(4), torch.ones(2, 4, 3, 3)
    with Doubling():
        assert torch.equal(norm(x), 2 * x)
        assert torch.equal(F.relu(-x), torch.zeros_like(x))
    assert torch.equal(norm.running_mean, torch.zeros(4))
    assert not torch.equal(norm(x), 2 * x)


def test_one_value_a_channel_has_no_variance() -> None:
    check_has_variance(torch.ones(1, 4, 2, 1))
    with pytest.raises(InputError, match="one value per channel has no variance"):
        check_has_variance(torch.ones(1, 4, 1, 1))
