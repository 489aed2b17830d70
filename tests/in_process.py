"""``lutier`` run in the process of the test."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lutier.cli.main import main


def run(*words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, output and error output."""
    code: Any = 0
    try:
        main(list(words))
    except SystemExit as end:
        code = end.code or 0
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def run_in_one_line(*words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """The same, the error output in one line however wide the terminal is."""
    code, out, err = run(*words, capsys=capsys)
    return code, out, " ".join(err.split())


def answer(*words: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What a command that succeeds answers with ``--json``."""
    code, out, err = run(*words, "--json", capsys=capsys)
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found
