from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.errors import InputError, MissingEntryError, UntrustworthyError
from latency_models.calibration import Calibration
from latency_models.lookup import LookupModel
from latency_models.network import SumModel
from profiler.table import LatencyTable
from search import pricing
from search.expected_latency import LatencyMatrix
from search.pricing import ChainLatency, sum_blocks
from search.spaces.base import ChainSpace
from search.spaces.mobile import mobile, mobile_tiny

TINY, MOBILE = mobile_tiny(), mobile()
ADDITIVE = Calibration(constant_ms=0.2, slope=0.9, per_op_ms=-0.001, per_megabyte_ms=0.02)
CROWDED = Calibration(
    constant_ms=0.2,
    slope=1.1,
    per_op_ms=0.003,
    per_megabyte_ms=0.05,
    crowding=0.02,
    kernel_ms={"mbconv/kernel=5": 0.01},
    kernel_crowding={"mbconv/kernel=7": -0.005},
    op_factors={op.key: 1 + i / 1000 for i, op in enumerate(MOBILE.all_ops())},
    networks=40,
    latency_low_ms=1.0,
    latency_high_ms=9.0,
    sum_low_ms=1.0,
    sum_high_ms=9.0,
)


def model_of(space: ChainSpace, calibration: Calibration, count: int | None = None) -> SumModel:
    """Over a made-up table of the first ops of a space, by default of all."""
    ops = {op: 0.01 + op.flops / 1e8 + op.bytes_moved / 1e8 for op in space.all_ops()[:count]}
    return SumModel(LookupModel(LatencyTable.from_ops("made up", ops)), calibration)


@pytest.mark.parametrize("calibration", [Calibration(), ADDITIVE, CROWDED])
@pytest.mark.parametrize("space", [TINY, MOBILE], ids=["mobile-tiny", "mobile"])
def test_networks_cost_what_the_model_says_of_their_ops(
    space: ChainSpace, calibration: Calibration
) -> None:
    model = model_of(space, calibration)
    choices = space.sample_choices(200, np.random.default_rng(0))
    wanted = model.predict_ms([space.ops(architecture) for architecture in space.decode(choices)])
    np.testing.assert_allclose(
        ChainLatency.from_model(space, model).predict_ms(choices), wanted, rtol=1e-12, atol=0
    )


def test_of_an_additive_model_prices_are_those_of_the_matrix_to_the_last_bit() -> None:
    model = model_of(MOBILE, ADDITIVE)
    choices = MOBILE.sample_choices(300, np.random.default_rng(0))
    matrix = LatencyMatrix.from_model(MOBILE, model)
    assert (
        ChainLatency.from_model(MOBILE, model).predict_ms(choices) == matrix.price(choices)
    ).all()


def test_a_tangent_is_exact_nowhere_else_but_the_parts_are_everywhere() -> None:
    model = model_of(TINY, CROWDED)
    choices = TINY.sample_choices(200, np.random.default_rng(0))
    exact = ChainLatency.from_model(TINY, model).predict_ms(choices)
    tangent = ChainLatency.from_model(TINY, model.near(3.0)).predict_ms(choices)
    assert np.abs(tangent / exact - 1).max() > 1e-3


@settings(deadline=None)
@given(st.integers(0, 3 * 64 + 1), st.integers(0, 2**32 - 1))
def test_sums_do_not_depend_on_where_the_networks_are_cut(count: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    tables = [generator.uniform(0, 2, (len(TINY.widths), 7)) for _ in range(2)]
    choices = TINY.sample_choices(count, generator)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pricing, "_ROWS", 64)
        cut = sum_blocks(TINY, [0.5, 0.25], tables, choices)
    whole = sum_blocks(TINY, [0.5, 0.25], tables, choices)
    assert cut.shape == (2, count)
    assert (cut == whole).all()
    for row, total in zip(choices.tolist(), whole.T.tolist(), strict=True):
        for start, table, one in zip([0.5, 0.25], tables, total, strict=True):
            plain = math.fsum([start, *(table[b, j] for b, j in enumerate(row))])
            assert one == pytest.approx(plain, rel=1e-12)


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.uint16, np.int32, np.int64, np.uint64])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_kind_of_whole_numbers_gives_the_same(kind: type, order: str) -> None:
    chain = ChainLatency.from_model(TINY, model_of(TINY, ADDITIVE))
    choices = TINY.sample_choices(100, np.random.default_rng(0))
    wanted = chain.predict_ms(TINY.decode(choices))
    given_ = np.array(choices, dtype=kind, order=order)
    given_.setflags(write=False)
    assert (chain.predict_ms(given_) == wanted).all()


@pytest.mark.parametrize(
    "bad", [(np.int8, -1), (np.uint8, 255), (np.int64, 256), (np.uint64, 2**64 - 1), (np.int64, 6)]
)
@pytest.mark.parametrize("row", [0, pricing._ROWS - 1, pricing._ROWS, 2 * pricing._ROWS + 4])
def test_one_choice_out_of_range_among_many_is_refused(bad: tuple[type, int], row: int) -> None:
    kind, choice = bad
    choices = np.zeros((2 * pricing._ROWS + 5, len(TINY.blocks)), kind)
    choices[row, 3] = choice
    with pytest.raises(InputError, match=f"choice {choice} in block 3"):
        ChainLatency.from_model(TINY, model_of(TINY, ADDITIVE)).predict_ms(choices)


@pytest.mark.parametrize(
    "choices",
    [
        np.zeros((0, 8), np.uint8),
        np.zeros((2, 10), np.uint8),
        np.zeros(9, np.uint8),
        np.zeros((2, 9)),
        np.zeros((2, 9), bool),
        np.zeros((2, 9), object),
    ],
)
def test_what_is_not_choices_of_the_space_is_refused(choices: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"wants whole numbers, shape \(n, 9\)"):
        ChainLatency.from_model(TINY, model_of(TINY, ADDITIVE)).predict_ms(choices)


def test_no_networks_have_no_latencies() -> None:
    for calibration in (ADDITIVE, CROWDED):
        chain = ChainLatency.from_model(TINY, model_of(TINY, calibration))
        assert chain.predict_ms([]).shape == (0,)
        assert chain.predict_ms(np.zeros((0, 9), np.uint8)).shape == (0,)


def test_a_missing_op_is_missing_at_once() -> None:
    with pytest.raises(MissingEntryError):
        ChainLatency.from_model(TINY, model_of(TINY, ADDITIVE, count=5))


@pytest.mark.parametrize("as_array", [True, False])
def test_a_latency_of_nothing_is_refused_as_the_model_refuses_it(as_array: bool) -> None:
    calibration = Calibration(constant_ms=-50.0, networks=40, sum_low_ms=60.0, sum_high_ms=90.0)
    chain = ChainLatency.from_model(TINY, model_of(TINY, calibration))
    choices = TINY.sample_choices(10, np.random.default_rng(0))
    with pytest.raises(UntrustworthyError, match="a network would take -"):
        chain.predict_ms(choices if as_array else TINY.decode(choices))
