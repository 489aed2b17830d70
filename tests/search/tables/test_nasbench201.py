from __future__ import annotations

import importlib.util
import itertools
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from devices.errors import DatasetError, InputError, MissingExtraError, UnknownNameError
from search.tables.nasbench201 import DATA_SETS, load_accuracies

KEYS = ["".join(key) for key in itertools.product("01234", repeat=6)]


def write(folder: Path, **changed: Any) -> Path:
    rows = {key: {"val_acc": [10.0, 12.0]} for key in KEYS} | changed
    (folder / "cifar10.pkl").write_bytes(pickle.dumps(rows))
    return folder


@pytest.mark.parametrize(
    ("data_set", "choices", "percent"),
    [
        ("cifar10", (3, 3, 3, 1, 3, 2), (91.684, 91.72, 91.416)),
        ("cifar100", (3, 3, 3, 1, 3, 3), (73.52, 73.38, 73.58)),
        ("imagenet16-120", (3, 2, 2, 1, 3, 3), (46.7, 46.76667)),
    ],
)
def test_the_best_network_and_its_seeds(
    data_set: str, choices: tuple[int, ...], percent: tuple[float, ...]
) -> None:
    table = load_accuracies(data_set)
    assert table.seeds(choices) == pytest.approx(percent, abs=1e-4)
    means = np.nanmean(table.percent, -1)
    assert table.accuracy(choices) == pytest.approx(means.max())


@pytest.mark.parametrize("data_set", DATA_SETS)
def test_every_network_has_two_or_three_seeds(data_set: str) -> None:
    counts = np.isfinite(load_accuracies(data_set).percent).sum(-1)
    assert counts.size == 15_625
    assert set(np.unique(counts)) == {2, 3}


def test_one_seed_or_their_mean(tmp_path: Path) -> None:
    table = load_accuracies("cifar10", write(tmp_path))
    assert table.accuracy((0,) * 6) == 11.0
    assert table.accuracy((0,) * 6, seed=1) == 12.0
    with pytest.raises(InputError, match="trained with 2 seeds"):
        table.accuracy((0,) * 6, seed=2)


@pytest.mark.parametrize("choices", [(0,) * 5, (0, 0, 0, 0, 0, 5), (0, 0, 0, 0, 0, -1)])
def test_a_network_that_is_none(choices: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="six choices"):
        load_accuracies("cifar10", write(tmp_path)).seeds(choices)


def test_an_unknown_data_set_shows_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="cifar100"):
        load_accuracies("cifar-100")


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"lutier\[bench\]"):
        load_accuracies("cifar10")


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("bang",)


def test_a_file_that_would_run_something_is_refused(tmp_path: Path, capsys: Any) -> None:
    with pytest.raises(DatasetError, match="print"):
        load_accuracies("cifar10", write(tmp_path, **{KEYS[0]: Bomb()}))
    assert not capsys.readouterr().out


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"55": {}}, "six digits"),
        ({KEYS[3]: {"test_acc": [1.0]}}, "000003"),
        ({KEYS[3]: {"val_acc": []}}, "not percent"),
        ({KEYS[3]: {"val_acc": [float("nan")]}}, "not percent"),
        ({KEYS[3]: {"val_acc": [1.0] * 4}}, "000003"),
    ],
)
def test_a_row_that_is_none_is_named(changed: Any, match: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=match):
        load_accuracies("cifar10", write(tmp_path, **changed))


def test_a_file_that_is_cut_or_lacks_networks(tmp_path: Path) -> None:
    path = write(tmp_path) / "cifar10.pkl"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DatasetError, match="not a table"):
        load_accuracies("cifar10", tmp_path)
    path.write_bytes(pickle.dumps({KEYS[0]: {"val_acc": [1.0]}}))
    with pytest.raises(DatasetError, match="lacks network 000001"):
        load_accuracies("cifar10", tmp_path)
    path.unlink()
    with pytest.raises(DatasetError, match="cannot be read"):
        load_accuracies("cifar10", tmp_path)
