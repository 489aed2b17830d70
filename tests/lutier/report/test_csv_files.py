"""Raw figures as CSV files."""

from __future__ import annotations

import base64
import csv
import io
from datetime import datetime

import drawn_results as made

from lutier.report.csv_files import csv_file, runs_csv, table_csv
from profiler.storage.portable import PortableRow, PortableVisit


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_floats_are_exact_and_what_is_not_known_is_empty() -> None:
    file = csv_file("a.csv", ("x", "y"), [(0.1 + 0.2, None), (1e-17, "b,c\n")])
    assert [float(row["x"]) for row in read(file.text)] == [0.1 + 0.2, 1e-17]
    assert [row["y"] for row in read(file.text)] == ["", "b,c\n"]


def test_the_address_holds_the_whole_file() -> None:
    file = csv_file("a.csv", ("µ",), [("é",)])
    assert base64.b64decode(file.uri.split(",")[1]).decode() == "µ\né\n"


def test_a_text_is_no_formula_and_a_number_stays_one() -> None:
    rows = [("=cmd()",), ("+1",), ("@x",), (-1.5,)]
    assert [row["x"] for row in read(csv_file("a.csv", ("x",), rows).text)] == [
        "'=cmd()",
        "'+1",
        "'@x",
        "-1.5",
    ]


def test_every_timed_run_is_there() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5)
    visits = (PortableVisit(moment, (1.0, 2.0), (0.5,)), PortableVisit(moment, (3.0,)))
    rows = read(runs_csv("a.csv", PortableRow("k", "op", 1.0, recorded=visits)).text)
    assert rows[0] == {
        "visit": "1",
        "measured_at": "2026-01-02T03:04:05",
        "reference_ms": "0.5",
        "run_1_ms": "1.0",
        "run_2_ms": "2.0",
    }
    assert rows[1]["run_1_ms"] == "3.0"


def test_a_table_has_a_line_for_each_row_with_the_latency_in_a_network() -> None:
    table = made.made_evidence().table
    assert table is not None
    rows = [PortableRow(op.key, "op", 2.0) for op in made.SPACE.all_ops()]
    read_back = read(table_csv("a.csv", table, rows).text)
    assert [row["key"] for row in read_back] == [row.key for row in rows]
    assert [float(row["latency_ms"]) for row in read_back] == list(table.ops.values())
