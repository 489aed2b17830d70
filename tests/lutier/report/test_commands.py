"""The commands of a page are the ones that made its results, and commands that exist."""

from __future__ import annotations

import itertools
import shlex
from pathlib import Path
from typing import Any

import drawn_results as made
import pytest

from lutier.cli.main import cli
from lutier.cli.search_knas import DEFAULT_SCORE
from lutier.plots.evidence import Evidence, gather_evidence
from lutier.plots.runs import find_runs
from lutier.report.commands import commands
from lutier.settings import Settings


def lines(folder: Path, evidence: Evidence | None = None) -> list[list[str]]:
    found = commands(
        find_runs([folder]),
        {made.TARGET: evidence or Evidence(made.TARGET)},
        Settings(home=folder),
        "page.html",
    )
    return [shlex.split(command.line) for command in found]


def searched(folder: Path, **changed: Any) -> list[str]:
    made.write_result(folder, **changed)
    return next(words for words in lines(folder) if words[1] == "search")


def test_every_command_is_read_by_the_command_line(tmp_path: Path) -> None:
    made.two_runs(tmp_path)
    wanted = ["profile", "fit", "search", "search", "verify", "export", "verify", "export"]
    found = lines(tmp_path)
    assert [words[1] for words in found] == [*wanted, "report"]
    for words in found:
        command, arguments = cli.commands[words[1]], words[2:]
        if words[1] == "search":
            command, arguments = getattr(command, "commands")[words[2]], words[3:]  # noqa: B009
        # Raises for an option or a value that there is not.
        command.make_context(words[1], arguments)


def test_what_differs_from_the_defaults_is_said(tmp_path: Path) -> None:
    words = searched(tmp_path / "a", details=made.knas_details(), budget_ms=0.17)
    said = dict(itertools.pairwise(words))
    assert (said["--budget"], said["--seed"]) == ("0.17ms", "3")
    assert (said["--pool"], said["--k"], said["--train-epochs"]) == ("50", "2", "5")
    assert "--train-batch" not in words


def test_a_setting_is_said_where_the_flag_left_out_means_another(tmp_path: Path) -> None:
    for score, said in (("mgm", True), (DEFAULT_SCORE, False)):
        details = made.knas_details(config={"score": score, "pool_size": None, "halving": [2, 4]})
        words = searched(tmp_path / score, details=details)
        assert ("--score" in words) is said
        assert words[words.index("--pool") + 1] == "all"
        assert words[words.index("--halving") + 1] == "2,4"


def test_settings_of_a_strategy_are_said(tmp_path: Path) -> None:
    words = searched(tmp_path / "a", method="evolution", details=made.strategy_details())
    said = dict(itertools.pairwise(words))
    assert words[2] == "evolution"
    assert (said["--population"], said["--sample"]) == ("4", "2")
    assert (said["--evaluations"], said["--evaluation-epochs"]) == ("3", "1")


def test_settings_of_the_search_are_not_taken_for_those_of_the_training(tmp_path: Path) -> None:
    details = made.proxyless_details(
        config={"warmup_epochs": 7, "batch_size": 8, "gradient": "full", "momentum": 0.5},
        training={"epochs": 12, "batch_size": 16, "augmentation": {"crop": 0.125, "flip": True}},
    )
    words = searched(tmp_path / "a", method="proxyless", details=details)
    said = dict(itertools.pairwise(words))
    assert (said["--warmup-epochs"], said["--train-batch"]) == ("7", "16")
    assert said["--search-batch"] == "8"
    assert (said["--gradient"], said["--augment"]) == ("full", "crop+flip")
    remark = next(
        command.remark
        for command in commands(
            find_runs([tmp_path / "a"]),
            {made.TARGET: Evidence(made.TARGET)},
            Settings(home=tmp_path),
            "page.html",
        )
        if command.title.startswith("Search")
    )
    assert remark == "Set from Python, by no flag: momentum=0.5."


def test_further_budgets_and_confidence_are_said(tmp_path: Path) -> None:
    also = {"target": "cpu/torch?threads=1", "budget_ms": 2.0, "predicted_ms": 1.9}
    details = made.proxyless_details(also=[{**also, "measured_ms": 1.9}], confidence=0.9)
    made.write_result(tmp_path / "a", method="proxyless", details=details)
    runs = find_runs([tmp_path / "a"])
    evidence = {name: Evidence(name) for name in (made.TARGET, "cpu/torch?threads=1")}
    found = commands(runs, evidence, Settings(home=tmp_path), "page.html")
    line = next(each.line for each in found if each.title.startswith("Search"))
    assert "--also 'cpu/torch?threads=1=2.0ms'" in line
    assert "--confidence 0.9" in line


def test_a_method_without_a_command_is_said_to_have_none(tmp_path: Path) -> None:
    made.write_result(tmp_path / "a", method="; rm -rf /")
    words = next(words for words in lines(tmp_path / "a") if words[1] == "search")
    assert words == ["lutier", "search", "--help"]


def test_hostile_names_stay_one_word(tmp_path: Path) -> None:
    words = searched(tmp_path / "a; touch x", data="digits $(touch y)")
    assert "digits $(touch y)" in words
    assert str(tmp_path / "a; touch x") in words


def test_the_database_and_how_it_was_measured_are_said(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    made.write_result(folder / "a")
    url = f"sqlite:///{folder / 'lutier.db'}"
    made.fill_store(url, networks=5)
    runs, settings = find_runs([folder]), Settings(home=tmp_path, max_seconds=25)
    evidence = gather_evidence(runs, settings, [folder])
    found = [shlex.split(each.line) for each in commands(runs, evidence, settings, "page.html")]
    profile = found[0]
    said = dict(itertools.pairwise(profile))
    assert said["--networks"] == "5"
    assert said["--time-limit"] == "120"
    assert all(words[words.index("--db") + 1] == url for words in found if words[1] != "export")


@pytest.mark.parametrize("budget_ms", [0.00005, 1e-5, 1.5, 123456.0])
def test_a_budget_is_read_back_exactly(budget_ms: float, tmp_path: Path) -> None:
    from search.budget import parse_budget

    words = searched(tmp_path / "a", budget_ms=budget_ms)
    assert parse_budget(words[words.index("--budget") + 1]) == budget_ms
