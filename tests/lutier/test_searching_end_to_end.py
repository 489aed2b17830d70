"""Searches that train many networks, through the command line, on one table measured once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from measured_home import measure_into, use_home

from lutier.cli.main import main
from lutier.energy import load_energy
from lutier.searching import Bench
from search.architecture import Architecture

# What these commands are made of is tested in tests/search.
pytestmark = pytest.mark.slow

TARGET = "cpu/onnxruntime?threads=1"
SPACE = "mobile-tiny?width=0.25"
COMMON = ["--target", TARGET, "--space", SPACE, "--data", "digits", "--budget", "10ms"]
SHORT = [*COMMON, "--train-epochs", "1", "--seed", "3"]
FEW = [*SHORT, "--evaluations", "4", "--evaluation-epochs", "1"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the table and the model of this machine."""
    home = tmp_path_factory.mktemp("measured")
    measure_into(home, SPACE, TARGET)
    return home


@pytest.fixture(autouse=True)
def use_store(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_home(monkeypatch, store)


def run(folder: Path, *words: str) -> dict[str, Any]:
    main(["search", *words, "--out", str(folder)])
    result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return result


def test_knas_by_several_proxies_in_two_processes_with_halving_is_that_of_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["knas", *COMMON, "--train-epochs", "2", "--pool", "6", "--k", "4", "--halving", "1"]
    words += ["--score", "naswot+flops", "--score-batch", "16"]
    alone = run(tmp_path / "alone", *words)
    out = capsys.readouterr().out
    assert "6  in the pool" in out
    assert "2  trained to the end; 2 dropped half way" in out
    together = run(tmp_path / "together", *words, "--workers", "2")
    assert together["architecture"] == alone["architecture"]
    for key in ("funnel",):
        assert together["details"][key] == alone["details"][key]
    scores = [
        [
            (one["architecture"], one["score"], one["status"])
            for one in result["details"]["finalists"]
        ]
        for result in (alone, together)
    ]
    assert scores[0] == scores[1]
    assert alone["details"]["workers"] == {"count": 1, "cluster": None}


def test_energy_is_kept_beside_the_result_run_by_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("codecarbon", reason="needs codecarbon: pip install 'lutier[energy]'")
    words = ["knas", *SHORT, "--pool", "2", "--k", "1", "--score", "random"]
    words += ["--energy", "--cpu-watts", "20", "--country", "DEU"]
    first = run(tmp_path, *words)
    out = capsys.readouterr().out
    assert "kWh; CPU by its load and 20 W as given" in out
    assert "kg CO2e, electricity of DEU" in out
    (one,) = first["details"]["energy"]["runs"]
    assert one["kwh"] > 0
    assert one["co2e_kg"] > 0
    second = run(tmp_path, *words)
    assert second["details"]["energy"]["runs"][0] == one
    assert len(load_energy(tmp_path).runs) == 2


def test_a_strategy_trains_and_measures_the_best_it_evaluated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run(tmp_path, "evolution", *FEW, "--population", "2")
    assert "4 networks evaluated" in capsys.readouterr().out
    details = result["details"]
    assert result["method"] == "evolution"
    assert details["config"]["strategy"] == {"population": 2, "sample": 1}
    assert details["stop"] == "evaluations"
    best = max(details["evaluations"], key=lambda row: (row["value"], -row["latency_ms"]))
    assert result["architecture"] == best["architecture"]
    assert 0 < result["measured_ms"] <= 10
    assert len(details["trained"]["train_loss"]) == 1
    assert details["rounds"][-1]["architecture"] == result["architecture"]
    main(["verify", str(tmp_path)])


def test_the_front_of_nsga2_is_printed_and_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run(tmp_path, "nsga2", *FEW, "--population", "2")
    out = capsys.readouterr().out
    front = result["details"]["front"]
    assert front
    assert [row["latency_ms"] for row in front] == sorted(row["latency_ms"] for row in front)
    assert [row["value"] for row in front] == sorted(row["value"] for row in front)
    assert "the front of short trainings" in out
    assert all(row["architecture"] in out for row in front)


def test_an_interrupted_strategy_goes_on_with_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = run(tmp_path / "whole", "reinforce", *FEW)
    from lutier import searching

    real, made = searching.train, []

    def train(*arguments: Any, **named: Any) -> Any:
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(arguments)
        return real(*arguments, **named)

    monkeypatch.setattr(searching, "train", train)
    with pytest.raises(SystemExit) as caught:
        main(["search", "reinforce", *FEW, "--out", str(tmp_path / "cut")])
    assert caught.value.code == 130
    made[:] = [None] * 3
    result = run(tmp_path / "cut", "reinforce", *FEW)
    # The two evaluations that were missing, and the training of the network found.
    assert len(made) == 3 + 2 + 1
    rows = [
        [(row["architecture"], row["value"]) for row in each["details"]["evaluations"]]
        for each in (wanted, result)
    ]
    assert rows[0] == rows[1]
    assert result["architecture"] == wanted["architecture"]


def test_a_best_network_that_is_too_slow_when_measured_gives_way_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[str] = []

    def measure(bench: Bench, architecture: Architecture) -> tuple[float, float]:
        measured.append(architecture.id)
        return (9.0, 10.5) if len(measured) == 1 else (1.0, 1.1)

    monkeypatch.setattr(Bench, "measure", measure)
    result = run(tmp_path / "next", "random", *FEW)
    ranked = sorted(
        result["details"]["evaluations"], key=lambda row: (-row["value"], row["latency_ms"])
    )
    assert measured == [row["architecture"] for row in ranked[:2]]
    assert result["architecture"] == measured[1]

    monkeypatch.setattr(Bench, "measure", lambda *_: (9.0, 10.5))
    with pytest.raises(SystemExit) as caught:
        run(tmp_path / "none", "random", *FEW)
    assert caught.value.code == 5


def test_time_ends_a_strategy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = run(tmp_path, "random", *FEW, "--seconds", "0.001")
    assert "1 networks evaluated; the time was over" in capsys.readouterr().out
    assert result["details"]["stop"] == "seconds"
    assert len(result["details"]["evaluations"]) == 1


def test_other_settings_in_the_same_folder_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, "random", *FEW)
    with pytest.raises(SystemExit) as caught:
        run(tmp_path, "random", *SHORT, "--evaluations", "4", "--evaluation-epochs", "2")
    assert caught.value.code == 2
    assert "evaluation.epochs was 1, is 2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["knas", "--score", "naswott"], 2, "unknown score 'naswott'. Try: naswot"),
        (["knas", "--pool", "3", "--k", "4"], 2, "k=4 of a pool of 3 networks"),
        (["knas", "--pool", "none"], 2, "neither a number from 1 nor all"),
        (["knas", "--pool", "all"], 2, "a pool is taken whole up to 100,000"),
        (["knas", "--halving", "1"], 2, "a training has 1 epochs"),
        (["knas", "--halving", "a"], 2, "is not a list of epochs"),
        (["knas", "--score-batch", "5000"], 2, "networks are scored on 5000"),
        (["knas", "--country", "DEU"], 2, "are for --energy"),
        (["knas", "--cluster", "http://here"], 2, "it is written ray://HOST:PORT"),
        (["knas", "--cluster", "ray://h", "--workers", "2"], 2, "a cluster has the workers it has"),
        (["knas", "--cluster", "ray://h", "--train-device", "cuda"], 2, "train on a CPU each"),
        (["evolution", "--population", "4", "--sample", "5"], 2, "tournaments of 5"),
        (["evolution", "--evaluations", "0"], 2, "0 is not in the range"),
        (["predictor", "--model", "tree"], 2, "'tree' is not one of"),
        (["random", "--budget", "1us"], 5, f"the fastest is {SPACE}:"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    words: list[str], code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["search", words[0], *SHORT, *words[1:], "--out", str(tmp_path / "out")])
    assert caught.value.code == code
    # A usage error is drawn in a box as wide as the terminal.
    assert said in " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert not (tmp_path / "out").exists()


def test_a_cluster_that_does_not_answer_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray", reason="needs ray: pip install 'lutier[cluster]'")
    with pytest.raises(SystemExit) as caught:
        main(["search", "knas", *SHORT, "--cluster", "ray://127.0.0.1:9", "--out", str(tmp_path)])
    assert caught.value.code == 4
    said = capsys.readouterr().err.strip()
    assert said.startswith("error: no Ray cluster answers at ray://127.0.0.1:9: ")
    assert len(said.splitlines()) == 1
