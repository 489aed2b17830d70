"""Fitting the latency model of a target, keeping it, and finding it again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from devices.errors import MissingModelError, MissingTableError
from devices.target import Target
from latency_models.base import AdditiveLatencyModel
from latency_models.fit import FittedModel, fit_latency_model
from latency_models.persist import load_model, save_model
from lutier.networks import measured_spaces, network_samples
from lutier.settings import Settings
from lutier.workplace import model_folder, open_store
from profiler.table import LatencyTable


@dataclass(frozen=True)
class SpaceModel:
    """The model fitted to one space's networks on a target, and where it is kept."""

    space: str
    fitted: FittedModel
    folder: Path


def load_table(settings: Settings, target: Target) -> LatencyTable:
    """The latency table of a target.

    Raises:
        MissingTableError: with the command that makes it.
    """
    with open_store(settings) as store:
        return LatencyTable.load(store, target)


def fit_models(
    settings: Settings, target: Target, calibration: int
) -> tuple[LatencyTable, list[SpaceModel]]:
    """Fit a model to each space that the target's table has whole networks of, and keep it.

    Slope and intercept belong to a space: how much the ops of a network disturb one another
    depends on how large they are.

    Raises:
        MissingTableError: no table, or no whole networks in it.
    """
    table = load_table(settings, target)
    spaces = measured_spaces(table)
    if not spaces:
        raise MissingTableError(
            f"the latency table of {target} has no whole networks",
            "without some the sum of the ops cannot be calibrated",
            f"lutier profile {target.flags} --space SPACE --networks 50",
        )
    models = []
    for space in spaces:
        fitted = fit_latency_model(
            table, network_samples(table, space), calibration=calibration, seed=settings.seed
        )
        folder = model_folder(settings, target, space)
        save_model(folder, fitted, table, space=space)
        models.append(SpaceModel(space, fitted, folder))
    return table, models


def find_model(settings: Settings, target: Target, space: str) -> AdditiveLatencyModel:
    """The model of a target and space that was fitted and kept.

    Raises:
        MissingTableError: the target has not been measured.
        MissingModelError: it has, but no model was fitted, or it does not fit this version.
    """
    table = load_table(settings, target)
    folder = model_folder(settings, target, space)
    if not folder.is_dir():
        if space in measured_spaces(table):
            hint = f"lutier fit --target '{target}'"
        else:
            hint = f"lutier profile {target.flags} --space '{space}', then lutier fit"
        raise MissingModelError(f"no latency model of {space} on {target}", hint=hint)
    return load_model(folder)
