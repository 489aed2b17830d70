"""A search from the model of a target to a trained network that was measured within its budget.

What all searches share; the kinds are in :mod:`lutier.searching_proxyless` and
:mod:`lutier.searching_knas`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import nn
from torch.utils.data import Subset

from devices.base import Device
from devices.errors import BudgetError
from devices.target import Target
from lutier import __version__
from lutier.modelling import find_model, load_table
from lutier.networks import network_job
from lutier.progress import Bar
from lutier.results import SearchResult
from lutier.settings import Settings
from lutier.terminal import err
from lutier.tracking import NOT_TRACKED, Tracker, tracking
from lutier.verification import Verified, verify_network
from profiler.jobs import Job
from profiler.quality import Summary
from profiler.run import measure_now
from profiler.table import LatencyTable
from search.architecture import Architecture
from search.budget import format_ms
from search.data import DataSource, check_data, full_name, open_data
from search.space_latency import price_space
from search.spaces.base import SearchSpace
from search.spaces.registry import open_space
from search.train import TrainConfig, TrainResult, build_network, check_device, train

MAX_ATTEMPTS = 4
"""How many networks are trained, where one is over its budget after all when it is measured."""
MAX_REPEATS = 3
"""How often a network is measured that is much slower than predicted."""
SLOWING = 0.04
"""By how much more each further one is asked to be faster."""


@dataclass(frozen=True)
class Request:
    """What is searched for, and where it goes.

    Attributes:
        target: to meet the budget on.
        space: to search.
        data: to train on, by name.
        budget_ms: latency that the measured network must not exceed.
        seed: of everything drawn at random.
        folder: for the result, and for what an interrupted search goes on from.
        train_epochs: passes over the training split for the networks that are trained from scratch.
        quiet: no progress.
        confidence: probability with which a network chosen by its prediction is to be within the
            budget; ``None`` takes the prediction as it is.
        training: how networks are trained, and on what device; epochs and seed are those above.
        track: where figures go while the search runs, ``tensorboard:DIR`` or ``mlflow:URI``.
        also: further targets, and the budget in ms on each.
    """

    target: Target
    space: str
    data: str
    budget_ms: float
    seed: int
    folder: Path
    train_epochs: int
    quiet: bool = False
    confidence: float | None = None
    training: TrainConfig = field(default_factory=TrainConfig)
    track: str | None = None
    also: tuple[tuple[Target, float], ...] = ()

    def tracking(self, method: str) -> AbstractContextManager[Tracker]:
        """Where figures of a search go."""
        asked = {"method": method, **asdict(self)}
        asked["also"] = " ".join(f"{target}={budget_ms:g}ms" for target, budget_ms in self.also)
        asked |= {f"training.{name}": value for name, value in asked.pop("training").items()}
        return tracking(
            self.track, f"{method}-{self.folder.name}", {**asked, "target": self.target}
        )


class Bench:
    """What every search needs, opened and checked before anything is trained.

    Args:
        settings: where the table and the models are.
        request: what is searched for.
        device: opened.
        tracker: where figures go.
        data: where they are open already.

    Raises:
        MissingError: no table, no model, or an op that neither can price.
        BudgetError: not even the fastest network is within the budget, or all are by far.
        UntrustworthyError: a confidence that too few measured networks tell of.
        DatasetError: data that the space cannot be trained on.
        InputError: networks cannot be trained on the device that was asked for.
    """

    def __init__(
        self,
        settings: Settings,
        request: Request,
        device: Device,
        tracker: Tracker = NOT_TRACKED,
        data: DataSource | None = None,
    ) -> None:
        check_device(request.training.device)
        self.request = request
        self.tracker = tracker
        self.device = device
        self.space: SearchSpace = open_space(request.space)
        self.table: LatencyTable = load_table(settings, request.target)
        found = find_model(settings, self.table, request.target, self.space.name)
        self.model, self.metadata = found
        self.asked_ms = request.budget_ms
        if request.confidence is not None:
            self.asked_ms /= self.model.errors.upper_factor(request.confidence)
        self.latency = price_space(self.space, self.model, self.asked_ms)
        self.regressed = [op.key for op in self.space.all_ops() if op not in self.table]
        self.latency.check_budget(self.asked_ms)
        self.latency.check_scale(self.asked_ms)
        self.data = data or open_data(request.data, self.space.input_shape, request.seed)
        check_data(self.data, self.space.input_shape, self.space.classes)
        self.protocol = settings.protocol(request.target)
        noise = self.table.split_half_error_of("network")
        self.headroom = min(max(2 * noise, 0.01), 0.1) if math.isfinite(noise) else 0.1
        mape = self.metadata.evaluation.mape
        self.surprise = max(3 * mape, 0.05) if math.isfinite(mape) else 0.05
        self.train_config = replace(
            request.training, epochs=request.train_epochs, seed=request.seed
        )
        if not request.quiet:
            for warning in self.warnings():
                err.print(f"warning: {warning}", style="yellow", markup=False)

    def warnings(self) -> Iterator[str]:
        """What makes the result less certain than it could be, a line each."""
        if self.regressed:
            yield (
                f"{len(self.regressed)} of {len(self.space.all_ops())} ops are not in the table and"
                f" are predicted by regressors, {self.regressed[0]} for one"
            )
        if self.metadata.table_digest != self.table.digest:
            yield (
                "the table has changed since the model was fitted;"
                f" lutier fit --target '{self.request.target}' takes the new figures in"
            )
        now = self.device.environment(self.request.target)
        if changes := self.table.environment.differences(now):
            yield f"the table was measured elsewhere or before: {'; '.join(changes)}"
        yield from self.data.notes

    def measure(self, architecture: Architecture) -> tuple[float, float]:
        """Median of an untrained network in ms, measured now, and what to allow for it.

        That is the upper end of its interval and some headroom on top, because the network will be
        measured again after its training, when the machine may be a little slower: twice the
        split-half error of the table's networks, from 1 to 10 per cent.

        A network much slower than its prediction was more often measured beside a busy neighbour
        than predicted badly. So it is measured again, each time twice as long, and the fastest
        counts: what else a machine does only ever makes it slower.
        """
        job = network_job(self.space, architecture)
        target = self.request.target
        expected_ms = self.predict_ms(architecture) * (1 + self.surprise)
        found: list[Summary] = []
        while len(found) < MAX_REPEATS and all(one.median_ms > expected_ms for one in found):
            longer = self.protocol.lengthened(2 ** len(found))
            measured = measure_now([job], self.device, target, longer, seed=len(found))
            found.append(measured[job.key].summary)
        quietest = min(found, key=lambda one: one.median_ms)
        return quietest.median_ms, quietest.ci_high_ms * (1 + self.headroom)

    def verify(self, architecture: Architecture, network: nn.Module) -> Verified:
        """Measure a trained network."""
        job = Job(architecture.id, "network", lambda: network, self.space.input_shape)
        ops = self.space.ops(architecture)
        target = self.request.target
        return verify_network(
            job, ops, self.device, target, self.protocol, self.table, self.request.budget_ms
        )

    def predict_ms(self, architecture: Architecture) -> float:
        """Latency by the model."""
        return float(self.model.predict_ms([self.space.ops(architecture)])[0])

    def train(self, architecture: Architecture) -> tuple[nn.Module, TrainResult]:
        """Train a network from scratch, or go on where that was interrupted."""
        network = build_network(self.space, architecture, self.request.seed)
        epochs = self.train_config.epochs
        with Bar("training the network found", epochs, quiet=self.request.quiet) as bar:

            def tell(epoch: int, loss: float) -> None:
                bar.update(epoch)
                self.tracker.log({f"train/{architecture.code}/loss": loss}, epoch)

            checkpoint = self.request.folder / "training" / f"{architecture.code}.pt"
            result = train(network, self.data, self.train_config, tell, checkpoint=checkpoint)
        return network.cpu().eval(), result

    def result(
        self,
        method: str,
        architecture: Architecture,
        verified: Verified,
        accuracies: tuple[float | None, float | None],
        seconds: float,
        details: dict[str, Any],
    ) -> SearchResult:
        """The result as it is kept; ``accuracies`` are of the test and the validation split."""
        request, summary = self.request, verified.summary
        accuracy, validation_accuracy = map(_known, accuracies)
        figures = {
            "accuracy": accuracy,
            "validation_accuracy": validation_accuracy,
            "measured_ms": summary.median_ms,
        }
        self.tracker.log({f"result/{name}": value for name, value in figures.items()}, 0)
        return SearchResult(
            method=method,
            architecture=architecture.id,
            space=self.space.name,
            target=str(request.target),
            environment_id=self.device.environment(request.target).id,
            data=full_name(request.data),
            budget_ms=request.budget_ms,
            predicted_ms=self.predict_ms(architecture),
            measured_ms=summary.median_ms,
            measured_interval_ms=(summary.ci_low_ms, summary.ci_high_ms),
            drift=verified.drift,
            accuracy=accuracy,
            validation_accuracy=validation_accuracy,
            seed=request.seed,
            artifact_sha256=verified.artifact_sha256,
            seconds=round(seconds, 1),
            lutier_version=__version__,
            details={
                **details,
                "training": asdict(self.train_config),
                "data_notes": self.data.notes,
                "confidence": request.confidence,
                "asked_ms": self.asked_ms,
                "table_digest": self.table.digest,
                "regressed_ops": self.regressed,
                "model": {
                    "mape": self.metadata.evaluation.mape,
                    "noise_floor": self.metadata.evaluation.noise_floor,
                    "table_has_changed_since": self.metadata.table_digest != self.table.digest,
                },
            },
        )


class Evaluator:
    """Validation accuracy after a short training, which goes on where it was cut.

    Args:
        bench: whose networks are trained.
        epochs: of a training.
        folder: where trainings are kept, in that of the request.
        keep: whether they stay when they are done, so that none is made twice.
    """

    def __init__(self, bench: Bench, epochs: int, folder: str, *, keep: bool) -> None:
        self.bench = bench
        self.config: TrainConfig = replace(bench.train_config, epochs=epochs)
        self.folder = bench.request.folder / folder
        self.keep = keep
        # The test split is for the network found alone; training looks at one image of it.
        self.data: DataSource = replace(bench.data, test=Subset(bench.data.validation, [0]))

    def __call__(self, architecture: Architecture) -> float:
        bench = self.bench
        network = build_network(bench.space, architecture, bench.request.seed)
        path = self.folder / f"{architecture.code}.pt"
        result = train(network, self.data, self.config, checkpoint=path)
        if not self.keep:
            path.unlink()
        return result.validation_accuracy


def _known(accuracy: float | None) -> float:
    if accuracy is None:
        raise AssertionError("a trained network has an accuracy")
    return accuracy


def over_budget(request: Request, architecture: Architecture, verified: Verified) -> BudgetError:
    """What to raise where no network was within the budget when it was measured in the end."""
    return BudgetError(
        f"{architecture} took {format_ms(verified.summary.median_ms)} when it was measured",
        f"the budget is {format_ms(request.budget_ms)}, and {MAX_ATTEMPTS} networks were tried",
        "a quieter machine, or lutier profile into a new --db",
    )
