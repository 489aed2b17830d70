"""Every command and snippet in the README is run, in order, in one folder."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
# The same commands with less to do: only what takes minutes is cut short.
SHORTER = {
    "LUTIER_NETWORKS": "30",
    "LUTIER_MAX_ROUNDS": "12",
    "LUTIER_MIN_SECONDS": "0",
}
# The last budget given counts: one that any machine meets, however busy it is.
ADDED = {
    ("search", "proxyless"): "--budget 5ms --train-epochs 1 --warmup-epochs 1 --search-epochs 1",
    ("search", "knas"): "--budget 5ms --train-epochs 1 --pool 8 --k 2",
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands() -> list[list[str]]:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.strip()]


def test_every_lutier_command_runs_in_the_order_given(tmp_path: Path) -> None:
    wanted = [words for words in commands() if words[0] == "lutier"]
    assert len(wanted) >= 8
    environment = {**os.environ, **SHORTER}
    for words in wanted:
        extra = shlex.split(ADDED.get((words[1], words[2] if words[2:] else ""), ""))
        done = subprocess.run(
            [sys.executable, "-m", "lutier", *words[1:], *extra],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr}"


def test_every_make_target_exists() -> None:
    targets = [words[1] for words in commands() if words[0] == "make"]
    assert targets == ["demo", "test"]
    for target in targets:
        done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("snippet", blocks("python"))
def test_every_python_snippet_runs(snippet: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", snippet], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_every_link_leads_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert link.startswith("https://") or (ROOT / link).exists(), link
