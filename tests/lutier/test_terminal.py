from __future__ import annotations

import io
import json
import math

import pytest
from rich.console import Console

from lutier import terminal as terminal_module
from lutier.terminal import percent, to_json


def test_json_has_null_where_a_figure_is_unknown() -> None:
    value = {"a": math.nan, "b": [math.inf, 1.5], "c": {"d": (2, -math.inf)}}
    assert json.loads(json.dumps(to_json(value), allow_nan=False)) == {
        "a": None,
        "b": [None, 1.5],
        "c": {"d": [2, None]},
    }


def test_percent_says_unknown_rather_than_nan() -> None:
    assert percent(0.0123) == "1.2 %"
    assert percent(math.nan) == "unknown"


def printed_by_hanging(
    monkeypatch: pytest.MonkeyPatch, head: str, text: str, *, terminal: bool
) -> list[str]:
    console = Console(
        file=io.StringIO(), width=30, force_terminal=terminal, soft_wrap=True, color_system=None
    )
    monkeypatch.setattr(terminal_module, "out", console)
    terminal_module.print_hanging(head, text, 6)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue().splitlines()


def test_text_hangs_under_its_first_line_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "one two three four five six sqlite:///a/very/long/path/that/stays.db"
    lines = printed_by_hanging(monkeypatch, "[bold]ok[/bold]    ", text, terminal=True)
    assert lines == [
        "ok    one two three four five",
        "      six",
        "      sqlite:///a/very/long/path/that/stays.db",
    ]


def test_text_stays_in_one_line_where_it_is_piped(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "[not markup] one two three four five six seven"
    assert printed_by_hanging(monkeypatch, "ok    ", text, terminal=False) == [f"ok    {text}"]


def test_json_is_printed_quiet_or_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(terminal_module.out, "quiet", True)
    terminal_module.print_json({"figure": float("nan")})
    assert capsys.readouterr().out == '{"figure": null}\n'
