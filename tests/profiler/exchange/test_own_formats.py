"""CSV, Parquet and JSON of our own: what goes out comes in again, to the last bit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from devices.environment import Environment
from devices.errors import InputError
from devices.target import Target
from profiler.exchange.exporting import export_table
from profiler.exchange.importing import import_table, read_table
from profiler.exchange.source import Source
from profiler.ops import OpSpec
from profiler.storage.database import MeasurementStore
from profiler.storage.portable import PortableRow
from profiler.table import LatencyTable

OWN = ("csv", "json", "parquet")


def text_of(header: str, *lines: str) -> Source:
    return Source.of("table.csv", "\n".join([header, *lines]).encode())


@pytest.mark.parametrize("file_format", OWN)
def test_a_table_comes_back_whole(
    file_format: str,
    rows: list[PortableRow],
    target: Target,
    machine: Environment,
    tmp_path: Path,
) -> None:
    path = tmp_path / "table"
    assert export_table(path, file_format, str(target), machine, rows).count == len(rows)
    back = read_table(Source.read(path), file_format)
    assert (back.report.target, back.environment) == (str(target), machine)
    assert (back.report.rejected, back.report.unmapped) == ((), ())
    marks = {"imported_from": file_format, "imported_unit": "ms"}
    expected = [replace(row, protocol={**row.protocol, **marks}) for row in rows]
    if file_format == "csv":
        expected = [replace(row, recorded=()) for row in expected]
    assert list(back.screened.rows) == expected


@pytest.mark.parametrize("file_format", OWN)
def test_an_imported_table_can_be_used_and_is_marked(
    file_format: str,
    rows: list[PortableRow],
    target: Target,
    machine: Environment,
    tmp_path: Path,
) -> None:
    path = tmp_path / "table"
    export_table(path, file_format, str(target), machine, rows)
    elsewhere = Target.parse("pi/litert?threads=1")
    with MeasurementStore(f"sqlite:///{tmp_path / 'other.db'}") as other:
        report = import_table(other, path, file_format, target=elsewhere)
        assert (report.imported, report.already_stored) == (len(rows), 0)
        again = import_table(other, path, file_format, target=elsewhere)
        assert (again.imported, again.already_stored, again.rejected) == (0, len(rows), ())
        table = LatencyTable.load(other, elsewhere)
        stored = other.portable_rows(elsewhere, machine.id)
    assert table.environment == machine
    assert {str(key): value for key, value in table.ops.items()} == {
        row.key: row.median_ms for row in rows if row.role == "op"
    }
    assert {row.protocol["imported_from"] for row in stored} == {file_format}


@pytest.mark.parametrize("file_format", OWN)
def test_a_table_with_carriers_gives_the_same_latencies_elsewhere(
    file_format: str,
    carried_rows: list[PortableRow],
    target: Target,
    machine: Environment,
    tmp_path: Path,
) -> None:
    path = tmp_path / "table"
    assert export_table(path, file_format, str(target), machine, carried_rows).count == 10
    back = read_table(Source.read(path), file_format)
    assert (back.report.rejected, back.report.unmapped) == ((), ())
    here = LatencyTable.from_rows(str(target), machine, carried_rows)
    there = LatencyTable.from_rows(str(target), machine, back.screened.rows)
    assert there.ops == here.ops != here.alone
    assert (there.alone, there.carriers) == (here.alone, here.carriers)
    assert (there.findings, there.digest) == (here.findings, here.digest)


@pytest.mark.parametrize("file_format", ["json", "parquet"])
def test_the_reference_beside_each_visit_travels(
    file_format: str,
    rows: list[PortableRow],
    target: Target,
    machine: Environment,
    tmp_path: Path,
) -> None:
    path = tmp_path / "table"
    bare = replace(rows[1], recorded=tuple(replace(v, reference_ms=()) for v in rows[1].recorded))
    export_table(path, file_format, str(target), machine, [rows[0], bare])
    back = read_table(Source.read(path), file_format).screened.rows
    references = [[visit.reference_ms for visit in row.recorded] for row in back]
    assert references == [[(0.1 / 3, 1 / 70)] * 2, [()] * 2]


@pytest.mark.parametrize("file_format", ["json", "parquet"])
def test_a_reference_is_in_the_unit_of_the_file(
    file_format: str,
    rows: list[PortableRow],
    target: Target,
    machine: Environment,
    tmp_path: Path,
) -> None:
    path = tmp_path / "table"
    export_table(path, file_format, str(target), machine, rows[:1])
    (row,) = read_table(Source.read(path), file_format, unit="us").screened.rows
    assert row.nominal_ms == 0.2 / 3 / 1000
    assert [visit.reference_ms for visit in row.recorded] == [(0.1 / 3 / 1000, 1 / 70 / 1000)] * 2
    # How much of a drift is shared is no time.
    assert row.exponent == rows[0].exponent


def test_json_of_before_there_was_a_reference_is_read(
    rows: list[PortableRow], target: Target, machine: Environment, tmp_path: Path
) -> None:
    path = tmp_path / "table.json"
    export_table(path, "json", str(target), machine, rows[:1])
    document = json.loads(path.read_text())
    for name in ("exponent", "nominal_ms", "findings", "ops", "references_ms"):
        del document["rows"][0][name]
    path.write_text(json.dumps(document))
    (row,) = read_table(Source.read(path), "json").screened.rows
    assert (row.exponent, row.nominal_ms, row.findings, row.ops) == (None,) * 4
    assert [visit.samples_ms for visit in row.recorded] == [
        visit.samples_ms for visit in rows[0].recorded
    ]
    assert [visit.reference_ms for visit in row.recorded] == [()] * 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"exponent": -0.5}, "exponent: negative"),
        ({"exponent": "steep"}, "exponent: not a number"),
        ({"nominal_ms": 0}, "nominal_ms: zero"),
        ({"nominal_ms": "nan"}, "nominal_ms: nan is not a latency"),
        ({"findings": "Noisy"}, "findings: not names of rules"),
        ({"findings": "noisy  drift"}, "findings: not names of rules"),
        ({"findings": " ".join(["noisy"] * 10)}, "findings: not names of rules"),
        ({"findings": "x" * 21}, "findings: not names of rules"),
        ({"findings": "noisy; DROP TABLE visits"}, "findings: not names of rules"),
        ({"findings": ["noisy"]}, "findings: not names of rules"),
        ({"findings": 3}, "findings: not names of rules"),
        ({"ops": "warp/3x8x8/speed=9"}, "ops: unknown kind of op 'warp'"),
        ({"ops": "linear/64/out=10 linear/64"}, "ops: "),
        ({"ops": ["linear/64/out=10"]}, "ops: not keys of ops"),
        ({"ops": 3}, "ops: not keys of ops"),
        ({"ops": "linear/64/out=10 " * 20_000}, "ops: not keys of ops"),
        ({"references_ms": [[0.5, 0.5]]}, "references_ms: not as many as visits"),
        ({"references_ms": 0.5}, "references_ms: not as many as visits"),
        ({"references_ms": [0.5, 0.5]}, "references_ms: not lists of runs"),
        ({"references_ms": "ab"}, "references_ms: not lists of runs"),
        ({"references_ms": [[0.5, 0.0], [0.5, 0.5]]}, "references_ms: zero"),
        ({"references_ms": [[0.5, -1.0], [0.5, 0.5]]}, "references_ms: negative"),
        ({"references_ms": [[0.5, "fast"], [0.5, 0.5]]}, "references_ms: not a number"),
        ({"references_ms": [[0.5, None], [0.5, 0.5]]}, "references_ms: no value"),
        ({"visits_ms": [[-1.0], [1.0]]}, "visits_ms: negative"),
        ({"visits_ms": [["fast"], [1.0]]}, "visits_ms: not a number"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_row_whose_quality_or_runs_are_broken_is_rejected(
    change: dict[str, object],
    reason: str,
    rows: list[PortableRow],
    target: Target,
    machine: Environment,
    tmp_path: Path,
) -> None:
    path = tmp_path / "table.json"
    export_table(path, "json", str(target), machine, rows[:2])
    document = json.loads(path.read_text())
    document["rows"][0] |= change
    path.write_text(json.dumps(document))
    back = read_table(Source.read(path), "json")
    assert [row.key for row in back.screened.rows] == [rows[1].key]
    (rejected,) = back.report.rejected
    assert rejected.key == rows[0].key
    assert rejected.reason.startswith(reason)


def test_the_ops_of_a_carrier_are_read_as_the_store_has_them(target: Target) -> None:
    keys = ("linear/64/out=10", "conv/3x8x8/out=4,kernel=3")
    ops = "   ".join(keys)
    source = text_of("key,role,median_ms,ops", f'net,carrier,1.5,"{ops}"')
    (row,) = read_table(source, "csv", target=target).screened.rows
    assert row.ops == " ".join(OpSpec.parse(key).key for key in keys) != ops


@pytest.mark.parametrize("role", ["network", "carrier", "call"])
def test_what_is_no_op_may_have_any_name(role: str, target: Target) -> None:
    (row,) = read_table(
        text_of("key,role,median_ms", f"net:1,{role},1.5"), "csv", target=target
    ).screened.rows
    assert (row.key, row.role) == ("net:1", role)


def test_a_role_that_is_not_known_is_unmapped(target: Target) -> None:
    source = text_of("key,role,median_ms", "net:1,layer,1.5")
    (unmapped,) = read_table(source, "csv", target=target).report.unmapped
    assert unmapped.reason == "role 'layer': must be op, network, carrier, call or kernel"


def test_a_table_that_others_wrote_needs_two_columns(target: Target) -> None:
    source = text_of("key,latency_ms", '"linear/64/out=10",0.5', "linear/32/out=10,0.25")
    back = read_table(source, "csv", target=target)
    assert [(row.key, row.median_ms) for row in back.screened.rows] == [
        ("linear/64/out=10", 0.5),
        ("linear/32/out=10", 0.25),
    ]
    row = back.screened.rows[0]
    assert (row.ci_low_ms, row.spread, row.split_half, row.visits, row.runs) == (None,) * 5
    assert (row.exponent, row.nominal_ms, row.findings, row.ops) == (None,) * 4
    assert back.environment.to_dict()["imported"] == f"table.csv sha256:{source.sha256}"


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("nan", "nan is not a latency"),
        ("-1.5", "negative: -1.5"),
        ("0", "zero"),
        ("inf", "inf is not a latency"),
        ("1e999", "infinite"),
        ("1e-400", "zero"),
        ("fast", "not a number: 'fast'"),
        ("1_000", "not a number"),
        ("0x10", "not a number"),
        ("", "no value"),
    ],
)
def test_a_figure_that_is_none_is_rejected(cell: str, reason: str, target: Target) -> None:
    source = text_of("key,median_ms", f"linear/64/out=10,{cell}", "linear/32/out=10,0.25")
    back = read_table(source, "csv", target=target)
    (rejected,) = back.report.rejected
    assert rejected.key == "linear/64/out=10"
    assert reason in rejected.reason
    assert [row.key for row in back.screened.rows] == ["linear/32/out=10"]


def test_of_two_rows_that_differ_neither_is_taken(target: Target) -> None:
    source = text_of("key,median_ms", "linear/64/out=10,1", "linear/64/out=10,2")
    back = read_table(source, "csv", target=target)
    assert back.screened.rows == ()
    assert [(row.key, row.reason[-6:]) for row in back.report.rejected] == [
        ("linear/64/out=10", "1.0 ms"),
        ("linear/64/out=10", "2.0 ms"),
    ]


def test_of_two_rows_that_agree_the_first_is_taken(target: Target) -> None:
    source = text_of("key,median_ms", "linear/64/out=10,1", "linear/64/out=10,1.0")
    back = read_table(source, "csv", target=target)
    assert [row.median_ms for row in back.screened.rows] == [1.0]
    assert [row.reason for row in back.report.rejected] == [
        "stands there 2 times with the same figures; the first was taken"
    ]


def test_a_key_that_is_not_understood_is_unmapped(target: Target) -> None:
    source = text_of("key,median_ms", "transformer/64/heads=2,1", "identity/3x4x4/,1", "?,1")
    back = read_table(source, "csv", target=target)
    assert [listed.key for listed in back.report.unmapped] == [
        "transformer/64/heads=2",
        "identity/3x4x4/",
        "?",
    ]
    assert "unknown kind of op 'transformer'" in back.report.unmapped[0].reason
    assert "no node" in back.report.unmapped[1].reason


def test_units_are_converted(target: Target) -> None:
    for unit, cell in (("us", "1500"), ("ms", "1.5"), ("s", "0.0015")):
        source = text_of(
            "key,median_ms,ci_low_ms,ci_high_ms", f"linear/64/out=10,{cell},{cell},{cell}"
        )
        (row,) = read_table(source, "csv", target=target, unit=unit).screened.rows
        assert (row.median_ms, row.ci_low_ms, row.ci_high_ms) == (1.5, 1.5, 1.5)


def test_large_ops_that_seem_far_too_slow_are_reported(target: Target) -> None:
    source = text_of(
        "key,median_ms", "conv/64x56x56/kernel=3,out=64,stride=1,activation=relu6,9000"
    )
    slow = "conv/64x56x56/kernel=3,out=64"
    source = text_of("key,median_ms", f'"{slow}",9000')
    (warning,) = read_table(source, "csv", target=target).report.suspicious
    assert "looks like microseconds: --unit us" in warning
    assert read_table(source, "csv", target=target, unit="us").report.suspicious == ()
    (warning,) = read_table(
        text_of("key,median_ms", f'"{slow}",0.000009'), "csv", target=target
    ).report.suspicious
    assert "looks like seconds: --unit s" in warning


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"version": 2}, "version 2"),
        ({"format": "other"}, "not one of Lutier's"),
        ({"environment": {"chip": 3}}, "broken"),
        ({"environment": None}, "broken"),
        ({"protocols": {"a": {"b": {}}}}, "a protocol"),
        ({"rows": None}, "no list of rows"),
        ({"rows": [3]}, "no list of rows"),
    ],
)
def test_json_that_is_not_whole_is_refused(
    change: dict[str, object],
    says: str,
    rows: list[PortableRow],
    target: Target,
    machine: Environment,
    tmp_path: Path,
) -> None:
    path = tmp_path / "table.json"
    export_table(path, "json", str(target), machine, rows)
    document = json.loads(path.read_text()) | change
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match=says):
        read_table(Source.read(path), "json")


@pytest.mark.parametrize("file_format", OWN)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_part_of_a_file_is_refused(
    file_format: str,
    share: float,
    rows: list[PortableRow],
    target: Target,
    machine: Environment,
    tmp_path: Path,
) -> None:
    path = tmp_path / "table"
    export_table(path, file_format, str(target), machine, rows)
    whole = path.read_bytes()
    half = Source.of("half", whole[: int(len(whole) * share)])
    with pytest.raises(InputError):
        read_table(half, file_format)


def test_parquet_of_another_shape_is_refused_with_its_columns(target: Target) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"user": ["a"], "price": [1.0]}), sink)
    source = Source.of("sales.parquet", sink.getvalue().to_pybytes())
    with pytest.raises(InputError, match="has user, price"):
        read_table(source, "parquet", target=target)


def test_a_file_that_names_no_target_needs_one() -> None:
    with pytest.raises(InputError, match="does not say what was measured on"):
        read_table(text_of("key,median_ms", "linear/64/out=10,1"), "csv")


def test_kernels_and_the_networks_made_of_them_travel(target: Target) -> None:
    relu = "onnxruntime/onnx:Relu:14/1x8x4x4>1x8x4x4/"
    lines = ["onnxruntime/call,kernel,0.002,", f"{relu},kernel,0.018,"]
    lines += [f'file/net#1,network,0.5,"{relu} {relu}"', "onnxruntime/nothing,kernel,0.1,"]
    back = read_table(text_of("key,role,median_ms,ops", *lines), "csv", target=target)
    taken = {row.key: row for row in back.screened.rows}
    assert set(taken) == {"onnxruntime/call", relu, "file/net#1"}
    assert taken["file/net#1"].ops == f"{relu} {relu}"
    (unmapped,) = back.report.unmapped
    assert "is not a kernel" in unmapped.reason
