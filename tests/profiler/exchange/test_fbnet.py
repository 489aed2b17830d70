"""Latency tables of FBNet's public code."""

from __future__ import annotations

import itertools
import json

import pytest

from devices.errors import InputError
from devices.target import Target
from profiler.exchange.fbnet import layers
from profiler.exchange.importing import ImportedTable, read_table
from profiler.exchange.source import Source
from profiler.ops import OpSpec

PI = Target.parse("pi/torch?threads=1")


def read(text: str) -> ImportedTable:
    return read_table(Source.of("lookup_table.txt", text.encode()), "fbnet", target=PI)


def lookup_table(ops: str, figure: str = "1500.0") -> str:
    return "\n".join([ops, *(" ".join([figure] * len(ops.split())) for _ in range(22))])


def test_the_layers_are_those_of_the_paper() -> None:
    found = layers()
    assert len(found) == 22
    assert found[0] == ((16, 112, 112), 16, 1)
    assert found[1] == ((16, 112, 112), 24, 2)
    assert found[2] == ((24, 56, 56), 24, 1)
    assert found[-1] == ((184, 7, 7), 352, 1)
    for (_, out, _), (shape, _, _) in itertools.pairwise(found):
        assert shape[0] == out


def test_what_the_vocabulary_has_is_mapped_and_the_rest_is_listed() -> None:
    table = read(lookup_table("ir_k3_e1 ir_k5_s2 ir_k5_e3 skip ir_k3_e6_se zip"))
    report = table.report
    assert report.unit == "us"
    names = {listed.key: listed.reason for listed in report.unmapped}
    assert "no node" in names["layer 3 skip"]
    assert "squeeze-and-excite" in names["layer 9 ir_k3_e6_se"]
    assert "no such op" in names["layer 22 zip"]
    blocks = {row.key for row in table.screened.rows if row.key.startswith("mbconv/")}
    for words in (
        {"kernel": 3, "expand": 1, "expand_conv": "always"},
        {"kernel": 5, "expand": 1, "expand_conv": "always", "groups": 2},
        {"kernel": 5, "expand": 3},
    ):
        spec = OpSpec.make("mbconv", (16, 112, 112), out=24, stride=2, activation="relu", **words)
        assert spec.key in blocks
    # A skip that changes the shape is a 1x1 convolution; six of the layers do.
    skips = [row for row in table.screened.rows if row.key.startswith("conv/")]
    assert {row.median_ms for row in table.screened.rows} == {1.5}
    assert len(skips) == 6
    assert "conv/16x112x112/activation=relu,kernel=1,out=24,stride=2" in {s.key for s in skips}


def test_layers_of_one_shape_are_joined() -> None:
    rows = [["1000", "7"][layer == ((24, 56, 56), 24, 1)] for layer in layers()]
    text = "\n".join(["skip", *rows])
    assert (
        "layers of one shape were joined by the median of their figures" in read(text).report.notes
    )


def test_a_figure_that_is_none_is_rejected_alone() -> None:
    lines = lookup_table("skip").splitlines()
    lines[2] = "nan"
    report = read("\n".join(lines)).report
    assert [(listed.key, listed.reason) for listed in report.rejected] == [
        ("layer 2 skip", "nan is not a latency")
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ir_k3_e1 skip\n1 2\n3 4", "22 lines"),
        ("1 2 3", "op names"),
        ("[null, [1.5, 2.5]]", "latencies without ops"),
        ("{}", "op, input_shapes and latency"),
        ("[1", "not JSON"),
    ],
)
def test_another_file_is_refused(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read(text)


def item(kind: str, shape: list[int], latency: float = 2.0, **info: object) -> dict[str, object]:
    return {"op": {"type": kind, "info": info}, "input_shapes": [shape], "latency": latency}


def test_items_of_mobile_vision_are_mapped() -> None:
    square = {"kernel_size": [3, 3], "stride": [2, 2], "padding": [1, 1], "dilation": [1, 1]}
    items = [
        item("Conv2d", [1, 3, 32, 32], in_channels=3, out_channels=8, groups=1, **square),
        item("Conv2d", [1, 8, 32, 32], in_channels=8, out_channels=8, groups=8, **square),
        item("Conv2d", [1, 8, 32, 32], in_channels=8, out_channels=8, groups=2, **square),
        item("Linear", [1, 64], in_features=64, out_features=10),
        item("AdaptiveAvgPool2d", [1, 64, 7, 7], output_size=1),
        item("Linear", [8, 64], in_features=64, out_features=10),
        item("MatMul", [1, 64]),
        {"op": None, "input_shapes": 3, "latency": 1},
    ]
    table = read(json.dumps(items))
    assert [row.key for row in table.screened.rows] == [
        "conv/3x32x32/activation=none,kernel=3,out=8,stride=2",
        "depthwise_conv/8x32x32/activation=none,kernel=3,stride=2",
        "linear/64/out=10",
        "global_avg_pool/64x7x7/",
    ]
    assert len(table.report.unmapped) == 4
    assert {row.median_ms for row in table.screened.rows} == {2.0}
