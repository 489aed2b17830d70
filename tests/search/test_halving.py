from __future__ import annotations

import pytest

from devices.errors import InputError
from search.halving import better_half, check_rungs, planned_epochs


def test_half_is_kept_rounded_up_and_of_equals_the_fastest() -> None:
    accuracies = {"a": 0.5, "b": 0.9, "c": 0.5, "d": 0.1, "e": 0.4}
    assert better_half(accuracies, {"a": 2.0, "b": 3.0, "c": 1.0, "d": 1.0, "e": 1.0}) == {
        "a",
        "b",
        "c",
    }
    assert better_half({"a": 0.5, "c": 0.5}, {"a": 2.0, "c": 1.0}) == {"c"}
    assert better_half({"a": 0.0}, {"a": 1.0}) == {"a"}
    assert better_half({}, {}) == set()


def test_epochs_are_counted_over_all_finalists() -> None:
    assert planned_epochs(8, (1, 3), 12) == 8 * 1 + 4 * 2 + 2 * 9
    assert planned_epochs(3, (), 12) == 36


@pytest.mark.parametrize("rungs", [(3, 1), (1, 1), (0,), (12,), (-1, 2), (1, 20)])
def test_rungs_rise_and_lie_within_the_training(rungs: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="halving after epoch"):
        check_rungs(rungs, 12)


def test_no_rungs_are_fine() -> None:
    assert check_rungs((), 1) == ()
    assert check_rungs((1, 4), 12) == (1, 4)
