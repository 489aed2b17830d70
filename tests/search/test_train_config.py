from __future__ import annotations

import math
from typing import Any

import pytest

from devices.errors import InputError
from search.train_config import TrainConfig


@pytest.mark.parametrize(
    "change", [{"epochs": 0}, {"learning_rate": math.nan}, {"batch_size": -1}, {"max_seconds": 0}]
)
def test_settings_that_must_be_positive_are(change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="must be above zero"):
        TrainConfig(**change)


@pytest.mark.parametrize("change", [{"average_decay": 1.0}, {"label_smoothing": -0.1}])
def test_shares_are_below_one(change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="must be 0 to below 1"):
        TrainConfig(**change)


def test_mixed_precision_is_for_cuda() -> None:
    assert TrainConfig(device="cuda:0", mixed_precision=True).mixed_precision
    with pytest.raises(InputError, match="mixed precision on cpu: it is for CUDA devices"):
        TrainConfig(mixed_precision=True)
