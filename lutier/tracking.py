"""The course of a search in TensorBoard or MLflow, where somebody wants to watch it there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any, Protocol

from devices.errors import InputError, MissingExtraError, UnknownNameError
from lutier.terminal import err

EXPERIMENT = "lutier"
KINDS = ("tensorboard", "mlflow")
# What MLflow takes as the value of a setting.
_LONGEST = 500


class Tracker(Protocol):
    """Where figures go. A figure has a name with slashes, ``search/train_loss``."""

    def settings(self, values: Mapping[str, object]) -> None:
        """What the search was asked for."""

    def log(self, values: Mapping[str, float | None], step: int) -> None:
        """Figures after a step, such as an epoch; those that are ``None`` are left out."""

    def close(self, *, failed: bool) -> None:
        """Write what is not written yet."""


class _Nothing:
    """Nobody watches."""

    def settings(self, values: Mapping[str, object]) -> None: ...

    def log(self, values: Mapping[str, float | None], step: int) -> None: ...

    def close(self, *, failed: bool) -> None: ...


NOT_TRACKED: Tracker = _Nothing()


class _TensorBoard:
    """Event files in a folder of the run's name.

    Args:
        folder: of all runs.
        run: its name.
    """

    def __init__(self, folder: str, run: str) -> None:
        module = _module("torch.utils.tensorboard", "tensorboard")
        self._writer: Any = module.SummaryWriter(f"{folder}/{run}")

    def settings(self, values: Mapping[str, object]) -> None:
        rows = [f"| {name} | {value} |" for name, value in values.items()]
        self._writer.add_text("settings", "\n".join(["| | |", "| --- | --- |", *rows]))

    def log(self, values: Mapping[str, float | None], step: int) -> None:
        for name, value in values.items():
            if value is not None:
                self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self, *, failed: bool) -> None:
        self._writer.close()


class _Mlflow:
    """A run of the experiment ``lutier``.

    Through a client, because the functions of the module keep the run in a global.

    Args:
        uri: of a server or a database.
        run: its name.
    """

    def __init__(self, uri: str, run: str) -> None:
        module = _module("mlflow", "mlflow")
        self._client: Any = module.MlflowClient(tracking_uri=uri)
        known = self._client.get_experiment_by_name(EXPERIMENT)
        experiment = known.experiment_id if known else self._client.create_experiment(EXPERIMENT)
        self._run = self._client.create_run(experiment, run_name=run).info.run_id

    def settings(self, values: Mapping[str, object]) -> None:
        for name, value in values.items():
            self._client.log_param(self._run, name, str(value)[:_LONGEST])

    def log(self, values: Mapping[str, float | None], step: int) -> None:
        for name, value in values.items():
            if value is not None:
                self._client.log_metric(self._run, name, value, step=step)

    def close(self, *, failed: bool) -> None:
        self._client.set_terminated(self._run, "FAILED" if failed else "FINISHED")


class _Careful:
    """A tracker that fails says so once, and the search goes on without it."""

    def __init__(self, tracker: Tracker, text: str) -> None:
        self._tracker: Tracker = tracker
        self._text = text

    def settings(self, values: Mapping[str, object]) -> None:
        with self._watched():
            self._tracker.settings(values)

    def log(self, values: Mapping[str, float | None], step: int) -> None:
        with self._watched():
            self._tracker.log(values, step)

    def close(self, *, failed: bool) -> None:
        with self._watched():
            self._tracker.close(failed=failed)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001  # hours of training are not lost for a log
            why = str(error).partition("\n")[0]
            err.print(f"warning: no more is sent to {self._text}: {why}", markup=False)
            self._tracker = NOT_TRACKED


@contextmanager
def tracking(text: str | None, run: str, values: Mapping[str, object]) -> Iterator[Tracker]:
    """Where figures go while a search runs.

    Args:
        text: ``tensorboard:DIR`` or ``mlflow:URI``; ``None`` sends nothing.
        run: name of the run.
        values: what the search was asked for.

    Raises:
        UnknownNameError: neither of these.
        InputError: no folder or URI, or one that cannot be opened.
        MissingExtraError: the package is not installed.
    """
    if text is None:
        yield NOT_TRACKED
        return
    tracker = _Careful(_opened(text, re.sub(r"[^\w.-]+", "-", run)), text)
    tracker.settings(values)
    failed = True
    try:
        yield tracker
        failed = False
    finally:
        tracker.close(failed=failed)


def check_tracking(text: str | None) -> None:
    """Say at once what :func:`tracking` would say of a text alone.

    Raises:
        UnknownNameError: another kind of tracker.
        InputError: no folder or URI.
    """
    if text is None:
        return
    kind, _, place = text.partition(":")
    if kind not in KINDS:
        raise UnknownNameError.of("tracker", kind, KINDS)
    if not place:
        raise InputError(
            f"{text!r} does not say where to", hint="tensorboard:DIR or mlflow:sqlite:///mlflow.db"
        )


def _opened(text: str, run: str) -> Tracker:
    check_tracking(text)
    kind, _, place = text.partition(":")
    try:
        return _TensorBoard(place, run) if kind == "tensorboard" else _Mlflow(place, run)
    except MissingExtraError:
        raise
    except Exception as error:
        why = str(error).partition("\n")[0]
        raise InputError(f"{text} cannot be opened", why, "another place, or no --track") from error


def _module(name: str, package: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingExtraError(
            f"{package} is not installed", str(error), "pip install 'lutier[tracking]'"
        ) from error
