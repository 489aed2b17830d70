"""Searches of ``mobile-tiny`` on Fashion-MNIST: what benchmarks of them share."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from devices.target import Target
from lutier.cli.profiling import run_profile
from lutier.modelling import find_model, fit_models, load_table
from lutier.settings import Settings
from search.data import DataSource, open_data, register_data
from search.data.arrays import ImageArrays
from search.data.source import stratified
from search.expected_latency import LatencyMatrix
from search.proxyless_config import ProxylessConfig
from search.spaces.registry import open_chain

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
SPACE = "mobile-tiny"


def is_there(folder: Path) -> bool:
    """Whether Fashion-MNIST is in a folder; where it is not, how to get it is said."""
    if not folder.is_dir():
        print(f"skipped: no Fashion-MNIST in {folder}", file=sys.stderr)
        print("apt-get install dataset-fashion-mnist, or --data DIR", file=sys.stderr)
    return folder.is_dir()


@contextlib.contextmanager
def opened(
    data: Path,
    images: int,
    *,
    is_quick: bool,
    space: str = SPACE,
    folder: Path | None = None,
) -> Iterator[Bench]:
    """Profile the space on this CPU, fit its model, and register the data.

    Args:
        data: folder of Fashion-MNIST.
        images: how many to train on.
        is_quick: whether to measure little.
        space: that is profiled.
        folder: keeps the measurements, which are then made once; by default nothing is kept.
    """
    register(data, images)
    target = Target.make("cpu", "onnxruntime", {"threads": 1})
    with contextlib.ExitStack() as stack:
        name = folder or stack.enter_context(tempfile.TemporaryDirectory())
        Path(name).mkdir(parents=True, exist_ok=True)
        settings = Settings(
            home=Path(name),
            db=f"sqlite:///{name}/lut.db",
            networks=30 if is_quick else 60,
            max_seconds=1 if is_quick else 30,
            min_seconds=0.2,
        )
        run_profile(settings, target, space, quiet=True)
        fit_models(settings, target)
        yield Bench(settings, target, Path(name), space, is_quick=is_quick)


def register(folder: Path, images: int) -> None:
    """Fashion-MNIST with fewer training images, as ``fashion-mnist-few``; the rest is whole."""

    @register_data("fashion-mnist-few")
    def few(input_shape: tuple[int, int, int], seed: int) -> DataSource:
        source = open_data(f"fashion-mnist:{folder}", input_shape, seed)

        if not isinstance(source.train, ImageArrays):
            raise TypeError("Fashion-MNIST is kept as arrays of images")
        whole = source.train
        share = min(1.0, images / len(whole))
        kept, _ = stratified(whole.labels, (share, 1 - share), seed)
        train = ImageArrays(
            whole.pixels[kept], whole.labels[kept], whole.shape, whole.normalisation
        )
        return replace(source, name="fashion-mnist-few", train=train)


class Bench:
    """What all searches share: the table, its model and the budgets."""

    def __init__(
        self, settings: Settings, target: Target, folder: Path, space: str, *, is_quick: bool
    ) -> None:
        self.settings = settings
        self.target = target
        self.folder = folder
        self.space = open_chain(space, "ProxylessNAS")
        self.table = load_table(settings, target)
        self.model, _ = find_model(settings, self.table, target, self.space.name)
        self.config = (
            ProxylessConfig(warmup_epochs=1, search_epochs=1)
            if is_quick
            else ProxylessConfig(warmup_epochs=3, search_epochs=6)
        )
        self.train_epochs = 1

    def budget_ms(self, share: float) -> float:
        """Between the fastest and the slowest network, as the plain table prices them."""
        wide = LatencyMatrix.from_model(self.space, self.model.near(self._middle_ms()))
        low, high = wide.fastest()[1], wide.slowest()[1]
        return float(f"{low + share * (high - low):.3g}")

    def _middle_ms(self) -> float:
        return float(np.median(list(self.table.networks.values())))
