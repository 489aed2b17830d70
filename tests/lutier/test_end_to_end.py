"""The main job through the command line, on a space cut short so that it takes seconds."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from measured_home import QUICK, measure_into

from lutier.cli.main import main
from lutier.results import load_network, load_result
from search.architecture import Architecture
from search.spaces.registry import open_chain

TARGET = "cpu/onnxruntime?threads=1"
SPACE = "mobile-tiny?width=0.25"
SHORT = ["--train-epochs", "1", "--data", "digits", "--space", SPACE, "--target", TARGET]
BUDGET = "1ms"


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    """Exit code, and the JSON object that standard output ends with."""
    code = 0
    try:
        main(list(words))
    except SystemExit as exit_:
        code = exit_.code if isinstance(exit_.code, int) else 1
    out = capsys.readouterr().out
    return code, json.loads(out) if out.startswith("{") else {}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in QUICK.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A home with a table and its model, which is measured once; the report of fitting."""
    home = tmp_path_factory.mktemp("measured")
    return home, measure_into(home, SPACE, TARGET)


@pytest.fixture
def fitted(measured: tuple[Path, dict[str, Any]]) -> dict[str, Any]:
    """The same table and model in the test's own home; the report of fitting."""
    home, report = measured
    shutil.copytree(home, os.environ["HOME"], dirs_exist_ok=True)
    return report


def test_profiling_a_second_time_measures_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["profile", "--device", "cpu", "--runtime", "onnxruntime", "--space", SPACE]
    words += ["--threads", "1", "--json"]
    code, first = run(capsys, *words)
    assert code == 0
    assert (first["target"], first["space"]) == (TARGET, SPACE)
    _, table = run(capsys, "table", "show", "--target", TARGET, "--json")
    roles = Counter(row["role"] for row in table["rows"])
    assert (roles["op"], roles["network"], roles["call"]) == (first["table_ops"], 30, 1)
    assert first["planned"] == first["measured"] == roles.total()
    assert (first["stored_before"], first["failed"]) == (0, 0)
    assert 0 < first["split_half_error"] < 1
    code, second = run(capsys, *words)
    assert code == 0
    assert (second["measured"], second["stored_before"]) == (0, first["planned"])
    assert second["split_half_error"] == first["split_half_error"]


def test_profiling_says_in_words_that_nothing_was_to_be_done(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main(["profile", "--op", "linear/64/out=10"])
    capsys.readouterr()
    main(["profile", "--op", "linear/64/out=10"])
    assert "nothing to measure: all 1 are stored already" in capsys.readouterr().out


def test_fit_reports_on_networks_held_out(fitted: dict[str, Any]) -> None:
    (model,) = fitted["models"]
    assert model["space"] == SPACE
    carriers = [key for key in model["calibration"] if key.startswith("carrier/")]
    assert carriers
    assert len(model["calibration"]) == 20 + len(carriers)
    assert model["evaluation"]["n"] == len(model["held_out"]) == 10
    assert not set(model["calibration"]) & set(model["held_out"])


@pytest.mark.parametrize("method", ["proxyless", "knas"])
def test_search_verify_export(
    method: str, fitted: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / method
    words = ["search", method, *SHORT, "--budget", BUDGET, "--seed", "1", "--out", str(folder)]
    few = ["--warmup-epochs", "1", "--search-epochs", "1"]
    words += {
        "proxyless": [*few, "--finalists", "3", "--finalist-epochs", "1"],
        "knas": ["--pool", "6", "--k", "2"],
    }[method]
    code, printed = run(capsys, *words, "--json")
    assert code == 0
    result = json.loads((folder / "result.json").read_text())
    assert {**result, "out": str(folder)} == printed
    assert (result["space"], result["target"], result["seed"]) == (SPACE, TARGET, 1)
    assert result["budget_ms"] == 1
    assert 0 < result["measured_ms"] <= result["budget_ms"]
    assert 0 < result["predicted_ms"] <= result["budget_ms"]
    assert 0 <= result["accuracy"] <= 1
    if method == "proxyless":
        compared = result["details"]["finalists"]
        assert len({one["architecture"] for one in compared}) == 3
        best = max(compared, key=lambda one: one["validation_accuracy"])
        assert result["architecture"] == best["architecture"]
        space = open_chain(SPACE, "a test")
        *drawn, changed = compared
        parent = max(drawn, key=lambda one: one["validation_accuracy"])["architecture"]
        start = space.representative(Architecture.parse(parent)).choices
        near = {
            space.representative(space.architecture([*start[:i], j, *start[i + 1 :]]))
            for i, width in enumerate(space.widths)
            for j in range(width)
            if j != start[i]
        }
        assert space.representative(Architecture.parse(changed["architecture"])) in near
        measured = {one["architecture"] for one in result["details"]["rounds"]}
        assert {one["architecture"] for one in compared} <= measured

    code, verified = run(capsys, "verify", str(folder), "--json")
    assert (code, verified["within_budget"], verified["same_table"]) == (0, True, True)
    assert verified["drift"] > 0

    file = tmp_path / "network.onnx"
    code, exported = run(capsys, "export", str(folder), "-o", str(file), "--json")
    assert code == 0
    assert exported["is_the_measured_file"]
    network = load_network(folder, load_result(folder))
    images = np.random.default_rng(5).standard_normal((1, 3, 32, 32), dtype=np.float32)
    (given,) = onnxruntime.InferenceSession(file).run(None, {"input": images})
    with torch.inference_mode():
        expected = network(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(given, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())

    program = tmp_path / "network.pt2"
    words = ["export", str(folder), "--format", "torch", "-o", str(program), "--json"]
    assert run(capsys, *words)[0] == 0
    loaded = torch.export.load(program).module()
    np.testing.assert_allclose(loaded(torch.from_numpy(images)).detach(), expected, rtol=1e-4)


def test_a_search_for_two_targets_meets_both_budgets(
    fitted: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = "cpu/onnxruntime?threads=2"
    words = ["--device", "cpu", "--runtime", "onnxruntime", "--threads", "2", "--space", SPACE]
    assert run(capsys, "profile", *words, "--json")[0] == 0
    assert run(capsys, "fit", "--target", other, "--json")[0] == 0
    folder = tmp_path / "both"
    words = ["search", "proxyless", *SHORT, "--budget", BUDGET, "--also", f"{other}=1.2ms"]
    words += ["--warmup-epochs", "1", "--search-epochs", "1", "--out", str(folder)]
    words += ["--finalists", "2", "--finalist-epochs", "1"]
    code, result = run(capsys, *words, "--json")
    assert code == 0
    assert len(result["details"]["finalists"]) == 2
    assert 0 < result["measured_ms"] <= 1
    (also,) = result["details"]["also"]
    assert (also["target"], also["budget_ms"]) == (other, 1.2)
    assert 0 < also["measured_ms"] <= 1.2
    assert also["rounds"][-1]["architecture"] == result["architecture"]
    code, verified = run(capsys, "verify", str(folder), "--json")
    assert (code, verified["target"], verified["within_budget"]) == (0, TARGET, True)
    (there,) = verified["also"]
    assert (there["target"], there["within_budget"], there["same_table"]) == (other, True, True)
    assert there["measured_before_ms"] == also["measured_ms"]
    file = folder / "result.json"
    document = json.loads(file.read_text())
    document["details"]["also"][0]["budget_ms"] = 1e-3
    file.write_text(json.dumps(document))
    with pytest.raises(SystemExit) as caught:
        main(["verify", str(folder)])
    assert caught.value.code == 5
    said = capsys.readouterr()
    assert f"{other}: measured" in said.out
    assert f"on {other}" in " ".join(said.err.split())


def test_a_sweep_shares_one_warm_up_and_says_which_networks_are_on_the_front(
    fitted: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("codecarbon", reason="needs codecarbon: pip install 'lutier[energy]'")
    folder = tmp_path / "sweep"
    words = ["search", "proxyless", *SHORT, "--budgets", "1.1ms,900us", "--out", str(folder)]
    words += ["--warmup-epochs", "1", "--search-epochs", "1"]
    code, printed = run(capsys, *words, "--energy", "--cpu-watts", "40", "--json")
    assert code == 0
    (counted,) = printed.pop("energy")["runs"]
    assert counted["kwh"] > 0
    assert printed == {**json.loads((folder / "sweep.json").read_text()), "out": str(folder)}
    assert [point["budget_ms"] for point in printed["points"]] == [0.9, 1.1]
    assert printed["missed"] == []
    assert any(point["on_front"] for point in printed["points"])
    results = [load_result(folder / point["folder"]) for point in printed["points"]]
    for point, result in zip(printed["points"], results, strict=True):
        assert (point["architecture"], point["accuracy"]) == (result.architecture, result.accuracy)
        assert point["measured_ms"] <= point["budget_ms"] == result.budget_ms
    warm = [result.details["history"][0] for result in results]
    assert warm[0]["train_loss"] == warm[1]["train_loss"]
    warmup = folder / "warmup.pt"
    written = warmup.stat().st_mtime_ns
    said = main_prints(capsys, *words)
    assert all(point["architecture"].partition(":")[2] in said for point in printed["points"])
    assert f"lutier export {folder}" in said
    assert warmup.stat().st_mtime_ns == written


def main_prints(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    main(list(words))
    return capsys.readouterr().out


def test_a_sweep_refuses_budgets_before_it_trains(
    fitted: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["search", "proxyless", *SHORT, "--out", str(tmp_path / "out")]
    for budgets, code, said in (
        ("1ms,1us", 5, "the fastest is"),
        ("1ms,1s", 5, "is far above what"),
        ("1ms,1000us", 2, "is there twice"),
        ("1ms,fast", 2, "'fast'"),
    ):
        with pytest.raises(SystemExit) as caught:
            main([*words, "--budgets", budgets])
        assert caught.value.code == code
        assert said in " ".join(capsys.readouterr().err.split())
    for both in ([], ["--budget", "1ms", "--budgets", "1ms"]):
        with pytest.raises(SystemExit) as caught:
            main([*words, *both])
        assert caught.value.code == 2
        assert "one of --budget" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_torchrun_searches_with_two_processes(
    fitted: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["search", "proxyless", *SHORT, "--budget", BUDGET, "--json"]
    words += ["--warmup-epochs", "1", "--search-epochs", "1", "--out", str(tmp_path / "two")]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    process = subprocess.run(
        [sys.executable, *torchrun, "-m", "lutier", *words], capture_output=True, timeout=300
    )
    assert process.returncode == 0, process.stderr.decode()
    (line,) = process.stdout.decode().splitlines()
    assert json.loads(line)["architecture"] == load_result(tmp_path / "two").architecture
    words[-1] = str(tmp_path / "one")
    _, alone = run(capsys, *words)
    # Later epochs drift apart, as rounding grows at this learning rate.
    ours, theirs = alone["details"]["history"][0], json.loads(line)["details"]["history"][0]
    assert theirs["train_loss"] == pytest.approx(ours["train_loss"], rel=1e-2)


def test_a_budget_below_the_fastest_network_names_it(
    fitted: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*SHORT, "--budget", "1us", "--out", str(tmp_path / "out")]
    for method in ("proxyless", "knas"):
        with pytest.raises(SystemExit) as caught:
            main(["search", method, *words])
        assert caught.value.code == 5
        assert f"{SPACE}:" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_search_in_a_space_that_was_not_measured_says_how(
    fitted: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--target", TARGET, "--space", "mobile-tiny?width=2", "--data", "digits"]
    words += ["--budget", BUDGET, "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as caught:
        main(["search", "proxyless", *words])
    assert caught.value.code == 3
    err = " ".join(capsys.readouterr().err.split())
    assert "lutier profile --device cpu --runtime onnxruntime --threads 1" in err
    assert "mobile-tiny?width=2" in err


def test_a_search_on_data_of_other_classes_stops_before_training(
    fitted: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["search", "proxyless", *SHORT, "--budget", BUDGET, "--out", str(tmp_path / "out")]
    words[words.index("digits")] = "digit"
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    assert "digits" in capsys.readouterr().err


def test_verify_says_that_the_table_has_changed_since_the_search(
    fitted: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "out"
    words = ["search", "knas", *SHORT, "--budget", BUDGET, "--pool", "2", "--k", "1"]
    assert run(capsys, *words, "--out", str(folder), "--json")[0] == 0
    main(["verify", str(folder)])
    assert "table has changed" not in capsys.readouterr().out
    assert run(capsys, "profile", "--op", "linear/64/out=10", "--json")[0] == 0
    main(["verify", str(folder)])
    said = " ".join(capsys.readouterr().out.split())
    assert "the table has changed since the search" in said
    assert f"lutier fit --target '{TARGET}'" in said
    assert run(capsys, "verify", str(folder), "--json")[1]["same_table"] is False


def test_weights_that_were_cut_are_refused(
    fitted: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "out"
    words = ["search", "knas", *SHORT, "--budget", BUDGET, "--pool", "2", "--k", "1"]
    assert run(capsys, *words, "--out", str(folder), "--json")[0] == 0
    weights = folder / "weights.pt"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(SystemExit) as caught:
        main(["export", str(folder), "-o", str(tmp_path / "network.onnx")])
    assert caught.value.code == 2
    assert not (tmp_path / "network.onnx").exists()


def test_a_recording_answers_for_the_machine(
    fitted: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "laptop.json"
    main(["table", "record", "--target", TARGET, "-o", str(file)])
    capsys.readouterr()
    db = f"sqlite:///{tmp_path / 'replayed.db'}"
    words = ["profile", "--device", f"replay:{file}", "--space", SPACE, "--db", db, "--json"]
    code, replayed = run(capsys, *words)
    assert code == 0
    _, shown = run(capsys, "table", "show", "--target", TARGET, "--json")
    words = ["table", "show", "--target", replayed["target"], "--db", db, "--json"]
    _, again = run(capsys, *words)
    measured = {row["key"]: row for row in shown["rows"]}
    assert {row["key"] for row in again["rows"]} == set(measured)
    for row in again["rows"]:
        recorded = measured[row["key"]]
        assert recorded["ci_low_ms"] <= row["median_ms"] <= recorded["ci_high_ms"]
