"""The vocabulary against torch: shapes, FLOPs and parameters of every kind are exact."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

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
    "mbconv/8x9x9/out=8,kernel=3,expand=1,activation=relu,groups=2,expand_conv=always",
    "mbconv/8x12x10/out=12,kernel=5,expand=6,stride=2,activation=relu,groups=4",
    "mbconv/2x5x5/out=4,kernel=3,expand=3,groups=2",
    "mbconv/6x7x7/out=6,kernel=3,expand=1,expand_conv=always",
    "mbconv/6x8x7/out=6,kernel=5,expand=3,activation=hswish,squeeze=5",
    "mbconv/6x8x7/out=8,kernel=3,expand=1,stride=2,activation=relu,squeeze=1",
    "mbconv/6x8x8/out=6,kernel=3,expand=2,groups=3,squeeze=4",
    "conv/3x9x8/out=8,kernel=3,stride=2,activation=hswish",
    "depthwise_conv/6x9x8/kernel=3,activation=hswish",
    "batch_norm/5x7x3/activation=hswish",
    "relu_conv/5x9x14/out=7,kernel=3,stride=2",
    "relu_conv/16x8x8/out=16,kernel=1",
    "residual_block/4x8x6/out=8,stride=2",
    "residual_block/4x7x5/out=4",
    "residual_block/4x7x5/out=6",
    "batch_norm/5x7x3/",
    "batch_norm/5x7x3/activation=relu",
    "batch_norm/5x7x3/activation=relu6",
    "add/5x7x3/",
    "add/5x7x3/inputs=3",
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

PAGE = (Path(__file__).parents[3] / "docs" / "ops.md").read_text()

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


def layer_names(key: str) -> list[str]:
    return [layer.name for layer in OpSpec.parse(key).layers]


def test_a_block_in_groups_shuffles_its_channels_once_and_multiplies_less() -> None:
    key = "mbconv/8x6x6/out=8,kernel=3,expand=3,activation=relu"
    assert layer_names(f"{key},groups=2") == ["conv", "shuffle", "conv", "conv", "add"]
    whole, halves = OpSpec.parse(key), OpSpec.parse(f"{key},groups=2")
    depthwise = 2 * 24 * 9 * 36
    assert halves.flops - depthwise == (whole.flops - depthwise) / 2


def test_fbnets_block_expands_where_it_gets_no_wider() -> None:
    key = "mbconv/8x6x6/out=8,kernel=3,expand=1"
    assert layer_names(key) == ["conv", "conv", "add"]
    assert layer_names(f"{key},expand_conv=always") == ["conv", "conv", "conv", "add"]


def test_squeeze_and_excite_stands_between_the_depthwise_and_the_last_convolution() -> None:
    names = layer_names("mbconv/8x6x6/out=12,kernel=3,expand=3,squeeze=6")
    assert names == ["conv", "conv", "pool", "linear", "linear", "activation", "scale", "conv"]


def test_hard_swish_is_a_layer_of_its_own_and_relu_is_none() -> None:
    assert layer_names("conv/3x6x6/out=4,kernel=3,activation=hswish") == ["conv", "activation"]
    assert layer_names("conv/3x6x6/out=4,kernel=3,activation=relu") == ["conv"]


def test_a_sum_of_three_is_two_additions() -> None:
    assert layer_names("add/4x6x6/inputs=3") == ["add", "add"]
    assert OpSpec.parse("add/4x6x6/inputs=3").bytes_moved == 2 * 4 * 3 * 4 * 36


@pytest.mark.parametrize(
    ("key", "shortcut"),
    [("out=8,stride=2", ["pool", "conv"]), ("out=8", ["activation", "conv"]), ("out=4", [])],
)
def test_the_shortcut_of_a_residual_block_is_as_its_shapes_ask(
    key: str, shortcut: list[str]
) -> None:
    branch = ["activation", "conv", "activation", "conv"]
    assert layer_names(f"residual_block/4x6x6/{key}") == [*branch, *shortcut, "add"]


def documented() -> dict[str, tuple[str, set[str]]]:
    """Kind to its input and its attributes, as the table of docs/ops.md has them."""
    rows = [line.split("|")[1:-1] for line in PAGE.splitlines() if line[:3] == "| `"]
    return {
        kind.strip().strip("`"): (given.strip(), set(re.findall("`([^`]+)`", attributes)))
        for kind, given, attributes, _ in (row for row in rows if len(row) == 4)
    }


def test_the_table_in_the_documentation_is_the_vocabulary() -> None:
    registered = {}
    for kind in map(kind_of, kinds()):
        attributes = set()
        for each in kind.attributes:
            written = each.name if each.default is None else f"{each.name}={each.default}"
            attributes.add(written if each.in_key else f"[{written}]")
        registered[kind.name] = ("CxHxW" if kind.rank == 3 else "features", attributes)
    assert documented() == registered


def test_every_key_in_the_documentation_is_an_op() -> None:
    keys = re.findall("`([a-z_]+/[0-9]+x[^`]*)`", PAGE)
    assert len(keys) > 10
    for key in keys:
        assert OpSpec.parse(key).output_shape


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
        (
            "mbconv",
            (6, 8, 8),
            {"out": 8, "kernel": 3, "expand": 3, "groups": 4},
            "does not divide input channels, 6",
        ),
        (
            "mbconv",
            (8, 8, 8),
            {"out": 6, "kernel": 3, "expand": 3, "groups": 4},
            "does not divide out, 6",
        ),
        (
            "mbconv",
            (8, 8, 8),
            {"out": 8, "kernel": 3, "expand": 1, "groups": 2},
            "add expand_conv=always",
        ),
        ("residual_block", (4, 8, 8), {"out": 8, "stride": 3}, "must be 1 to 2"),
        ("residual_block", (4, 8, 7), {"out": 8, "stride": 2}, "for even sizes only"),
        ("add", (4, 8, 8), {"inputs": 1}, "must be 2 to 16"),
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
