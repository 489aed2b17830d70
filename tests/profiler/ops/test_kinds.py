"""The vocabulary against torch: shapes, FLOPs and parameters of every kind are exact."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from devices.errors import InputError, UnknownNameError
from profiler.builders.modules import build_op
from profiler.ops import OpSpec, kind_of, kinds
from profiler.ops.kinds import register

KEYS = [
    "conv/3x32x32/out=16,kernel=3,stride=2",
    "conv/5x9x14/out=7,kernel=5,stride=2,activation=relu",
    "conv/8x1x1/out=12,kernel=1,activation=none",
    "conv/2x3x2/out=3,kernel=7,stride=3",
    "depthwise_conv/6x15x11/kernel=3,stride=2",
    "depthwise_conv/1x8x8/kernel=7",
    "depthwise_conv/4x2x3/kernel=5,stride=4,activation=none",
    "mbconv/8x16x16/out=8,kernel=3,stride=1,expand=6",
    "mbconv/8x16x16/out=12,kernel=5,stride=1,expand=3",
    "mbconv/8x13x7/out=8,kernel=7,stride=2,expand=3",
    "mbconv/16x9x9/out=16,kernel=3,stride=1,expand=1",
    "mbconv/1x5x5/out=2,kernel=3,stride=2,expand=1",
    "avg_pool/4x9x6/kernel=3,stride=2",
    "avg_pool/4x2x2/kernel=7",
    "max_pool/4x9x6/kernel=3,stride=2",
    "max_pool/3x5x5/kernel=5,stride=3",
    "max_pool/3x5x5/kernel=1,stride=4",
    "global_avg_pool/12x7x5/",
    "linear/1280/out=1000",
    "linear/1/out=1",
    "identity/4x9x6/",
    "zero/4x9x6/",
    "zero/4x9x6/stride=2",
]

every_op = pytest.mark.parametrize("key", KEYS)


def test_every_kind_is_checked_here() -> None:
    assert {OpSpec.parse(key).kind for key in KEYS} == set(kinds())


@every_op
def test_the_output_shape_is_the_modules(key: str) -> None:
    spec = OpSpec.parse(key)
    with torch.no_grad():
        output = build_op(spec).eval()(torch.zeros(2, *spec.input_shape))
    assert tuple(output.shape) == (2, *spec.output_shape)


@every_op
def test_flops_are_what_torch_counts(key: str) -> None:
    spec = OpSpec.parse(key)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        build_op(spec).eval()(torch.zeros(1, *spec.input_shape))
    assert spec.flops == counter.get_total_flops()


@every_op
def test_parameters_are_the_modules(key: str) -> None:
    spec = OpSpec.parse(key)
    assert spec.parameters == sum(p.numel() for p in build_op(spec).parameters())


@every_op
def test_an_op_is_free_exactly_where_it_has_no_layer(key: str) -> None:
    spec = OpSpec.parse(key)
    assert spec.is_free == (not spec.layers)


def test_an_inverted_residual_is_priced_layer_by_layer() -> None:
    spec = OpSpec.parse("mbconv/8x16x16/out=8,kernel=3,stride=1,expand=6")
    hidden, positions = 48, 16 * 16
    elements = [
        8 * positions + (8 * hidden + hidden) + hidden * positions,
        hidden * positions + (hidden * 9 + hidden) + hidden * positions,
        hidden * positions + (hidden * 8 + 8) + 8 * positions,
        3 * 8 * positions,
    ]
    assert [layer.bytes_moved for layer in spec.layers] == [4 * n for n in elements]
    assert spec.bytes_moved == 4 * sum(elements)


def test_a_strided_inverted_residual_adds_nothing() -> None:
    names = [layer.name for layer in OpSpec.parse(KEYS[9]).layers]
    assert names == ["conv", "conv", "conv"]


@pytest.mark.parametrize(
    ("kind", "shape", "attributes", "message"),
    [
        ("conv", (3, 8), {"out": 4, "kernel": 3}, "cannot take input"),
        ("conv", (3, 8, 0), {"out": 4, "kernel": 3}, "at least 1"),
        ("conv", (3, 8, 8.5), {"out": 4, "kernel": 3}, "cannot take input"),
        ("conv", (3, 8, "8"), {"out": 4, "kernel": 3}, "cannot take input"),
        ("linear", (3, 8, 8), {"out": 4}, "wants features"),
        ("conv", (3, 8, 8), {"kernel": 3}, "conv needs out"),
        ("conv", (3, 8, 8), {"out": 4, "kernel": 4}, "must be odd"),
        ("conv", (3, 8, 8), {"out": 0, "kernel": 3}, "must be 1 to"),
        ("conv", (3, 8, 8), {"out": 2.0, "kernel": 3}, "not a whole number"),
        ("conv", (3, 8, 8), {"out": True, "kernel": 3}, "not a whole number"),
        ("conv", (3, 8, 8), {"out": 1 << 40, "kernel": 3}, "must be 1 to"),
    ],
)
def test_an_op_that_cannot_be_is_refused(
    kind: str, shape: tuple[int, ...], attributes: dict[str, int], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        OpSpec.make(kind, shape, **attributes)


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("mbcon/8x8x8/out=8,kernel=3,expand=6", "mbconv"),
        ("mbconv/8x8x8/out=8,kernel=3,expnd=6", "expand"),
        ("conv/8x8x8/out=8,kernel=3,activation=rlu6", "relu6"),
    ],
)
def test_a_misspelt_word_is_answered_with_the_nearest(key: str, nearest: str) -> None:
    with pytest.raises(UnknownNameError, match=f"Try: .*{nearest}"):
        OpSpec.parse(key)


def test_a_taken_name_is_not_registered_again() -> None:
    with pytest.raises(InputError, match="registered already"):
        register(dataclasses.replace(kind_of("conv")))
