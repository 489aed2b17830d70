"""How well networks that are in no search space are predicted from their kernels.

Thirty networks of eight families, exported to ONNX, are taken apart into the nodes that the runtime
makes of them. All kernels and all networks are measured in common rounds, then each network is
predicted in three ways:

- ``measured``: its own kernels are in the table, as after ``lutier profile --model``, and the sum
  is calibrated on the networks of the other families. The bounds are for this one.
- ``sibling``: nothing of the network itself is in the table but what it shares with others; its
  other kernels are regressed.
- ``family``: nothing of its whole family is. Most families have a node that no other has, which has
  no price then: these predictions are lower bounds, and say so.

    python benchmarks/any_network.py --json any_network.json
    python benchmarks/any_network.py --runtime litert

With ``--runtime litert`` it is fourteen TFLite files: networks of the space ``mobile`` at several
widths, each width a family, and six written by hand.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from _networks import all_networks
from _reporting import finish, header

from devices.host import HostDevice
from devices.target import Target
from latency_models.evaluate import evaluate
from latency_models.kernel_model import KernelModel
from lutier.network_files import open_network
from lutier.progress import ProfileBar
from lutier.settings import Settings
from profiler.kernels import KernelSpec
from profiler.kernels.files import is_shared
from profiler.kernels.graph import Kernel
from profiler.kernels.jobs import file_job, kernel_jobs
from profiler.run import profile
from profiler.storage.database import MeasurementStore
from profiler.table import LatencyTable

LEAST_WITHIN_10 = 0.9
LEAST_SPEARMAN = 0.98
MOST_SECONDS = 1.0
"""To read a file, take it apart and price it."""


class AnyNetwork(Protocol):
    """A network of any format."""

    @property
    def family(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def suffix(self) -> str: ...

    def file_bytes(self) -> bytes: ...

    def __hash__(self) -> int: ...


WAYS = ("measured", "sibling", "family")


@dataclass(frozen=True)
class Figure:
    """One network, predicted in one way; see :mod:`latency_models.kernel_model`."""

    network: str
    family: str
    way: str
    measured_ms: float
    predicted_ms: float
    share_measured: float
    share_regressed: float
    unknown: int
    reservation: str
    regressed_ms: float
    """What the regressed kernels are predicted to take; ``true_ms`` is what they were measured."""
    true_ms: float

    @property
    def error(self) -> float:
        """Relative."""
        return self.predicted_ms / self.measured_ms - 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runtime", choices=("onnxruntime", "litert"), default="onnxruntime")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--time-limit", type=float, default=40, help="seconds a group of models")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="few networks and rounds, no bounds")
    arguments = parser.parse_args()
    networks = _networks(arguments.runtime)
    if arguments.quick:
        quick = ("squeezenet", "resnet", "plain", "dense")
        networks = [each for each in networks if each.family in quick][::2]
        arguments.time_limit = 0
    document = header("any_network", seed=arguments.seed)
    target = Target.make("cpu", arguments.runtime, {"threads": arguments.threads})
    with tempfile.TemporaryDirectory() as folder:
        paths = {each: _exported(each, Path(folder)) for each in networks}
        measured = Measured(paths, target, arguments)
        seconds = measured.seconds_to_predict()
    figures = [figure for way in WAYS for figure in measured.figures(way)]
    for way in WAYS:
        _print(way, [figure for figure in figures if figure.way == way])
    result = _summary(figures, seconds, measured)
    missed = judge(result)
    finish(
        {
            **document,
            "target": str(target),
            **result,
            "missed": missed,
            "networks": [{**asdict(figure), "error": figure.error} for figure in figures],
        },
        arguments.json,
    )
    print(f"\nbounds: {'met' if not missed else 'MISSED: ' + '; '.join(missed)}")
    return 0 if not missed or arguments.quick else 1


def _networks(runtime: str) -> list[AnyNetwork]:
    if runtime == "onnxruntime":
        return list(all_networks())
    from _tflite_networks import all_tflite_networks

    return list(all_tflite_networks())


def _exported(network: AnyNetwork, folder: Path) -> Path:
    path = folder / f"{network.name}{network.suffix}"
    path.write_bytes(network.file_bytes())
    return path


class Measured:
    """The networks and their kernels, measured in common rounds.

    Args:
        paths: the file of each network.
        target: what to measure on.
        arguments: of the command line.
    """

    def __init__(
        self, paths: dict[AnyNetwork, Path], target: Target, arguments: argparse.Namespace
    ) -> None:
        self.paths, self.target, self.seed = paths, target, arguments.seed
        self.kernels: dict[AnyNetwork, list[Kernel]] = {}
        self.keys: dict[AnyNetwork, str] = {}
        jobs = []
        for network, path in paths.items():
            file, kernels = open_network(path, HostDevice(), target)
            self.kernels[network], self.keys[network] = kernels, file.key
            jobs.append(file_job(file, self.specs(network)))
        distinct = dict.fromkeys(spec for each in paths for spec in self.specs(each))
        jobs += kernel_jobs(distinct, target.runtime)
        protocol = Settings(
            max_seconds=arguments.time_limit,
            max_rounds=60,
            min_seconds=min(3, arguments.time_limit),
        ).protocol(target)
        start = time.monotonic()
        with (
            MeasurementStore(f"sqlite:///{paths[next(iter(paths))].with_name('lut.db')}") as store,
            HostDevice() as device,
            ProfileBar(protocol) as bar,
        ):
            result = profile(
                jobs, device, target, store, protocol, seed=arguments.seed, on_event=bar
            )
            self.table = LatencyTable.load(store, target)
        self.seconds = time.monotonic() - start
        print(
            f"\n{len(paths)} networks, {len(distinct)} kernels ({len(result.failed)} failed),"
            f" measured in {self.seconds:.0f} s; split-half error: kernels"
            f" {self.table.split_half_error_of('kernel'):.2%},"
            f" networks {self.table.split_half_error_of('network'):.2%} (noise floor)"
        )

    def specs(self, network: AnyNetwork) -> list[KernelSpec]:
        """The kernels of a network."""
        return [kernel.spec for kernel in self.kernels[network] if kernel.spec is not None]

    def figures(self, way: str) -> list[Figure]:
        """Every network, predicted in one way."""
        figures = []
        for network in self.paths:
            family = [each for each in self.paths if each.family == network.family]
            left_out = [network] if way == "sibling" else family
            kept = None
            if way != "measured":
                kept = {
                    spec.key
                    for each in self.paths
                    if each not in left_out
                    for spec in self.specs(each)
                }
            model = KernelModel.fit(self._without(left_out, kept), self.seed)
            figures.append(self._figure(network, way, model))
        return figures

    def _without(self, networks: Iterable[AnyNetwork], kept: set[str] | None) -> LatencyTable:
        """The table without some networks, and with some of the kernels only."""
        frame = self.table.frame.drop(columns="latency_ms")
        gone = frame["key"].isin([self.keys[each] for each in networks])
        if kept is not None:
            shared = frame["key"].map(is_shared)
            gone |= (frame["role"] == "kernel") & ~shared & ~frame["key"].isin(kept)
        return LatencyTable(self.table.target, self.table.environment, frame[~gone])

    def _figure(self, network: AnyNetwork, way: str, model: KernelModel) -> Figure:
        found = model.predict(self.kernels[network])
        regressed = [each for each in found.kernels if each.source == "regressed"]
        truth = self.table.kernels
        return Figure(
            network.name,
            network.family,
            way,
            self.table.networks[self.keys[network]],
            found.latency_ms,
            found.share("measured"),
            found.share("regressed"),
            len(found.unknown),
            found.reservation,
            sum(each.latency_ms or 0.0 for each in regressed),
            sum(truth[KernelSpec.parse(each.key)] for each in regressed),
        )

    def seconds_to_predict(self) -> float:
        """Median time to read a file, take it apart and price it, in seconds."""
        model = KernelModel.fit(self.table, self.seed)
        times = []
        for path in self.paths.values():
            start = time.perf_counter()
            _, kernels = open_network(path, HostDevice(), self.target)
            model.predict(kernels)
            times.append(time.perf_counter() - start)
        return statistics.median(times)


def _print(way: str, figures: list[Figure]) -> None:
    print(f"\n{way}: predicted, measured, error; of the time predicted, measured and regressed")
    for each in figures:
        lacks = f"  lower bound: {each.unknown} kernels unknown" if each.unknown else ""
        lacks += "  *" if each.reservation else ""
        print(
            f"  {each.network:28s} {each.predicted_ms:7.3f} ms {each.measured_ms:7.3f} ms"
            f" {each.error:+7.1%}  {each.share_measured:4.0%} {each.share_regressed:4.0%}{lacks}"
        )


def _summary(figures: list[Figure], seconds: float, measured: Measured) -> dict[str, Any]:
    noise = measured.table.split_half_error_of("network")
    if any(figure.reservation for figure in figures):
        print("\n* more than twice the weights of any network of the calibration")
    ways: dict[str, Any] = {}
    print()
    for way in WAYS:
        chosen = [figure for figure in figures if figure.way == way]
        complete = [figure for figure in chosen if not figure.unknown]
        result: dict[str, Any] = {"complete": len(complete), "of": len(chosen)}
        line = f"{way:9s} complete {len(complete)} of {len(chosen)}"
        if complete:
            found = evaluate(
                [figure.predicted_ms for figure in complete],
                [figure.measured_ms for figure in complete],
                noise,
            )
            result |= found.to_dict()
            line += (
                f"  MAPE {found.mape:.2%}  within 5 % {found.within_5:.0%}"
                f"  within 10 % {found.within_10:.0%}  Spearman {found.spearman:.3f}"
            )
        regressed = [figure for figure in chosen if figure.true_ms > 0]
        if regressed:
            errors = np.abs([figure.regressed_ms / figure.true_ms - 1 for figure in regressed])
            result["regressed_part_median_error"] = float(np.median(errors))
            result["regressed_part_within_10"] = float(np.mean(errors <= 0.1))
            line += (
                f"\n          the regressed kernels of a network together: median error"
                f" {np.median(errors):.1%}, within 10 % {np.mean(errors <= 0.1):.0%}"
            )
        print(line)
        ways[way] = result
    print(f"time to predict one network: {seconds * 1e3:.0f} ms (median)")
    return {
        "ways": ways,
        "seconds_to_predict": seconds,
        "seconds_to_measure": measured.seconds,
        "kernels": len(measured.table.kernels),
        "split_half_error_kernels": measured.table.split_half_error_of("kernel"),
        "split_half_error_networks": noise,
    }


def judge(result: dict[str, Any]) -> list[str]:
    """Which bounds are missed."""
    own = result["ways"]["measured"]
    missed = []
    if own["complete"] < own["of"]:
        missed.append("every network complete")
    if (own.get("within_10") or 0.0) < LEAST_WITHIN_10:
        missed.append(f"{LEAST_WITHIN_10:.0%} within 10 %")
    if (own.get("spearman") or 0.0) < LEAST_SPEARMAN:
        missed.append(f"Spearman at least {LEAST_SPEARMAN}")
    if result["seconds_to_predict"] > MOST_SECONDS:
        missed.append(f"{MOST_SECONDS:g} s to predict a network")
    return missed


if __name__ == "__main__":
    sys.exit(main())
