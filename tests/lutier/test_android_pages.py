"""What README and the page of phones tell people to type, against a simulated phone."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from phone_bench import CommandLine, PhoneBench, phone_bench


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PhoneBench]:
    with phone_bench(tmp_path / "bench", monkeypatch=monkeypatch) as found:
        yield found


def test_the_check_list_and_the_readme_run_as_written(bench: PhoneBench, tmp_path: Path) -> None:
    lutier = CommandLine(bench, tmp_path)
    root = Path(__file__).parents[2]
    page = (root / "docs" / "android.md").read_text().partition("## Check-list")[2]
    readme = (root / "README.md").read_text().partition("## A phone\n")[2]
    block = re.compile(r"```(?:text|sh)\n(.*?)```", flags=re.DOTALL)
    blocks = [block.findall(text)[0] for text in (readme, page)]
    lines = [line for block in blocks for line in block.splitlines()]
    assert len(lines) == 12
    # The same commands with less to do.
    lutier.environment |= {"LUTIER_NETWORKS": "20", "LUTIER_MAX_SECONDS": "1"}
    for line in lines:
        assert line.startswith("lutier ")
        words = shlex.split(line.replace("SERIAL", bench.phone.serial))[1:]
        words = [str(bench.program) if word == "FILE" else word for word in words]
        if words[0] == "search":
            words += ["--budget", "5ms", "--pool", "8", "--k", "1", "--train-epochs", "1"]
        lutier(*words, folder=tmp_path)
