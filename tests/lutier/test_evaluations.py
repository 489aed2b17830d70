from __future__ import annotations

import json
from pathlib import Path

import pytest

from devices.errors import InputError
from lutier.evaluations import EvaluationFile
from search.architecture import Architecture
from search.strategies import Evaluation

FINGERPRINT = {"seed": "0"}


def evaluation(order: int, value: float | None = 0.5) -> Evaluation:
    failure = "" if value is not None else "it diverged"
    return Evaluation(order, Architecture("a", (order, 1)), value, 1.5, 2.5, failure)


@pytest.fixture
def file(tmp_path: Path) -> EvaluationFile:
    return EvaluationFile(tmp_path / "new" / "evaluations.jsonl", FINGERPRINT)


def test_what_is_kept_is_read_back(file: EvaluationFile) -> None:
    assert file.read() == []
    kept = [evaluation(0), evaluation(1, None)]
    for one in kept:
        file.append(one)
    assert EvaluationFile(file.path, FINGERPRINT).read() == kept


@pytest.mark.parametrize("lines", [0, 1, 2])
def test_a_line_that_was_cut_is_left_out_for_good(file: EvaluationFile, lines: int) -> None:
    for order in range(2):
        file.append(evaluation(order))
    text = file.path.read_text().splitlines(keepends=True)
    file.path.write_text("".join(text[:lines]) + text[lines][:10])
    before = [evaluation(order) for order in range(max(lines - 1, 0))]
    assert file.read() == before
    file.append(evaluation(len(before)))
    assert file.read() == [*before, evaluation(len(before))]


def test_another_search_is_refused_with_what_differs(file: EvaluationFile) -> None:
    file.append(evaluation(0))
    with pytest.raises(InputError, match=r"of another search: seed was 0, is 1\. Try: another"):
        EvaluationFile(file.path, {"seed": "1"}).read()


@pytest.mark.parametrize("first", ["[]", "1", "{}", "nonsense", '{"fingerprint": 3}'])
def test_another_file_is_refused(file: EvaluationFile, first: str) -> None:
    file.path.parent.mkdir()
    file.path.write_text(first + "\n")
    with pytest.raises(InputError, match="does not hold evaluations"):
        file.read()


def test_a_row_that_is_no_evaluation_is_refused(file: EvaluationFile) -> None:
    file.append(evaluation(0))
    with file.path.open("a") as out:
        out.write(json.dumps({"order": 1}) + "\n")
    with pytest.raises(InputError, match="is not an evaluation"):
        file.read()
