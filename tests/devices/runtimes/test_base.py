"""What the runtimes share: how a call is timed, and on what input."""

from __future__ import annotations

import numpy as np
import pytest

from devices.runtimes.base import example_input, time_calls_ms


@pytest.mark.parametrize(("warmup", "runs"), [(0, 1), (3, 2), (0, 0)])
def test_only_the_runs_after_the_warm_up_are_timed(warmup: int, runs: int) -> None:
    calls: list[None] = []
    timings = time_calls_ms(lambda: calls.append(None), warmup=warmup, runs=runs)
    assert len(calls) == warmup + runs
    assert len(timings) == runs
    assert all(timing > 0 for timing in timings)


def test_a_longer_call_takes_longer() -> None:
    short = time_calls_ms(lambda: sum(range(10)), warmup=1, runs=5)
    long = time_calls_ms(lambda: sum(range(100_000)), warmup=1, runs=5)
    assert min(long) > min(short)


def test_what_a_call_raises_comes_through() -> None:
    def fail() -> None:
        raise KeyError("inside")

    with pytest.raises(KeyError, match="inside"):
        time_calls_ms(fail, warmup=0, runs=1)


def test_the_input_is_fixed_and_neither_zero_nor_denormal() -> None:
    values = example_input((2, 3, 32, 32))
    assert values.shape == (2, 3, 32, 32)
    assert values.dtype == np.float32
    assert np.array_equal(values, example_input((2, 3, 32, 32)))
    assert np.abs(values).min() > np.finfo(np.float32).tiny
    assert abs(values.mean()) < 0.05
    assert abs(values.std() - 1) < 0.05


def test_drawing_the_input_leaves_the_global_generator_alone() -> None:
    before = np.random.get_state(legacy=False)["state"]["key"].copy()
    example_input((4,))
    assert np.array_equal(np.random.get_state(legacy=False)["state"]["key"], before)
