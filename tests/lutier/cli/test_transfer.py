"""``lutier transfer``: which to measure, all the rest from it, and one clear line for bad input."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path

import in_process
import numpy as np
import pandas as pd
import pytest

from devices.environment import Environment
from devices.target import Target
from profiler.ops import OpSpec
from profiler.protocol import Protocol
from profiler.quality import summarise
from profiler.storage.database import MeasurementStore
from search.spaces.mobile import mobile_tiny

OLD, NEW = "old/onnxruntime?threads=1", "new/onnxruntime?threads=1"
OPS = tuple(spec for spec in mobile_tiny().all_ops() if not spec.is_free)


run = partial(in_process.run, "transfer")
answer = partial(in_process.answer, "transfer")


@pytest.fixture(scope="module")
def latencies() -> pd.DataFrame:
    """Networks of four choices on three devices and a new one."""
    random = np.random.default_rng(0)
    choices = random.integers(0, 3, (120, 4))
    names = [f"{list(row)}#{i}" for i, row in enumerate(choices)]
    cost = np.array([0.2, 1.0, 2.5])
    columns = {
        device: speed * (1 + (cost**power)[choices].sum(axis=1))
        for device, speed, power in (
            ("a", 1.0, 1.0),
            ("b", 9.0, 0.8),
            ("c", 3.0, 1.3),
            ("new", 5, 1.1),
        )
    }
    return pd.DataFrame(columns, index=pd.Index(names, name="arch")).round(4)


@pytest.fixture
def reference(latencies: pd.DataFrame, tmp_path: Path) -> str:
    file = tmp_path / "latencies.csv"
    latencies.drop(columns="new").to_csv(file)
    return str(file)


def measured(latencies: pd.DataFrame, folder: Path, rows: slice = slice(0, 10)) -> str:
    file = folder / "measured.csv"
    latencies[["new"]].iloc[rows].to_csv(file)
    return str(file)


def fill(url: str, target: str, specs: tuple[OpSpec, ...], factor: float) -> None:
    with MeasurementStore(url) as store:
        for spec in specs:
            latency_ms = factor * (0.002 + spec.flops / 4e7)
            measurement_id = store.begin(
                spec.key, "op", Target.parse(target), Environment.of({}), Protocol(), None
            )
            store.finish(
                measurement_id,
                summarise([[latency_ms * (1 + i % 4 / 1000)] for i in range(20)]),
            )


@pytest.fixture
def db(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'lutier.db'}"
    fill(url, OLD, OPS, 1.0)
    fill(url, NEW, OPS[::4], 3.0)
    return url


# Networks


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_all_networks_are_predicted_from_those_that_were_suggested(
    suffix: str, latencies: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reference, form, output = (tmp_path / f"{name}.{suffix}" for name in ("known", "form", "out"))
    known = latencies.drop(columns="new")
    known.to_csv(reference) if suffix == "csv" else known.to_parquet(reference)
    code, out, err = run(str(reference), "--suggest", "8", "-o", str(form), capsys=capsys)
    assert code == 0, err
    suggested = out.splitlines()
    assert len(set(suggested) & set(latencies.index)) == 8
    assert f"--measured {'FILE'}" in err
    read = pd.read_csv if suffix == "csv" else pd.read_parquet
    filled = read(form)
    assert filled["arch"].tolist() == suggested
    filled["latency_ms"] = latencies["new"][suggested].tolist()
    filled.to_csv(form, index=False) if suffix == "csv" else filled.to_parquet(form)
    words = (str(reference), "--measured", str(form), "-o", str(output))
    code, out, err = run(*words, capsys=capsys)
    assert code == 0, err
    assert "predicted 120 networks from 8 measured ones and 3 known devices" in out
    predicted = read(output).set_index("arch")
    assert predicted["measured_ms"].notna().sum() == 8
    errors = np.abs(predicted["predicted_ms"] / latencies["new"] - 1)
    assert errors.median() < 0.05
    inside = predicted["lower_ms"].le(latencies["new"]) & predicted["upper_ms"].ge(latencies["new"])
    assert inside.mean() > 0.8


def test_ten_are_suggested_where_nothing_else_is_said(
    reference: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = answer(reference, "--known", "a", "--known", "b", capsys=capsys)
    assert len(found["suggested"]) == 10
    assert found["known"] == ["a", "b"]


def test_json_holds_every_prediction(
    reference: str, latencies: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (reference, "--measured", measured(latencies, tmp_path), "--coverage", "0.5")
    found = answer(*words, capsys=capsys)
    assert found["coverage"] == 0.5
    assert found["measured"] == 10
    assert [row["name"] for row in found["predicted"]] == list(latencies.index)
    assert all(row["lower_ms"] <= row["predicted_ms"] for row in found["predicted"])
    assert found["predicted"][50]["measured_ms"] is None


def test_a_broken_measurement_is_named(
    reference: str, latencies: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "measured.csv"
    broken = latencies[["new"]].iloc[:12].copy()
    broken.iloc[3] = 0.001
    broken.to_csv(file)
    code, _, err = run(reference, "--measured", str(file), capsys=capsys)
    assert code == 0
    assert f"set aside, as no measurement like it explains it: {broken.index[3]}" in err


def test_what_the_reference_lacks_is_warned_of(
    reference: str, latencies: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = Path(measured(latencies, tmp_path))
    file.write_text(file.read_text() + "elsewhere,4\n")
    code, _, err = run(reference, "--measured", str(file), capsys=capsys)
    assert code == 0
    assert "1 measured are not in the reference, elsewhere for one" in err


MEASURED = "arch,ms\n{first},{value}\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (MEASURED.replace("{value}", "nan"), "was measured as nan ms"),
        (MEASURED.replace("{value}", ""), "was measured as nan ms"),
        (MEASURED.replace("{value}", "-1"), "was measured as -1.0 ms"),
        (MEASURED.replace("{value}", "0"), "was measured as 0.0 ms"),
        (MEASURED.replace("{value}", "inf"), "inf is not a latency"),
        (MEASURED.replace("{value}", "fast"), "not a number: 'fast'"),
        (MEASURED.replace("{value}", "1\n{first},2"), "occurs twice in the measurements"),
        ("arch,ms\nelsewhere,1\n", "none of the 1 measured architectures"),
        ("arch,ms\n", "it has no rows"),
        ("arch\n{first}\n", "is not a table of latencies"),
        ("arch,x,y\n{first},1,2\n", "--column x"),
        ("arch,ms\n{first}\n", "row 2 of measured.csv has 1 cells"),
        ("", "measured.csv is empty"),
        ("\0\1\2", "measured.csv is not a table"),
    ],
)
def test_measurements_that_cannot_be_used_get_one_line(
    text: str,
    says: str,
    reference: str,
    latencies: pd.DataFrame,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "measured.csv"
    file.write_text(text.replace("{first}", f'"{latencies.index[0]}"'))
    code, out, err = run(reference, "--measured", str(file), capsys=capsys)
    assert (code, out) == (2, "")
    assert says in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("arch,a\nx,1\nx,2\n", "x occurs twice in the reference"),
        ("arch,a\nx,-1\n", "a of x is -1.0 ms"),
        ("arch,a\nx,\ny,\n", "the device a has no latency"),
        ("arch,a,a\nx,1,2\n", "a column stands there twice"),
        ("arch,a\nx,slow\n", "a of x in latencies.csv is no latency"),
        ("a,b\n1.5,2.5\n", "does not say which architectures"),
        ("hello\n", "is not a table of latencies"),
    ],
)
def test_a_reference_that_cannot_be_used_gets_one_line(
    text: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "latencies.csv"
    file.write_text(text)
    code, out, err = run(str(file), capsys=capsys)
    assert (code, out) == (2, "")
    assert says in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "one of REFERENCE and --from is needed"),
        (["REFERENCE", "--from", OLD], "both were given"),
        (["REFERENCE", "--to", NEW], "--to goes with --from"),
        (["REFERENCE", "--column", "a"], "--column goes with --measured"),
        (["REFERENCE", "--known", "aa"], "unknown column of latencies.csv 'aa'. Try: a"),
        (["REFERENCE", "--suggest", "999"], "cannot suggest 999 architectures"),
        (["REFERENCE", "--suggest", "3", "--measured", "x"], "--suggest is asked before"),
        (["REFERENCE", "--measured", "nowhere.csv"], "no file nowhere.csv"),
        (["REFERENCE", "-o", "out.txt"], "does not say its format"),
        (["REFERENCE", "-o", "latencies.csv/out.csv"], "cannot write"),
        (["nowhere.csv"], "no file nowhere.csv"),
        (["."], "is not a file"),
        (["--from", OLD, "--known", "a"], "--known goes with REFERENCE"),
    ],
)
def test_options_that_do_not_go_together_get_one_line(
    words: list[str],
    says: str,
    reference: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [reference if word == "REFERENCE" else word for word in words]
    code, _, err = run(*words, capsys=capsys)
    assert code == 2
    assert says in err
    assert len([line for line in err.splitlines() if line.startswith("error")]) == 1


@pytest.mark.parametrize("coverage", ["0", "1", "90", "x"])
def test_a_coverage_that_is_no_share_is_refused(
    coverage: str, reference: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(reference, "--coverage", coverage, capsys=capsys)
    assert code == 2
    assert "--coverage" in err


# Ops


def test_a_table_is_scaled_to_a_new_target(
    db: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "predicted.csv"
    words = ("--from", OLD, "--to", NEW, "--db", db)
    found = answer(*words, "-o", str(output), capsys=capsys)
    assert found["measured"] == len(OPS[::4])
    assert found["file"] == str(output)
    predicted = pd.read_csv(output).set_index("key")["predicted_ms"]
    truth = pd.Series({spec.key: 3 * (0.002 + spec.flops / 4e7) for spec in OPS})
    assert len(predicted) == len(OPS)
    assert np.abs(predicted / truth - 1).median() < 0.03


def test_ops_are_suggested_as_a_command_that_measures_them(
    db: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run("--from", OLD, "--suggest", "3", "--db", db, capsys=capsys)
    assert code == 0
    keys = out.splitlines()
    assert len({OpSpec.parse(key) for key in keys}) == 3
    assert all(f"--op {key}" in err for key in keys)


def test_a_target_that_was_never_measured_is_missing(
    db: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--from", OLD, "--to", "newer/onnxruntime?threads=1", "--db", db)
    code, _, err = run(*words, capsys=capsys)
    assert code == 3
    assert "no latency table of newer/onnxruntime?threads=1" in err


def test_a_target_with_none_of_the_known_ops_is_refused(
    db: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(db, "odd/onnxruntime?threads=1", (OpSpec.parse("linear/77/out=3"),), 1.0)
    words = ("--from", OLD, "--to", "odd/onnxruntime?threads=1", "--db", db)
    code, _, err = run(*words, capsys=capsys)
    assert code == 2
    assert "none of the 1 measured" in err


# The page


def test_every_command_of_the_page_runs_in_the_order_given(
    latencies: pd.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = Path(__file__).parents[3] / "docs" / "transfer.md"
    lines = [line.strip() for line in page.read_text().splitlines()]
    commands = [shlex.split(line) for line in lines if line.startswith("lutier transfer")]
    assert len(commands) >= 5
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LUTIER_DB", f"sqlite:///{tmp_path / 'page.db'}")
    fill(f"sqlite:///{tmp_path / 'page.db'}", "cpu/onnxruntime?threads=1", OPS, 1.0)
    fill(f"sqlite:///{tmp_path / 'page.db'}", "cpu/litert?threads=1", OPS[::4], 2.0)
    latencies.drop(columns="new").to_csv("latencies.csv")
    for _, _, *words in commands:
        code, _, err = run(*words, capsys=capsys)
        assert code == 0, err
        form = pd.read_csv("measured.csv").set_index("arch")
        form["latency_ms"] = latencies["new"]
        form.to_csv("measured.csv")
