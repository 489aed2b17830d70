from __future__ import annotations

import pytest

from latency_models.domain import Domain
from profiler.ops import OpSpec


def block(channels: int = 16, size: int = 16, kernel: int = 3, expand: int = 3) -> OpSpec:
    return OpSpec.make("mbconv", (channels, size, size), out=24, kernel=kernel, expand=expand)


MEASURED = Domain.of(
    "mbconv", [block(), block(32, 32, 5, 6), block(16, 32, 3, 6), block(32, 16, 5, 3)]
)


@pytest.mark.parametrize("spec", [block(), block(20, 24), block(28, 28, 5, 4)])
def test_an_op_between_the_measured_ones_is_answered(spec: OpSpec) -> None:
    assert MEASURED.objection(spec) == ""


def test_a_kernel_that_was_never_measured_is_refused() -> None:
    assert "kernel 7 was never measured, only 3, 5" in MEASURED.objection(block(kernel=7))


def test_another_code_path_is_refused() -> None:
    spec = OpSpec.make("mbconv", (24, 24, 24), out=24, kernel=3, expand=3)
    assert "has_residual 1" in MEASURED.objection(spec)


def test_a_size_far_outside_is_refused_with_the_measured_range() -> None:
    objection = MEASURED.objection(block(channels=32, size=112, expand=6))
    assert "too far from what was measured" in objection


def test_a_size_that_never_varied_may_not_differ() -> None:
    single = Domain.of("mbconv", [block(kernel=3), block(kernel=5)])
    assert "input_channels 17" in single.objection(block(channels=17))


@pytest.mark.parametrize(
    ("spec", "is_outside"),
    [(block(), False), (block(20, 24), False), (block(12), True), (block(40, 32, 3, 6), True)],
)
def test_what_lies_outside_of_the_measured_range_is_said(spec: OpSpec, is_outside: bool) -> None:
    assert MEASURED.objection(spec) == ""
    assert MEASURED.is_outside(spec) == is_outside


def test_idle_channels_have_no_range() -> None:
    full = Domain.of("mbconv", [block(16), block(64)])
    assert full.objection(block(20)) == ""
