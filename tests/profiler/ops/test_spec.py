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
            value = draw(st.integers(attribute.least, min(attribute.most, 300)))
            attributes[attribute.name] = value + 1 if attribute.odd and value % 2 == 0 else value
    return OpSpec.make(kind.name, fitting(kind.name, shape, attributes), **attributes)


def fitting(kind: str, shape: tuple[int, ...], attributes: dict[str, int | str]) -> tuple[int, ...]:
    """A shape that a kind's constraint allows; the attributes are changed in place."""
    if kind == "mbconv" and (groups := int(attributes.get("groups", 1))) > 1:
        attributes["out"] = groups * int(attributes["out"])
        attributes["expand_conv"] = "always"
        return (groups * shape[0], *shape[1:])
    if kind == "residual_block":
        return (shape[0], 2 * shape[1], 2 * shape[2])
    return shape


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


_WORDS = ["out", "kernel", "stride", "expand", "activation", "relu6", "none", "8x8x8", "groups"]
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


def test_an_attribute_added_later_leaves_older_keys_as_they_were() -> None:
    stored = "mbconv/16x32x32/expand=3,kernel=5,out=24,stride=2"
    spec = OpSpec.parse(stored)
    assert spec.key == stored
    in_full = f"{stored},activation=relu6,groups=1,expand_conv=if_wider"
    assert OpSpec.parse(in_full) == spec
    assert OpSpec.parse(in_full).key == stored


def test_an_attribute_added_later_is_in_the_key_where_it_differs() -> None:
    spec = OpSpec.make(
        "mbconv", (16, 8, 8), out=24, kernel=3, expand=6, groups=2, activation="relu"
    )
    assert spec.key == "mbconv/16x8x8/activation=relu,expand=6,groups=2,kernel=3,out=24,stride=1"


def test_a_block_that_expands_anyway_has_one_key() -> None:
    key = "mbconv/16x8x8/expand=6,kernel=3,out=24,stride=1"
    assert OpSpec.parse(f"{key},expand_conv=always") == OpSpec.parse(key)


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
