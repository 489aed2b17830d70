"""``lutier plot``: each kind to a file, and one line where it cannot be drawn."""

from __future__ import annotations

from pathlib import Path

import drawn_results as made
import in_process
import pytest

from lutier.cli.plot import KINDS


def run(*words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    return in_process.run("plot", *words, capsys=capsys)


@pytest.mark.parametrize(
    ("kind", "count"),
    [("front", 1), ("predictions", 1), ("blocks", 2), ("history", 2), ("table", 1)],
)
def test_each_kind_is_drawn(
    kind: str, count: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made.two_runs(tmp_path / "runs")
    made.fill_store(f"sqlite:///{tmp_path / 'runs' / 'lutier.db'}")
    file = tmp_path / "figure.svg"
    code, out, _ = run(kind, str(tmp_path / "runs"), "-o", str(file), capsys=capsys)
    assert code == 0
    written = sorted(path.name for path in tmp_path.glob("*.svg"))
    assert written == sorted(["figure.svg", *(f"figure-{i}.svg" for i in range(2, count + 1))])
    assert len(out.splitlines()) == count
    assert "</svg>" in file.read_text()
    assert kind in KINDS


def test_what_needs_a_table_says_so_without_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made.write_result(tmp_path / "a")
    for kind in ("blocks", "table"):
        code, _, err = run(kind, str(folder), "-o", str(tmp_path / "a.svg"), capsys=capsys)
        assert code == 3
        assert "--db" in err.splitlines()[-1]
    assert not list(tmp_path.glob("*.svg"))


def test_bad_input_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = made.write_result(tmp_path / "a")
    for words, says in (
        (["front", str(folder), "-o", "a.gif"], "svg, png, pdf"),
        (["front", str(tmp_path / "gone"), "-o", "a.svg"], "no folder"),
        (["fronts", str(folder), "-o", "a.svg"], "front"),
    ):
        code, _, err = run(*words, capsys=capsys)
        assert code == 2
        assert says in err
        assert "Traceback" not in err
