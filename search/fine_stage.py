"""The fine stage of a search: a few networks trained from scratch, by whoever works.

What is trained is kept as it comes: the same stage with the same folder trains only what is
missing. Where workers share its files, a training that was cut goes on in the middle of an epoch;
where they do not, a lost worker's network is trained again from its last rung.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from devices.errors import DivergedError, LutierError
from devices.files import write_at_once
from search.architecture import Architecture
from search.checkpoint import Fingerprint, load_checkpoint, save_checkpoint
from search.data import DataSource
from search.halving import better_half, planned_epochs
from search.parallel.base import Workers
from search.result import Finalist
from search.spaces.base import SearchSpace
from search.train import OnEpoch, TrainConfig, build_network, evaluate, train

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class TrainTask:
    """A network to be trained up to an epoch.

    Attributes:
        architecture: which one.
        until: epoch, counted from 1, after which it pauses; the last one ends the training.
        path: file that it goes on from, and that says how far it is.
        is_shared: whether workers see that file.
        state: contents of that file, where they do not, and there is one.
    """

    architecture: Architecture
    until: int
    path: Path
    is_shared: bool = True
    state: bytes | None = None


@dataclass(frozen=True)
class TrainAnswer:
    """What became of it.

    Attributes:
        validation_accuracy: after the last epoch so far; ``None`` where it diverged.
        test_accuracy: after the end of the training.
        train_loss: of each epoch; empty where it only paused.
        failure: why it diverged.
        weights: after the end of the training.
        state: of the training that paused, where workers do not share files.
    """

    validation_accuracy: float | None = None
    test_accuracy: float | None = None
    train_loss: tuple[float, ...] = ()
    failure: str = ""
    weights: Weights | None = None
    state: bytes | None = None

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to train."""
        return bool(self.train_loss or self.failure)


class _Paused(LutierError):  # noqa: N818  # no error
    """The epoch that was asked for is reached."""


@dataclass(frozen=True)
class TrainWork:
    """Trains one network, anywhere.

    Attributes:
        space: that architectures are of.
        data: ``train`` trains, ``validation`` is what networks are compared by.
        config: how.
        on_epoch: called after each epoch; only where the asking process works.
    """

    space: SearchSpace
    data: DataSource
    config: TrainConfig
    on_epoch: OnEpoch | None = None

    def __call__(self, task: TrainTask) -> TrainAnswer:
        """Train a network up to an epoch."""
        if task.is_shared:
            return self._trained(task, task.path)
        with tempfile.TemporaryDirectory(prefix="lutier-training-") as folder:
            path = Path(folder) / "training.pt"
            if task.state is not None:
                path.write_bytes(task.state)
            answer = self._trained(task, path)
            if answer.is_over:
                return answer
            return dataclasses.replace(answer, state=path.read_bytes())

    def _trained(self, task: TrainTask, path: Path) -> TrainAnswer:
        config = self.config
        network = build_network(self.space, task.architecture, config.seed)
        if task.until < config.epochs and _reaches(path, task.until, network):
            return TrainAnswer(evaluate(network, self.data.validation, config.device))

        def tell(epoch: int, loss: float) -> None:
            if self.on_epoch is not None:
                self.on_epoch(epoch, loss)
            # It is written down by now.
            if task.until <= epoch < config.epochs:
                raise _Paused(f"after epoch {epoch}")

        try:
            result = train(network, self.data, config, tell, checkpoint=path)
        except _Paused:
            return TrainAnswer(evaluate(network, self.data.validation, config.device))
        except DivergedError as error:
            return TrainAnswer(failure=str(error))
        return TrainAnswer(
            result.validation_accuracy,
            result.test_accuracy,
            result.train_loss,
            weights=weights_of(network),
        )


def _reaches(path: Path, epoch: int, network: nn.Module) -> bool:
    """Whether a training that was cut had come to an epoch; if so, the network is as it was."""
    if not path.exists():
        return False
    state = torch.load(path, map_location="cpu", weights_only=True)["state"]
    if len(state["history"]) < epoch:
        return False
    network.load_state_dict(state["model"])
    return True


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers, on the CPU."""
    return {name: tensor.cpu() for name, tensor in network.state_dict().items()}


class FineStage:
    """Trains finalists, and keeps what came of them.

    Args:
        work: how one is trained.
        rungs: epochs after which the worse half is dropped.
        workers: who trains.
        folder: where it is kept; ``None`` keeps nothing.
        fingerprint: of the search.
        on_progress: called with the epochs that were trained, and all there will be.

    Attributes:
        weights: of each network that was trained to the end.
    """

    def __init__(
        self,
        work: TrainWork,
        rungs: Sequence[int],
        workers: Workers,
        folder: Path | None,
        fingerprint: Fingerprint,
        on_progress: Callable[[int, int], None],
    ) -> None:
        self.work = work
        self.rungs = tuple(rungs)
        self.workers = workers
        self.folder = folder
        self.fingerprint = fingerprint
        self.weights: dict[Architecture, Weights] = {}
        self._tell = on_progress
        self._done = 0
        self._total = 0

    def trained(self, finalists: Sequence[Finalist]) -> list[Finalist]:
        """The finalists, each trained, dropped on the way, or diverged; in the same order."""
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            return self._trained(finalists, self.folder)
        with tempfile.TemporaryDirectory(prefix="lutier-finalists-") as folder:
            return self._trained(finalists, Path(folder))

    def _trained(self, finalists: Sequence[Finalist], folder: Path) -> list[Finalist]:
        epochs = self.work.config.epochs
        found = {one.architecture: self._restored(one) for one in finalists}
        latencies_ms = {one.architecture: one.predicted_ms for one in finalists}
        rung_file = None if self.folder is None else self.folder / "rungs.pt"
        accuracies = self._rungs(rung_file)
        alive = [one.architecture for one in finalists]
        self._total = planned_epochs(len(alive), self.rungs, epochs)
        before = 0
        for until in (*self.rungs, epochs):
            here: dict[Architecture, float] = {}
            missing: list[Architecture] = []
            for architecture in alive:
                known = accuracies.get(architecture.code, {}).get(until)
                if known is not None and until < epochs:
                    here[architecture] = known
                elif found[architecture].train_loss or found[architecture].failure:
                    here |= _accuracy_of(found[architecture])
                else:
                    missing.append(architecture)
                    continue
                self._advance(until - before)
            for architecture, answer in self._answers(missing, until, before, folder):
                found[architecture] = _noted(found[architecture], answer, until)
                if answer.is_over:
                    self._keep(found[architecture], answer, folder)
                    here |= _accuracy_of(found[architecture])
                elif answer.validation_accuracy is not None:
                    here[architecture] = answer.validation_accuracy
                    accuracies.setdefault(architecture.code, {})[until] = here[architecture]
                    if rung_file is not None:
                        save_checkpoint(rung_file, self.fingerprint, accuracies)
            if until < epochs:
                # In the order of the finalists, whoever came first: equals are kept by it.
                here = {one: here[one] for one in alive if one in here}
                kept = better_half(here, latencies_ms)
                for architecture in alive:
                    if architecture in here and architecture not in kept:
                        found[architecture] = dataclasses.replace(
                            found[architecture],
                            status="dropped",
                            validation_accuracy=here[architecture],
                            epochs=until,
                        )
                        self.weights.pop(architecture, None)
                alive = [architecture for architecture in alive if architecture in kept]
            before = until
        if self._done < self._total:
            self._tell(self._total, self._total)
        return [found[one.architecture] for one in finalists]

    def _answers(
        self, architectures: Sequence[Architecture], until: int, before: int, folder: Path
    ) -> Any:
        """What comes of each network, as it comes."""
        tasks = []
        for architecture in architectures:
            path, shared = self._under_way(architecture, folder), self.workers.shares_files
            state = path.read_bytes() if path.exists() and not shared else None
            tasks.append(TrainTask(architecture, until, path, shared, state))
        work, start = self.work, self._done
        if self.workers.in_process:

            def tell(epoch: int, loss: float) -> None:
                self._tell(start + epoch - before, self._total)

            work = dataclasses.replace(work, on_epoch=tell)
        with closing(self.workers.results(work, tasks)) as results:
            for index, answer in results:
                if answer.state is not None:
                    write_at_once(tasks[index].path, answer.state)
                # Kept before it is told: whoever is told may stop here.
                yield architectures[index], answer
                self._advance(until - before)
                start = self._done

    def _advance(self, epochs: int) -> None:
        self._done += epochs
        self._tell(self._done, self._total)

    @staticmethod
    def _under_way(architecture: Architecture, folder: Path) -> Path:
        return folder / f"{architecture.code}.training.pt"

    def _rungs(self, file: Path | None) -> dict[str, dict[int, float]]:
        """Accuracies so far, by network and epoch."""
        stored = None if file is None else load_checkpoint(file, self.fingerprint)
        return stored or {}

    def _keep(self, finalist: Finalist, answer: TrainAnswer, folder: Path) -> None:
        if answer.weights is None:
            return
        self.weights[finalist.architecture] = answer.weights
        if self.folder is not None:
            fields = dataclasses.asdict(finalist)
            fields["architecture"] = finalist.architecture.id
            state = {"finalist": fields, "weights": dict(answer.weights)}
            path = self.folder / f"{finalist.architecture.code}.pt"
            save_checkpoint(path, self.fingerprint, state)
        self._under_way(finalist.architecture, folder).unlink(missing_ok=True)

    def _restored(self, finalist: Finalist) -> Finalist:
        if self.folder is None:
            return finalist
        path = self.folder / f"{finalist.architecture.code}.pt"
        state = load_checkpoint(path, self.fingerprint)
        if state is None:
            return finalist
        self.weights[finalist.architecture] = state["weights"]
        kept = Finalist(**{**state["finalist"], "architecture": finalist.architecture})
        # What was measured now counts; where nothing was, what was then.
        if finalist.measured_ms is None:
            return dataclasses.replace(kept, score=finalist.score)
        return dataclasses.replace(
            kept,
            score=finalist.score,
            measured_ms=finalist.measured_ms,
            upper_ms=finalist.upper_ms,
        )


def _noted(finalist: Finalist, answer: TrainAnswer, until: int) -> Finalist:
    if answer.failure:
        return dataclasses.replace(finalist, status="diverged", failure=answer.failure)
    return dataclasses.replace(
        finalist,
        validation_accuracy=answer.validation_accuracy,
        test_accuracy=answer.test_accuracy,
        train_loss=answer.train_loss,
        epochs=len(answer.train_loss) or until,
    )


def _accuracy_of(finalist: Finalist) -> dict[Architecture, float]:
    """Of a network whose training is over; of none where it diverged."""
    accuracy = finalist.validation_accuracy
    return {} if accuracy is None else {finalist.architecture: accuracy}
