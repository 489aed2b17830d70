"""The YAML of ProxylessNAS and once-for-all, in and out."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from devices.environment import Environment
from devices.errors import InputError, MissingEntryError
from devices.target import Target
from profiler.exchange import once_for_all, proxylessnas
from profiler.exchange.exporting import export_table
from profiler.exchange.importing import read_table
from profiler.exchange.source import Source
from profiler.ops import OpSpec
from profiler.storage.portable import PortableRow
from profiler.table import LatencyTable

PIXEL = Target.parse("pixel1/tflite?threads=1")

# Keys as the two repositories' code builds them.
PROXYLESS = {
    "Conv-input:224x224x3-output:112x112x32": "conv/3x224x224/kernel=3,out=32,stride=2",
    "expanded_conv-input:112x112x32-output:112x112x16-expand:1-kernel:3-stride:1-idskip:0": (
        "mbconv/32x112x112/expand=1,kernel=3,out=16,stride=1"
    ),
    "expanded_conv-input:14x14x96-output:14x14x96-expand:6-kernel:7-stride:1-idskip:1": (
        "mbconv/96x14x14/expand=6,kernel=7,out=96,stride=1"
    ),
    "Conv_1-input:7x7x320-output:7x7x1280": "conv/320x7x7/kernel=1,out=1280",
    "AvgPool2D-input:7x7x1280-output:1x1x1280": "global_avg_pool/1280x7x7/",
    "Logits-input:1x1x1280-output:1000": "linear/1280/out=1000",
}
ONCE_FOR_ALL = {
    "expanded_conv-input:40x40x32-output:40x40x32-expand:96-kernel:5-stride:1-idskip:1-se:0-hs:0": (
        "mbconv/32x40x40/expand=3,kernel=5,out=32,stride=1"
    ),
    "Conv_2-input:1x1x960-output:1x1x1280": "conv/960x1x1/kernel=1,out=1280",
    "Conv_1-input:7x7x160-output:7x7x960": "conv/160x7x7/kernel=1,out=960",
}


def read(text: str, file_format: str = "proxylessnas") -> object:
    return read_table(Source.of("lut.yaml", text.encode()), file_format, target=PIXEL)


@pytest.mark.parametrize(("name", "key"), PROXYLESS.items())
def test_a_key_of_proxylessnas_is_an_op_and_back(name: str, key: str) -> None:
    assert proxylessnas.spec_of(name) == OpSpec.parse(key)
    assert proxylessnas.name_of(OpSpec.parse(key)) == name


@pytest.mark.parametrize(("name", "key"), ONCE_FOR_ALL.items())
def test_a_key_of_once_for_all_is_an_op_and_back(name: str, key: str) -> None:
    assert once_for_all.spec_of(name) == OpSpec.parse(key)
    assert once_for_all.name_of(OpSpec.parse(key)) == name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Logits-input:7x7x1280-output:1000", "pool and the linear layer"),
        ("expanded_conv-input:8x8x16-output:9x9x16-expand:3-kernel:3-stride:1-idskip:1", "the key"),
        ("expanded_conv-input:8x8x16-output:8x8x16-expand:3-kernel:3-stride:1-idskip:0", "without"),
        ("expanded_conv-input:8x8x16-output:8x8x24-expand:3-kernel:3-stride:1-idskip:1", "with a"),
        ("expanded_conv-input:8x8x16-output:8x8x24-expand:3-kernel:4-stride:1-idskip:0", "odd"),
        ("expanded_conv-input:8x8x16-output:8x8x24-expand:0-kernel:3-stride:1-idskip:0", "1 to"),
        ("Conv-input:32x32x3-output:32x32x32", "gives 32x16x16"),
        ("AvgPool2D-input:7x7x8-output:2x2x8", "not a global pool"),
        ("DepthwiseConv-input:7x7x8", "not a key"),
        ("", "not a key"),
    ],
)
def test_a_key_of_no_op_of_ours_says_why(name: str, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        proxylessnas.spec_of(name)
    assert reason in f"{caught.value.what}: {caught.value.why}"


@pytest.mark.parametrize("flags", ["-se:1-hs:0", "-se:0-hs:1", "-se:1-hs:1", ""])
def test_a_block_of_once_for_all_that_ours_is_not_is_unmapped(flags: str) -> None:
    block = "expanded_conv-input:8x8x16-output:8x8x16-expand:48-kernel:3-stride:1-idskip:1"
    with pytest.raises(InputError, match=r"which the vocabulary|--format proxylessnas"):
        once_for_all.spec_of(block + flags)


@pytest.mark.parametrize("file_format", ["proxylessnas", "once-for-all"])
def test_what_is_exported_comes_back_with_the_same_values(
    file_format: str,
    rows: list[PortableRow],
    target: Target,
    machine: Environment,
    tmp_path: Path,
) -> None:
    path = tmp_path / "lut.yaml"
    written = export_table(path, file_format, str(target), machine, rows)
    # What the format has no word for is said, and it is nothing else.
    assert {listed.key.partition("/")[0] for listed in written.unmapped} == {
        "depthwise_conv",
        "mobile-tiny:000000000",
    }
    named = {row.key: (row.median_ms, row.runs) for row in rows}
    for listed in written.unmapped:
        del named[listed.key]
    back = read_table(Source.read(path), file_format, target=PIXEL)
    assert {row.key: (row.median_ms, row.runs) for row in back.screened.rows} == named
    assert (back.report.rejected, back.report.unmapped) == ((), ())
    assert back.report.derived == written.derived


@pytest.mark.parametrize("file_format", ["proxylessnas", "once-for-all"])
def test_what_is_exported_is_what_ops_take_in_a_network(
    file_format: str,
    carried_rows: list[PortableRow],
    target: Target,
    machine: Environment,
    tmp_path: Path,
) -> None:
    path = tmp_path / "lut.yaml"
    written = export_table(path, file_format, str(target), machine, carried_rows)
    assert "in a network" in path.read_text().splitlines()[0]
    unmapped = {listed.key: listed.reason for listed in written.unmapped}
    for key in ("call", "mobile-tiny:carrier"):
        assert unmapped[key] == "the format has no whole networks"
    table = LatencyTable.from_rows(str(target), machine, carried_rows)
    assert table.ops != table.alone
    back = read_table(Source.read(path), file_format, target=PIXEL).screened.rows
    assert {row.key: row.median_ms for row in back} == {
        spec.key: value for spec, value in table.ops.items() if spec.key not in unmapped
    }


def test_the_file_has_what_the_code_of_proxylessnas_asks_for(
    rows: list[PortableRow], target: Target, machine: Environment, tmp_path: Path
) -> None:
    path = tmp_path / "lut.yaml"
    written = export_table(path, "proxylessnas", str(target), machine, rows)
    lut = yaml.safe_load(path.read_text())
    medians = {row.key: row.median_ms for row in rows}
    block = "expanded_conv-input:16x16x16-output:8x8x24-expand:6-kernel:5-stride:2-idskip:0"
    assert lut[block]["mean"] == medians["mbconv/16x16x16/expand=6,kernel=5,out=24,stride=2"]
    # All after Conv_1 in one figure: measured apart, marked as a sum.
    assert written.derived == ("Logits-input:8x8x64-output:10",)
    both = medians["global_avg_pool/64x8x8/"] + medians["linear/64/out=10"]
    assert lut["Logits-input:8x8x64-output:10"]["mean"] == both


def test_a_table_without_intervals_can_be_used(tmp_path: Path) -> None:
    text = "\n".join(f"{name}: {{mean: 0.5, count: 30}}" for name in PROXYLESS)
    back = read_table(Source.of("lut.yaml", text.encode()), "proxylessnas", target=PIXEL)
    table = LatencyTable.from_rows(str(PIXEL), back.environment, back.screened.rows)
    assert table.latency_ms(OpSpec.parse("linear/1280/out=1000")) == 0.5
    assert not table.is_trustworthy
    assert table.to_dict()["rows"][0]["spread"] is None
    with pytest.raises(MissingEntryError):
        table.latency_ms(OpSpec.parse("linear/1/out=1"))


def test_rows_that_cannot_be_used_are_listed_one_by_one() -> None:
    linear = "Logits-input:1x1x{}-output:10"
    text = "\n".join(
        [
            f"{linear.format(1)}: {{mean: .nan}}",
            f"{linear.format(2)}: {{mean: -1}}",
            f"{linear.format(3)}: {{count: 3}}",
            f"{linear.format(4)}: {{mean: 1:30}}",
            f"{linear.format(5)}: [1, 2]",
            f"{linear.format(6)}: {{mean: 1}}",
            f"{linear.format(6)}: {{mean: 2}}",
            f"{linear.format(7)}: {{mean: 1, mean: 2}}",
            f"{linear.format(8)}: {{mean: 1, count: many}}",
            f"{linear.format(9)}: 0.25",
            "[a, b]: 3",
            "Pool-input:3: {mean: 1}",
        ]
    )
    report = read_table(Source.of("lut.yaml", text.encode()), "proxylessnas", target=PIXEL).report
    assert [listed.key for listed in report.unmapped] == [
        "(a key that is no text)",
        "Pool-input:3",
    ]
    reasons = {listed.key: listed.reason for listed in report.rejected}
    assert reasons[linear.format(1)] == ".nan is not a latency"
    assert reasons[linear.format(2)] == "negative: -1.0"
    assert reasons[linear.format(3)] == "no value"
    assert reasons[linear.format(4)] == "not a number: '1:30'"
    assert reasons[linear.format(7)] == "says mean twice"
    assert "differ" in reasons[linear.format(6)]
    assert len(report.rejected) == 9


def test_yaml_of_something_else_is_refused() -> None:
    with pytest.raises(InputError, match="it holds a list"):
        read("- 1\n- 2")
    with pytest.raises(InputError, match="no mapping"):
        read("hello")


@given(
    st.integers(1, 64),
    st.integers(1, 64),
    st.integers(1, 64),
    st.sampled_from([1, 3, 5, 7]),
    st.integers(1, 3),
    st.integers(1, 6),
)
def test_every_block_has_one_key_in_each_dialect(
    channels: int, size: int, out: int, kernel: int, stride: int, expand: int
) -> None:
    shape = (channels, size, size + 1)
    spec = OpSpec.make("mbconv", shape, out=out, kernel=kernel, stride=stride, expand=expand)
    assert proxylessnas.spec_of(proxylessnas.name_of(spec)) == spec
    assert once_for_all.spec_of(once_for_all.name_of(spec)) == spec
