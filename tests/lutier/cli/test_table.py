"""``lutier table``: out, in, beside each other, and against a space."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import in_process
import pytest

from devices.environment import Environment
from devices.target import Target
from profiler.protocol import Protocol
from profiler.quality import summarise
from profiler.storage.database import MeasurementStore
from search.spaces.mobile import mobile_tiny

TARGET = "cpu/onnxruntime?threads=1"
OPS = mobile_tiny().all_ops()


run = partial(in_process.run, "table")
answer = partial(in_process.answer, "table")


def fill(path: Path, *, machine: str = "A", slow: str = "", factor: float = 1.0) -> str:
    """A database with the table of mobile-tiny; one op may be slower. Returns its URL."""
    url = f"sqlite:///{path}"
    with MeasurementStore(url) as store:
        for number, spec in enumerate(OPS, start=1):
            share = factor * (1.4 if spec.key == slow else 1.0)
            visits = [[(0.01 * number) * share * (1 + i % 4 / 1000)] for i in range(20)]
            measurement_id = store.begin(
                spec.key,
                "op",
                Target.parse(TARGET),
                Environment.of({"chip": machine}),
                Protocol(),
                None,
            )
            store.finish(measurement_id, summarise(visits))
    return url


@pytest.fixture
def db(tmp_path: Path) -> str:
    return fill(tmp_path / "a.db")


@pytest.mark.parametrize("name", ["coverage", "diff", "export", "import", "show", "record"])
def test_help_has_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(name, "--help", capsys=capsys)
    assert f"Example: lutier table {name}" in " ".join(out.split())


@pytest.mark.parametrize("file_format", ["csv", "parquet", "json", "proxylessnas", "once-for-all"])
def test_what_is_exported_is_imported_with_the_same_values(
    file_format: str, db: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(tmp_path / "table.file")
    words = ("--format", file_format, "-o", file, "--target", TARGET, "--db", db)
    written = answer("export", *words, capsys=capsys)
    assert (written["exported"], written["unmapped"]) == (len(OPS), [])
    other = f"sqlite:///{tmp_path / 'other.db'}"
    words = (file, "--format", file_format, "--target", "pi/litert", "--db", other)
    report = answer("import", *words, capsys=capsys)
    assert (report["imported"], report["rejected"], report["unmapped"]) == (len(OPS), [], [])
    before = answer("show", "--target", TARGET, "--db", db, capsys=capsys)
    after = answer("show", "--target", "pi/litert", "--db", other, capsys=capsys)
    assert {row["key"]: row["median_ms"] for row in before["rows"]} == {
        row["key"]: row["median_ms"] for row in after["rows"]
    }


def test_an_import_lists_what_it_could_not_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "lut.yaml"
    file.write_text(
        "Logits-input:1x1x64-output:10: {mean: 0.5}\n"
        "Logits-input:1x1x32-output:10: {mean: -0.5}\n"
        "Logits-input:7x7x32-output:10: {mean: 0.5}\n"
    )
    words = (str(file), "--format", "proxylessnas", "--target", "pixel1/tflite")
    report = answer("import", *words, capsys=capsys)
    assert report["imported"] == 1
    assert report["rejected"] == [
        {"key": "Logits-input:1x1x32-output:10", "reason": "negative: -0.5"}
    ]
    assert [listed["key"] for listed in report["unmapped"]] == ["Logits-input:7x7x32-output:10"]
    code, out, _ = run("import", *words, capsys=capsys)
    assert code == 0
    assert "imported 0 rows" in out
    assert "1 were stored already" in out
    assert "Logits-input:1x1x32-output:10: negative: -0.5" in out
    _, out, _ = run("show", "--target", "pixel1/tflite", "--ops", capsys=capsys)
    assert "[not known]  linear/64/out=10" in out
    assert "lut.yaml sha256:" in out


def test_an_import_of_nothing_exits_with_2_after_its_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "lut.csv"
    file.write_text("key,median_ms\nlinear/64/out=10,nan\n")
    words = (str(file), "--format", "csv", "--target", "a/b", "--json")
    code, out, err = run("import", *words, capsys=capsys)
    assert code == 2
    assert json.loads(out)["rejected"] == [
        {"key": "linear/64/out=10", "reason": "nan is not a latency"}
    ]
    assert "nothing of lut.csv could be imported" in err


def test_a_unit_that_cannot_be_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "lut.csv"
    file.write_text('key,median_ms\n"conv/64x56x56/kernel=3,out=64",9000\n')
    words = (str(file), "--format", "csv", "--target", "a/b")
    _, _, err = run("import", *words, capsys=capsys)
    assert "looks like microseconds: --unit us" in err
    report = answer("import", *words, "--unit", "us", capsys=capsys)
    assert (report["imported"], report["suspicious"]) == (1, [])


def test_the_same_machine_twice_flags_nothing(
    db: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = fill(tmp_path / "b.db", factor=1.5)
    words = (TARGET, TARGET, "--db", db, "--other-db", other)
    found = answer("diff", *words, capsys=capsys)
    assert found["flagged"] == []
    assert found["ratio"] == pytest.approx(1.5)
    code, out, _ = run("diff", *words, capsys=capsys)
    assert code == 0
    assert "takes 1.500 times as long" in out
    assert "no op differs" in out


@pytest.mark.parametrize("suffix", ["json", "csv", "parquet", "yaml"])
def test_an_op_slowed_on_purpose_is_flagged_from_a_file_too(
    suffix: str, db: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = OPS[7].key
    other = fill(tmp_path / "b.db", slow=slow)
    file = str(tmp_path / f"before.{suffix}")
    words = ("--format", "once-for-all") if suffix == "yaml" else ()
    run("export", "--target", TARGET, "--db", db, "-o", file, *words, capsys=capsys)
    found = answer("diff", file, TARGET, "--db", other, capsys=capsys)
    assert [row["key"] for row in found["flagged"]] == [slow]
    assert found["ratio"] == pytest.approx(1.0)


def test_two_environments_of_one_target_are_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    db = fill(tmp_path / "a.db")
    fill(tmp_path / "a.db", machine="B", factor=2.0)
    names = [f"{TARGET}@{Environment.of({'chip': chip}).id}" for chip in "AB"]
    found = answer("diff", *names, "--db", db, capsys=capsys)
    assert found["ratio"] == pytest.approx(2.0)
    assert found["environment"] == ["chip: A -> B"]
    code, _, err = run("diff", names[0], names[0], "--db", db, capsys=capsys)
    assert (code, "one and the same table" in err) == (2, True)


def test_coverage_names_the_next_command(db: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--target", TARGET, "--db", db)
    whole = answer("coverage", "--space", "mobile-tiny", *words, capsys=capsys)
    assert (len(whole["measured"]), whole["command"]) == (len(OPS), "")
    code, out, _ = run("coverage", "--space", "mobile-tiny?classes=7", *words, capsys=capsys)
    assert code == 0
    assert f"{len(OPS) - 1} of {len(OPS)} ops of mobile-tiny?classes=7" in out
    assert "next: lutier profile --device cpu" in out


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["import", "gone.csv", "--format", "csv", "--target", "a/b"], 2, "no file gone.csv"),
        (["import", ".", "--format", "csv", "--target", "a/b"], 2, "is not a file"),
        (["import", "x.csv", "--format", "csv", "--target", "a"], 2, "DEVICE/RUNTIME"),
        (["import", "x.csv", "--format", "xls", "--target", "a/b"], 2, "xls"),
        (["export", "--target", TARGET, "-o", "x.yaml"], 2, "--format"),
        (["export", "--target", TARGET, "-o", "x.json"], 3, "lutier profile"),
        (["coverage", "--target", TARGET, "--space", "mobile-tiny"], 3, "lutier profile"),
        (["coverage", "--target", TARGET, "--space", "mobil"], 2, "mobile"),
        (["diff", TARGET, "gone.json"], 3, "lutier profile"),
        (["diff", "a", "b"], 2, "DEVICE/RUNTIME"),
    ],
)
def test_bad_input(
    words: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    got, _, err = run(*words, capsys=capsys)
    assert (got, says in " ".join(err.split())) == (code, True), err
