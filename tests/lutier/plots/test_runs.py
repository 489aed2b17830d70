"""Results are found in folders, checked before anything is drawn, and named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import drawn_results as made
import pytest

from devices.errors import InputError
from lutier.plots.runs import find_runs


def test_results_are_found_in_a_folder_and_one_level_below_it(tmp_path: Path) -> None:
    made.write_result(tmp_path / "all" / "b")
    made.write_result(tmp_path / "all" / "a")
    alone = made.write_result(tmp_path / "c")
    runs = find_runs([tmp_path / "all", alone, tmp_path / "all" / "a"])
    assert [run.name for run in runs] == ["a", "b", "c"]
    assert runs[0].architecture == made.FOUND


def test_runs_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    folders = [made.write_result(tmp_path / above / "run") for above in ("x", "y")]
    folders.append(made.write_result(tmp_path / "deep" / "x" / "run"))
    assert [run.name for run in find_runs(folders)] == ["x/run", "y/run", "x/run (2)"]


def test_a_folder_that_is_not_there_or_has_no_result_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder"):
        find_runs([tmp_path / "gone"])
    with pytest.raises(InputError, match="lutier search"):
        find_runs([tmp_path])


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"measured_ms": float("nan")}, "measured_ms"),
        ({"measured_ms": -1.0}, "measured_ms"),
        ({"predicted_ms": float("inf")}, "predicted_ms"),
        ({"accuracy": 1.5}, "accuracy"),
        ({"measured_interval_ms": [0.96, 0.97]}, "not within it"),
        ({"space": "no-such-space"}, "no-such-space"),
        ({"architecture": "mobile-tiny:99"}, "mobile-tiny"),
        ({"target": "<script>"}, "DEVICE/RUNTIME"),
        ({"details": {"history": [{"epoch": "x"}]}}, "details.history"),
        ({"details": {"rounds": 7}}, "details.rounds"),
        ({"details": made.knas_details(also=[{"target": "x"}])}, "details.also"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_line(
    changed: dict[str, Any], says: str, tmp_path: Path
) -> None:
    folder = made.write_result(tmp_path / "run", **changed)
    with pytest.raises(InputError) as caught:
        find_runs([folder])
    assert says in str(caught.value)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_networks_of_another_space_in_the_details_are_refused(tmp_path: Path) -> None:
    details = made.knas_details()
    details["finalists"][1]["architecture"] = "mobile-tiny:000000000"
    with pytest.raises(InputError, match="not of the space"):
        find_runs([made.write_result(tmp_path, details=details)])


def test_a_result_of_another_version_is_named_as_one(tmp_path: Path) -> None:
    made.write_result(tmp_path, lutier_version="9.9", details={"rounds": 7})
    with pytest.raises(InputError, match=r"Lutier 9\.9, this is"):
        find_runs([tmp_path])
    document = made.result_document(invented=1)
    (tmp_path / "result.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match="invented"):
        find_runs([tmp_path])
