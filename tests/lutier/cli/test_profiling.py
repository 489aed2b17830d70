"""``lutier profile`` on recordings: what it says of measurements that are not to be trusted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from in_process import answer, run_in_one_line

from devices.environment import Environment
from devices.replay import write_recording
from devices.target import Target

KEY = "linear/64/out=10"


@pytest.fixture(autouse=True)
def as_many_rounds_as_visits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve rounds, however quick they are."""
    monkeypatch.setenv("LUTIER_MIN_SECONDS", "0")


def recording(path: Path, visits_ms: list[float]) -> list[str]:
    """A command that profiles a recording in which these visits come over and over."""
    target = Target.make(f"replay:{path}", "onnxruntime", {})
    # Five timed runs a visit; a clock so fine that no two of them agree.
    samples = [value + 1e-5 * run for value in visits_ms for run in range(5)]
    write_recording(path, target, Environment.of({}), {KEY: samples})
    return ["profile", "--device", f"replay:{path}", "--op", KEY, "--max-rounds", "12"]


@pytest.mark.parametrize(
    ("visits_ms", "said"),
    [
        ([1.0, 1.5], "the split-half error is 40.0 %"),
        ([1.0, 1.0, 1.2, 1.2], "100.0 % of the figures are doubtful: 1 bimodal"),
    ],
    ids=["halves that disagree", "two modes"],
)
def test_strict_refuses_what_is_not_to_be_trusted(
    visits_ms: list[float], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = recording(tmp_path / "recorded.json", visits_ms)
    code, _, err = run_in_one_line(*words, "--strict", capsys=capsys)
    assert code == 6
    assert f"error: {said}" in err
    assert "measure into a new --db" in err


def test_without_strict_it_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = recording(tmp_path / "recorded.json", [1.0, 1.5])
    code, out, err = run_in_one_line(*words, capsys=capsys)
    assert (code, "warning: the split-half error is 40.0 %" in err) == (0, True)
    assert "doubtful: 1 noisy" in out


def test_what_is_doubtful_is_in_the_report_and_in_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = recording(tmp_path / "recorded.json", [1.0, 1.0, 1.2, 1.2])
    report: dict[str, Any] = answer(*words, capsys=capsys)
    assert report["findings"] == {"bimodal": 1}
    assert (report["doubtful"], report["trustworthy"]) == (1.0, False)
    _, out, _ = run_in_one_line(
        "table", "show", "--target", report["target"], "--ops", capsys=capsys
    )
    (row,) = [line for line in out.splitlines() if KEY in line]
    assert row.endswith(f"{KEY}  bimodal")
    assert "bimodal (The visits fall into two groups" in out


def test_quiet_measurements_are_sound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = recording(tmp_path / "recorded.json", [1.0, 1.001, 0.999, 1.0005])
    code, out, _ = run_in_one_line(*words, "--strict", "--json", capsys=capsys)
    assert (code, json.loads(out)["findings"]) == (0, {})
