"""Figures of untrained networks of NAS-Bench-201, kept in a file as they come."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt
import torch

from devices.errors import InputError
from search.data import fetch, open_data, size_of
from search.proxies.context import ScoreContext
from search.proxies.registry import open_proxy, score
from search.spaces.nasbench201 import NasBench201, nasbench201
from search.train import build_network

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
RESOLUTION = 32
ONE_CHANNEL = ("linear_regions",)
"""Proxies of networks of one channel and one cell."""


Floats = npt.NDArray[np.float64]
Row = dict[str, Any]


def score_all(path: Path) -> str:
    """The command that scores what a file lacks."""
    return f"python benchmarks/nasbench201.py scores --sample 0 --results {path}"


@dataclass(frozen=True)
class Setting:
    """What scores depend on: kept with them, so that a file is not continued with others."""

    channels: int
    cells: int
    batch: int
    data: str
    seed: int
    proxies: tuple[str, ...]

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> Setting:
        """The setting that was asked for."""
        there = f"fashion-mnist:{FASHION_MNIST}" if FASHION_MNIST.is_dir() else "digits"
        return cls(
            arguments.channels,
            arguments.cells,
            arguments.batch,
            arguments.data or there,
            arguments.seed,
            tuple(open_proxy(name).name for name in arguments.proxies.split(",")),
        )

    @property
    def space(self) -> NasBench201:
        return nasbench201(self.channels, self.cells, resolution=RESOLUTION)

    def images(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The batch that everything is scored on: ``(batch, 3, 32, 32)`` and classes."""
        source = open_data(self.data, (3, RESOLUTION, RESOLUTION), self.seed)
        generator = torch.Generator().manual_seed(self.seed)
        order = torch.randperm(size_of(source.train), generator=generator)
        return fetch(source.train, order[: self.batch])


class Scorer:
    """Scores architectures in one process, on one thread.

    Args:
        setting: what scores depend on.
        images: the batch, ``(n, 3, 32, 32)``, and classes, ``(n,)``.
    """

    def __init__(self, setting: Setting, images: tuple[torch.Tensor, torch.Tensor]) -> None:
        torch.set_num_threads(1)
        self.setting = setting
        inputs, self.targets = images
        # Convolutions of few channels are nearly twice as fast in this order on a CPU.
        self.inputs = inputs.contiguous(memory_format=torch.channels_last)
        self.narrow = [name for name in setting.proxies if name in ONE_CHANNEL]
        self.wide = [name for name in setting.proxies if name not in ONE_CHANNEL]

    def context(self, space: NasBench201, code: str) -> ScoreContext:
        """A freshly initialised network, with the batch."""
        architecture = space.architecture([int(digit) for digit in code])
        model = build_network(space, architecture, self.setting.seed)
        model = model.to(memory_format=torch.channels_last)
        return ScoreContext(model, self.inputs, self.targets, self.setting.seed, code)

    def __call__(self, code: str) -> Row:
        start, began = time.perf_counter(), time.process_time()
        found, shared = {}, {}
        for space, names in (
            (self.setting.space, self.wide),
            (nasbench201(1, 1, resolution=RESOLUTION), self.narrow),
        ):
            if names:
                context = self.context(space, code)
                found |= score(context, names)
                shared |= context.shared_seconds
        return {
            "code": code,
            "values": {name: one.value for name, one in found.items()},
            "failures": {name: one.failure for name, one in found.items() if one.failure},
            "seconds": {name: one.seconds for name, one in found.items()},
            "shared_seconds": shared,
            "wall_seconds": time.perf_counter() - start,
            "cpu_seconds": time.process_time() - began,
        }


_SCORER: list[Scorer] = []
"""That of a worker process."""


def start_worker(setting: Setting, images: tuple[torch.Tensor, torch.Tensor]) -> None:
    _SCORER.append(Scorer(setting, images))


def score_in_worker(code: str) -> Row:
    return _SCORER[0](code)


def scored(
    setting: Setting,
    codes: Sequence[str],
    workers: int,
    images: tuple[torch.Tensor, torch.Tensor] | None = None,
) -> Iterator[Row]:
    """Rows of networks as they come, in any order."""
    if not codes:
        return
    images = setting.images() if images is None else images
    if workers <= 1 or len(codes) < 2:
        yield from map(Scorer(setting, images), codes)
        return
    method = multiprocessing.get_context("spawn")
    with method.Pool(min(workers, len(codes)), start_worker, (setting, images)) as pool:
        yield from pool.imap_unordered(score_in_worker, codes, chunksize=4)


def read_rows(path: Path | None, setting: Setting) -> dict[str, Row]:
    """Rows of a file by code; the last line may be cut.

    Raises:
        InputError: a file of other settings, or none of ours.
    """
    if path is None or not path.exists():
        return {}
    text, ours = path.read_text(), json.dumps(asdict(setting))
    if ours.startswith(text):
        # Nothing, or a first line that was cut while it was written.
        path.write_text("")
        return {}
    head, *lines = text.split("\n")
    try:
        stored = json.loads(head)
    except ValueError:
        stored = None
    if stored != json.loads(ours):
        raise InputError(
            f"{path} holds scores of other settings", head[:200], "another file, or the same flags"
        )
    # What follows the last line end was cut while it was written.
    found = [json.loads(line) for line in lines[:-1]]
    path.write_text("\n".join([head, *lines[:-1], ""]))
    return {row["code"]: row for row in found}


def any_rows(path: Path) -> dict[str, Row]:
    """Rows of a file of whatever settings, by code.

    Raises:
        InputError: no such file, or none of ours.
    """
    if not path.is_file():
        raise InputError(f"no scores in {path}", "there is no such file", score_all(path))
    try:
        head, *lines = path.read_text().split("\n")
        Setting(**json.loads(head))
        return {row["code"]: row for row in map(json.loads, lines[:-1])}
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path} holds no scores", str(error), score_all(path)) from error


def read_scores(
    path: Path, networks: Sequence[tuple[int, ...]], names: Sequence[str]
) -> dict[str, Floats]:
    """Figures of proxies from a file: larger is better, NaN where a network has none.

    Args:
        path: of the rows.
        networks: operations of each.
        names: of the proxies.

    Raises:
        InputError: a file that lacks a network or a proxy; says which.
    """
    rows = any_rows(path)
    codes = ["".join(map(str, choices)) for choices in networks]
    missing = [code for code in codes if code not in rows]
    if missing:
        raise InputError(
            f"{path} lacks scores of {len(missing):,} of {len(codes):,} networks",
            f"{', '.join(missing[:3])} and so on",
            score_all(path),
        )
    absent = [name for name in names if any(name not in rows[code]["values"] for code in codes)]
    if absent:
        raise InputError(f"{path} lacks scores by {', '.join(absent)}", hint=score_all(path))
    return {name: values_of([rows[code] for code in codes], name) for name in names}


class appending:  # noqa: N801  # reads as what it does
    """Writes rows to a file as they come, or nowhere."""

    def __init__(self, path: Path | None, setting: Setting) -> None:
        self.path, self.setting = path, setting
        self.file: TextIO | None = None

    def __enter__(self) -> appending:
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.file = self.path.open("a")
            if not self.file.tell():
                self(asdict(self.setting))
        return self

    def __call__(self, row: Row) -> None:
        if self.file is not None:
            self.file.write(json.dumps(row) + "\n")
            self.file.flush()

    def __exit__(self, *_: object) -> None:
        if self.file is not None:
            self.file.close()


def values_of(rows: Iterable[Row], name: str) -> Floats:
    """Figures of a proxy, larger is better, NaN where it failed; shape ``(networks,)``."""
    better = open_proxy(name).better
    values = [row["values"][name] for row in rows]
    return np.array([np.nan if value is None else better(value) for value in values])
