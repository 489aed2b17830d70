from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from devices.errors import ArtifactError, InputError
from lutier.results import (
    RESULT_FILE,
    WEIGHTS_FILE,
    SearchResult,
    load_network,
    load_result,
    save_result,
)
from search.spaces.mobile import mobile_tiny

SPACE = mobile_tiny(width=0.25)
NETWORK = SPACE.architecture([0, 1, 6, 2, 3, 4, 5, 6, 0])


def result(**changed: Any) -> SearchResult:
    values: dict[str, Any] = {
        "method": "knas",
        "architecture": NETWORK.id,
        "space": SPACE.name,
        "target": "cpu/onnxruntime?threads=1",
        "environment_id": "0" * 12,
        "data": "digits",
        "budget_ms": 1.0,
        "predicted_ms": 0.9,
        "measured_ms": 0.95,
        "measured_interval_ms": (0.94, 0.96),
        "drift": None,
        "accuracy": 0.5,
        "validation_accuracy": 0.5,
        "seed": 0,
        "artifact_sha256": "0" * 64,
        "seconds": 1.0,
        "lutier_version": "0",
        "details": {},
    }
    return SearchResult(**{**values, **changed})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_result(tmp_path, result(), SPACE.build(NETWORK).state_dict())
    return tmp_path


def test_what_was_saved_is_loaded(folder: Path) -> None:
    assert load_result(folder) == result()
    torch.manual_seed(0)
    wanted = SPACE.build(NETWORK).eval()
    images = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(load_network(folder, result())(images), wanted(images))


def test_the_budget_is_compared_with_what_was_measured() -> None:
    assert result().is_within_budget
    assert not result(measured_ms=1.01, predicted_ms=0.5).is_within_budget


def test_a_folder_without_a_result_says_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lutier search"):
        load_result(tmp_path)


@pytest.mark.parametrize("text", ["", "{}", "[]", "nonsense", '{"method": 3}', "\x00\xff"])
def test_a_file_that_is_no_result_is_refused(folder: Path, text: str) -> None:
    (folder / RESULT_FILE).write_text(text)
    with pytest.raises(InputError, match="not a result"):
        load_result(folder)


def test_a_result_with_a_field_too_many_is_refused(folder: Path) -> None:
    document = json.loads((folder / RESULT_FILE).read_text())
    (folder / RESULT_FILE).write_text(json.dumps({**document, "bonus": 1}))
    with pytest.raises(InputError, match="bonus"):
        load_result(folder)


@pytest.mark.parametrize("keep", [0, 10, 1000, 0.5])
def test_weights_that_were_cut_are_refused(folder: Path, keep: float) -> None:
    path = folder / WEIGHTS_FILE
    data = path.read_bytes()
    path.write_bytes(data[: int(keep if keep >= 1 or keep == 0 else keep * len(data))])
    with pytest.raises(ArtifactError):
        load_network(folder, result())


def test_weights_that_are_missing_or_of_another_network_are_refused(folder: Path) -> None:
    other = SPACE.architecture([1] * 9)
    with pytest.raises(ArtifactError):
        load_network(folder, result(architecture=other.id))
    (folder / WEIGHTS_FILE).unlink()
    with pytest.raises(ArtifactError):
        load_network(folder, result())


def test_weights_that_would_run_code_are_refused(folder: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (folder / "run",))

    torch.save({"0.0.weight": Evil()}, folder / WEIGHTS_FILE)
    with pytest.raises(ArtifactError):
        load_network(folder, result())
    assert not (folder / "run").exists()
