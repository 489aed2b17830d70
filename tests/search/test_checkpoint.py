from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from devices.errors import InputError
from search.augment import Augmentation
from search.checkpoint import fingerprint_of, load_checkpoint, save_checkpoint
from search.data import DataSource, from_dataset
from search.data.published import from_published
from search.spaces.mobile import mobile_tiny
from search.train import TrainConfig

FINGERPRINT = {"space": "small", "seed": "0"}


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "run.pt"
    assert load_checkpoint(path, FINGERPRINT) is None
    save_checkpoint(path, FINGERPRINT, {"weights": torch.arange(3), "losses": [0.5, None]})
    state = load_checkpoint(path, FINGERPRINT)
    assert state is not None
    assert torch.equal(state["weights"], torch.arange(3))
    assert state["losses"] == [0.5, None]


def test_a_failed_write_leaves_the_old_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    save_checkpoint(path, FINGERPRINT, {"epoch": 1})
    with pytest.raises((AttributeError, pickle.PicklingError)):
        save_checkpoint(path, FINGERPRINT, {"epoch": lambda: 2})
    assert load_checkpoint(path, FINGERPRINT) == {"epoch": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_every_field_that_differs_is_named(tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    save_checkpoint(path, FINGERPRINT, {})
    with pytest.raises(InputError, match=r"another run: seed was 0, is 1; space was small, is big"):
        load_checkpoint(path, {"space": "big", "seed": "1"})


class Harmful:
    def __reduce__(self) -> Any:
        return (print, ("harm",))


def test_a_file_that_would_run_code_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.pt"
    torch.save({"format": 1, "fingerprint": FINGERPRINT, "state": Harmful()}, path)
    with pytest.raises(InputError, match="cannot be read as a checkpoint"):
        load_checkpoint(path, FINGERPRINT)
    assert capsys.readouterr().out == ""


def published(seed: int) -> DataSource:
    """Data that are kept as bytes."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (40, 3, 4, 4), generator=generator, dtype=torch.uint8)
    arrays = pixels, torch.arange(40) % 2
    return from_published("dataset", arrays, arrays, (3, 4, 4), 2, 0, Augmentation())


def published_fields(seed: int) -> dict[str, str]:
    return fingerprint_of(data=published(seed))


def test_fingerprints_tell_settings_spaces_and_data_apart() -> None:
    pair = (torch.zeros(8, 3, 4, 4), torch.arange(8) % 2)
    other = (torch.ones(8, 3, 4, 4), torch.arange(8) % 2)

    def of(**changes: Any) -> dict[str, str]:
        parts = {
            "config": TrainConfig(),
            "space": mobile_tiny(),
            "data": from_dataset(pair, pair, pair),
            "budget_ms": 1.5,
        }
        return fingerprint_of(**{**parts, **changes})

    def differing(**changes: Any) -> set[str]:
        return {name for name, text in of(**changes).items() if of()[name] != text}

    assert differing() == set()
    assert differing(config=dataclasses.replace(TrainConfig(), seed=1)) == {"config.seed"}
    assert differing(space=mobile_tiny(width=0.5)) == {"space"}
    assert differing(data=from_dataset(pair, pair, other)) == {"data"}
    assert differing(data=published(0)) == {"data"}
    assert published_fields(0) == published_fields(0)
    assert published_fields(0) != published_fields(1)
    assert differing(budget_ms=2.0) == {"budget_ms"}
