from __future__ import annotations

import pytest

from lutier.progress import LOG_INTERVAL_S, Bar, ProfileBar
from lutier.terminal import out
from profiler.events import Failed, Prepared, RoundEnded, Visited
from profiler.protocol import Protocol


class Clock:
    """A clock that stands still until it is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr("lutier.progress.time.monotonic", lambda: self.now)


def test_a_log_gets_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock(monkeypatch)
    with Bar("working", 10) as bar:
        for done in range(1, 11):
            clock.now += LOG_INTERVAL_S / 4
            bar.update(done)
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["working: 5 of 10, 19 s left", "working: 10 of 10"]


def test_the_pace_is_that_since_work_began_anew(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock(monkeypatch)
    with Bar("loading", 100) as bar:
        clock.now += 1
        bar.update(100)
        bar.update(0, total=10, label="measuring")
        clock.now += 2 * LOG_INTERVAL_S
        bar.update(2)
    assert capsys.readouterr().err == "measuring: 2 of 10, 2 min left\n"


def test_the_option_quiet_is_heeded_by_every_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock(monkeypatch)
    monkeypatch.setattr(out, "quiet", True)
    with Bar("working", 2) as bar:
        clock.now += 2 * LOG_INTERVAL_S
        bar.update(1)
    assert capsys.readouterr().err == ""


def test_quiet_is_quiet(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock(monkeypatch)
    with Bar("working", 2, quiet=True) as bar:
        clock.now += 2 * LOG_INTERVAL_S
        bar.update(1)
        bar.say("a line")
    assert capsys.readouterr().err == ""


def test_profiling_is_followed_from_loading_to_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock(monkeypatch)
    with ProfileBar(Protocol(min_rounds=2, max_rounds=4)) as bar:
        for count in (1, 2):
            bar(Prepared(f"op{count}", count, 2))
        clock.now += 2 * LOG_INTERVAL_S
        bar(Visited("op1", 0))
        bar(Failed("op2", "did not run"))
        clock.now += 2 * LOG_INTERVAL_S
        bar(RoundEnded(1, 2, 0.0123))
    err = capsys.readouterr().err
    assert "failed: op2: did not run" in err
    assert "measuring, round 1, split-half error 1.2 %: 1 of 4" in err


def test_the_total_is_what_the_time_limit_allows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock(monkeypatch)
    with ProfileBar(Protocol(min_rounds=2, max_rounds=1000, max_seconds=200)) as bar:
        bar(Prepared("op", 1, 1))
        bar(Visited("op", 0))
        clock.now += 20
        bar(Visited("op", 1))
        bar(RoundEnded(2, 1, 0.5))
        clock.now += 20
        bar(Visited("op", 2))
    # Two rounds took 20 seconds: 200 seconds are 20 rounds.
    assert "3 of 20" in capsys.readouterr().err
