from __future__ import annotations

import json
import math

import numpy as np
import pytest
from rich.console import Console

from devices.errors import InputError
from latency_models.evaluate import evaluate


def test_figures_of_known_errors() -> None:
    found = evaluate([1.04, 1.8, 3.3, 4.0], [1.0, 2.0, 3.0, 4.0], noise_floor=0.01)
    assert found.n == 4
    assert found.mape == pytest.approx((0.04 + 0.1 + 0.1 + 0) / 4)
    assert found.bias == pytest.approx((0.04 - 0.1 + 0.1 + 0) / 4)
    assert found.within_5 == 0.5
    assert found.rmse_ms == pytest.approx(math.sqrt((0.04**2 + 0.2**2 + 0.3**2) / 4))
    assert found.spearman == pytest.approx(1)
    assert found.kendall == pytest.approx(1)
    assert found.noise_floor == 0.01


def test_perfect_predictions_have_no_error() -> None:
    values = np.linspace(1, 2, 5)
    found = evaluate(values, values)
    assert (found.mape, found.bias, found.rmse_ms) == (0, 0, 0)
    assert (found.within_5, found.within_10) == (1, 1)


def test_a_reversed_order_shows_in_the_ranks() -> None:
    found = evaluate([3, 2, 1], [1, 2, 3])
    assert (found.spearman, found.kendall) == (pytest.approx(-1), pytest.approx(-1))


@pytest.mark.parametrize(("predicted", "measured"), [([1, 2], [1, 2]), ([1, 1, 1], [1, 2, 3])])
def test_ranks_that_are_not_defined_are_none_in_json(
    predicted: list[float], measured: list[float]
) -> None:
    found = evaluate(predicted, measured)
    assert math.isnan(found.spearman)
    text = json.dumps(found.to_dict(), allow_nan=False)
    assert json.loads(text)["spearman"] is None


@pytest.mark.parametrize(
    ("predicted", "measured"),
    [
        ([], []),
        ([1.0], [1.0, 2.0]),
        ([[1.0]], [[1.0]]),
        ([1.0], [0.0]),
        ([1.0], [-1.0]),
        ([1.0], [math.nan]),
        ([math.nan], [1.0]),
        ([math.inf], [1.0]),
    ],
)
def test_what_cannot_be_compared_is_refused(predicted: list[float], measured: list[float]) -> None:
    with pytest.raises(InputError):
        evaluate(predicted, measured)


@pytest.mark.parametrize(("floor", "shown"), [(0.012, "1.20%"), (None, "not known")])
def test_prints_itself(floor: float | None, shown: str) -> None:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(evaluate([1.0, 2.0, 3.3], [1.0, 2.0, 3.0], floor))
    assert "3.33%" in capture.get()
    assert shown in capture.get()
