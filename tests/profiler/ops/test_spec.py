"""OpSpec: a plain value with a canonical key."""

from __future__ import annotations

import dataclasses
import pickle
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.errors import InputError, LutierError
from profiler.ops import OpSpec, kind_of, kinds


@st.composite
def specs(draw: st.DrawFn) -> OpSpec:
    """Any op of the vocabulary, by each kind's own description of its attributes."""
    kind = kind_of(draw(st.sampled_from(kinds())))
    shape = tuple(draw(st.lists(st.integers(1, 300), min_size=kind.rank, max_size=kind.rank)))
    attributes: dict[str, int | str] = {}
    for attribute in kind.attributes:
        if attribute.default is not None and draw(st.booleans()):
            continue
        if attribute.choices:
            attributes[attribute.name] = draw(st.sampled_from(attribute.choices))
        else:
            value = draw(st.integers(attribute.least, 300))
            attributes[attribute.name] = value + 1 if attribute.odd and value % 2 == 0 else value
    return OpSpec.make(kind.name, shape, **attributes)


@given(specs())
def test_a_key_reads_back_as_the_same_op(spec: OpSpec) -> None:
    back = OpSpec.parse(spec.key)
    assert back == spec
    assert hash(back) == hash(spec)
    assert back.key == spec.key


@given(specs(), st.randoms(use_true_random=False))
def test_the_order_of_attributes_does_not_matter(spec: OpSpec, shuffler: random.Random) -> None:
    pairs = list(spec.attributes)
    shuffler.shuffle(pairs)
    assert OpSpec.make(spec.kind, spec.input_shape, **dict(pairs)).key == spec.key


@given(specs(), specs())
def test_different_ops_have_different_keys(one: OpSpec, other: OpSpec) -> None:
    assert (one == other) == (one.key == other.key)


@given(specs())
def test_an_op_survives_the_way_between_processes(spec: OpSpec) -> None:
    assert spec.flops >= 0  # fills the caches, which travel too
    copy = pickle.loads(pickle.dumps(spec))  # noqa: S301 - made here
    assert (copy, copy.key, copy.flops) == (spec, spec.key, spec.flops)


@given(st.text())
def test_any_text_is_an_op_or_an_error_of_ours(text: str) -> None:
    with pytest.raises(LutierError):
        OpSpec.parse(text)


_WORDS = ["out", "kernel", "stride", "expand", "activation", "relu6", "none", "8x8x8"]
_SIGNS = ["/", "x", ",", "=", "0", "1", "3", "16", "-1", "٣", "1.0", "9" * 12, " ", "\n"]
_PIECES = st.sampled_from([*kinds(), *_WORDS, *_SIGNS])


@given(st.lists(_PIECES, max_size=14).map("".join))
def test_text_that_is_nearly_an_op_is_an_op_or_an_error_of_ours(text: str) -> None:
    try:
        spec = OpSpec.parse(text)
    except LutierError:
        return
    assert OpSpec.parse(spec.key) == spec


def test_attributes_left_out_take_their_defaults() -> None:
    spec = OpSpec.make("conv", (3, 8, 8), out=4, kernel=3)
    assert spec.key == "conv/3x8x8/activation=relu6,kernel=3,out=4,stride=1"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "conv",
        "conv/3x8x8",
        "conv/3x8x8/out=4,kernel=3/",
        "conv/3x08x8/out=4,kernel=3",
        "conv/3x8x8x8/out=4,kernel=3",
        "conv/3x8x8/out",
        "conv/3x8x8/out=4,out=4,kernel=3",
        "conv/3x8x8/out=+4,kernel=3",
        "conv/3x8x8/out=٤,kernel=3",
        "conv/3x8x8/out=,kernel=3",
        "conv/3x8x8/out=4,kernel=3\n",
        "conv/" + "9" * 500 + "/out=4,kernel=3",
    ],
)
def test_text_that_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        OpSpec.parse(text)


def test_a_long_text_is_not_thrown_back_whole() -> None:
    with pytest.raises(InputError) as caught:
        OpSpec.parse("conv/" * 10_000)
    assert len(str(caught.value)) < 300


def test_an_op_is_frozen() -> None:
    spec = OpSpec.make("linear", (3,), out=4)
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.kind = "conv"  # type: ignore[misc]  # the point of the test


def test_an_op_gives_its_attributes_by_name() -> None:
    spec = OpSpec.make("conv", (3, 8, 8), out=4, kernel=3)
    assert spec["activation"] == "relu6"
    assert spec.integer("out") == 4
