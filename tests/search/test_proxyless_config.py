from __future__ import annotations

from typing import Any

import pytest

from devices.errors import InputError, UnknownNameError
from search.proxyless_config import GRADIENTS, LOSSES, ProxylessConfig


def test_epochs_are_those_of_both_phases() -> None:
    assert ProxylessConfig(warmup_epochs=2, search_epochs=3).epochs == 5


def test_every_name_is_taken() -> None:
    assert [ProxylessConfig(loss=name).loss for name in LOSSES] == list(LOSSES)
    assert [ProxylessConfig(gradient=name).gradient for name in GRADIENTS] == list(GRADIENTS)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"loss": "mul"}, UnknownNameError),
        ({"gradient": "one"}, UnknownNameError),
        ({"entropy_weight": -1.0}, InputError),
        ({"reward_networks": 0}, InputError),
        ({"baseline_rate": 1.5}, InputError),
        ({"loss": "lagrangian", "weight": 0.0}, InputError),
        ({"search_epochs": 0}, InputError),
        ({"warmup_epochs": -1}, InputError),
        ({"seed": -1}, InputError),
    ],
)
def test_settings_out_of_range_are_refused(change: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        ProxylessConfig(**change)
