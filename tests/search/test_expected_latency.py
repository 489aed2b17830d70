from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from devices.errors import BudgetError, InputError, MissingEntryError
from profiler.ops import OpSpec
from search.architecture import Architecture
from search.budget import format_ms
from search.expected_latency import LatencyMatrix
from search.spaces.base import ChainSpace
from search.spaces.mobile import mobile, mobile_tiny


class FakeModel:
    """A network costs 0.25 ms, plus for each op a thousandth of a ms for each kFLOP."""

    constant_ms = 0.25

    def __init__(self, missing: OpSpec | None = None) -> None:
        self.missing = missing
        self.questions: list[tuple[OpSpec, ...]] = []

    def contributions_ms(self, specs: Sequence[OpSpec]) -> np.ndarray:
        self.questions.append(tuple(specs))
        if self.missing in specs:
            raise MissingEntryError(f"{self.missing} is not in the table")
        return np.array([spec.flops * 1e-6 for spec in specs])

    def predict_ms(self, networks: Sequence[Sequence[OpSpec]]) -> np.ndarray:
        return np.array([self.constant_ms + self.contributions_ms(n).sum() for n in networks])


def random_matrix(space: ChainSpace, seed: int) -> LatencyMatrix:
    generator = np.random.default_rng(seed)
    return LatencyMatrix(
        space, 0.5, tuple(tuple(generator.uniform(0, 2, width).tolist()) for width in space.widths)
    )


TINY = mobile_tiny()


def test_prices_are_those_of_the_model() -> None:
    matrix = LatencyMatrix.from_model(TINY, FakeModel())
    generator = np.random.default_rng(0)
    architectures = [TINY.sample(generator) for _ in range(50)]
    networks = [TINY.ops(architecture) for architecture in architectures]
    assert matrix.price(architectures) == pytest.approx(FakeModel().predict_ms(networks))


def test_the_model_is_asked_once_for_each_distinct_op() -> None:
    model = FakeModel()
    LatencyMatrix.from_model(TINY, model)
    assert model.questions == [TINY.all_ops()]


@pytest.mark.parametrize("missing", [TINY.stem[0], TINY.blocks[4][2], TINY.head[-1]])
def test_a_missing_op_is_missing_at_once(missing: OpSpec) -> None:
    with pytest.raises(MissingEntryError, match="not in the table"):
        LatencyMatrix.from_model(TINY, FakeModel(missing))


def test_stem_and_head_are_part_of_the_constant_and_skipping_is_free() -> None:
    matrix = LatencyMatrix.from_model(TINY, FakeModel())
    fixed_ms = sum(op.flops for op in (*TINY.stem, *TINY.head)) * 1e-6
    assert matrix.constant_ms == pytest.approx(0.25 + fixed_ms)
    skips = [b[-1] for b, ops in zip(matrix.block_ms, TINY.blocks, strict=True) if ops[-1].is_free]
    assert skips == [0.0] * 6


def test_a_price_does_not_depend_on_its_neighbours() -> None:
    matrix = random_matrix(mobile(), 0)
    generator = np.random.default_rng(1)
    architectures = [matrix.space.sample(generator) for _ in range(100)]
    together = matrix.price(architectures)
    assert together.tolist() == [matrix.price([a])[0] for a in architectures]
    assert together.tolist() == matrix.price(matrix.space.encode(architectures)).tolist()


def test_no_architectures_cost_no_entries() -> None:
    assert random_matrix(TINY, 0).price([]).shape == (0,)


def test_fastest_and_slowest_are_those_of_the_enumeration() -> None:
    pool = OpSpec.make("global_avg_pool", TINY.blocks[2][0].output_shape)
    head = (pool, OpSpec.make("linear", pool.output_shape, out=10))
    space = ChainSpace("short", TINY.stem, TINY.blocks[:3], head)
    matrix = random_matrix(space, 0)
    architectures = list(space.enumerate())
    latency_ms = matrix.price(architectures)
    fastest, slowest = int(latency_ms.argmin()), int(latency_ms.argmax())
    assert matrix.fastest() == (architectures[fastest], latency_ms[fastest])
    assert matrix.slowest() == (architectures[slowest], latency_ms[slowest])


@pytest.mark.parametrize(
    ("choices", "why"),
    [
        (np.zeros((2, 8), np.int64), "shape"),
        (np.zeros(9, np.int64), "shape"),
        (np.zeros((2, 9)), "whole numbers"),
        (np.full((2, 9), -1), "choice -1"),
        (np.full((2, 9), 6), "choice 6"),
    ],
)
def test_choices_that_do_not_exist_are_refused(choices: np.ndarray, why: str) -> None:
    with pytest.raises(InputError, match=why):
        random_matrix(TINY, 0).price(choices)


def test_an_architecture_of_another_space_is_refused() -> None:
    with pytest.raises(InputError, match="not of the space"):
        random_matrix(TINY, 0).price([Architecture("mobile", (0,) * 9)])


@pytest.mark.parametrize(
    ("constant_ms", "block_ms", "why"),
    [
        (1.0, ((1.0,),), "blocks of"),
        (math.nan, random_matrix(TINY, 0).block_ms, "not all finite"),
        (1.0, ((math.inf,) * 6, *random_matrix(TINY, 0).block_ms[1:]), "not all finite"),
    ],
)
def test_a_matrix_needs_one_finite_latency_a_candidate(
    constant_ms: float, block_ms: tuple[tuple[float, ...], ...], why: str
) -> None:
    with pytest.raises(InputError, match=why):
        LatencyMatrix(TINY, constant_ms, block_ms)


@given(st.integers(0, 2**32 - 1))
def test_expectation_of_a_sure_choice_is_its_price(seed: int) -> None:
    matrix = random_matrix(TINY, seed)
    architecture = TINY.sample(np.random.default_rng(seed))
    sure = [
        torch.nn.functional.one_hot(torch.tensor(choice), width).double()
        for choice, width in zip(architecture.choices, TINY.widths, strict=True)
    ]
    expected = matrix.expected_ms(sure).item()
    assert expected == pytest.approx(matrix.price([architecture])[0], rel=1e-12)


def test_expectation_is_the_mean_price_of_sampled_architectures() -> None:
    matrix = random_matrix(TINY, 0)
    generator = np.random.default_rng(0)
    sampled_ms = matrix.price([TINY.sample(generator) for _ in range(20_000)])
    uniform = [torch.full((width,), 1 / width) for width in TINY.widths]
    error = 4 * sampled_ms.std() / math.sqrt(len(sampled_ms))
    assert matrix.expected_ms(uniform).item() == pytest.approx(sampled_ms.mean(), abs=error)


def test_gradient_of_the_expectation_is_the_matrix() -> None:
    matrix = random_matrix(TINY, 0)
    probabilities = [
        torch.full((width,), 1 / width, dtype=torch.float64, requires_grad=True)
        for width in TINY.widths
    ]
    matrix.expected_ms(probabilities).backward()
    for probability, block in zip(probabilities, matrix.block_ms, strict=True):
        assert probability.grad is not None
        assert probability.grad.tolist() == list(block)


def test_padded_probabilities_give_the_same_and_padding_is_ignored() -> None:
    matrix = random_matrix(TINY, 0)
    generator = torch.Generator().manual_seed(0)
    blocks = [torch.rand(width, generator=generator) for width in TINY.widths]
    values, mask = matrix.tensor()
    padded = torch.full(values.shape, math.nan)
    padded[mask] = torch.cat(blocks)
    padded.requires_grad_()
    expected = matrix.expected_ms(padded)
    assert expected.item() == pytest.approx(matrix.expected_ms(blocks).item(), rel=1e-6)
    expected.backward()
    assert padded.grad is not None
    assert torch.equal(padded.grad, values.float())


def test_the_padded_matrix_marks_its_candidates() -> None:
    matrix = random_matrix(TINY, 0)
    values, mask = matrix.tensor(torch.float32)
    assert values.dtype == torch.float32
    assert mask.sum(1).tolist() == list(TINY.widths)
    assert values[~mask].eq(0).all()
    assert values[mask].tolist() == pytest.approx([ms for block in matrix.block_ms for ms in block])


@pytest.mark.parametrize(
    "probabilities", [[torch.ones(6)] * 9, [torch.ones(7)] * 9, [], torch.ones(9, 6)]
)
def test_probabilities_of_other_shapes_are_refused(
    probabilities: list[torch.Tensor] | torch.Tensor,
) -> None:
    with pytest.raises(InputError, match="wants"):
        random_matrix(TINY, 0).expected_ms(probabilities)


def test_a_budget_below_the_fastest_network_names_it() -> None:
    matrix = random_matrix(TINY, 0)
    fastest, fastest_ms = matrix.fastest()
    assert matrix.check_budget(fastest_ms) == fastest_ms
    with pytest.raises(BudgetError, match=fastest.id) as caught:
        matrix.check_budget(math.nextafter(fastest_ms, 0))
    assert caught.value.exit_code == 5
    hinted_ms = float(caught.value.hint.split()[-1].removesuffix("ms"))
    assert fastest_ms <= matrix.check_budget(hinted_ms) <= fastest_ms * 1.01


def test_a_budget_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(InputError, match="not a number"):
        random_matrix(TINY, 0).check_budget(math.nan)


def test_a_budget_in_the_wrong_unit_is_told_the_range() -> None:
    matrix = random_matrix(TINY, 0)
    fastest_ms, slowest_ms = matrix.fastest()[1], matrix.slowest()[1]
    middle_ms = (fastest_ms + slowest_ms) / 2
    for budget_ms in (fastest_ms, slowest_ms, 99 * slowest_ms):
        matrix.check_scale(budget_ms)
    with pytest.raises(BudgetError) as told:
        matrix.check_scale(1000 * middle_ms)
    line = str(told.value)
    assert f"predicted at {format_ms(fastest_ms)} to {format_ms(slowest_ms)}" in line
    assert f"{middle_ms:.6g}ms, if another unit was meant" in line
    with pytest.raises(BudgetError, match=f"{middle_ms:.6g}ms, if another unit was meant"):
        matrix.check_budget(middle_ms / 1000)
    with pytest.raises(BudgetError, match="is far above what") as told:
        matrix.check_scale(2000 * slowest_ms)
    assert "another unit" not in str(told.value)
