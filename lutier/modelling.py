"""Fitting the latency model of a target, keeping it, and finding it again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from devices.errors import MissingModelError, MissingTableError
from devices.target import Target
from latency_models.fit import FittedModel, fit_latency_model
from latency_models.metadata import ModelMetadata
from latency_models.network import SumModel
from latency_models.persist import load_model, save_model
from latency_models.regressors import OpRegressors
from lutier.networks import carrier_samples, measured_spaces, network_samples
from lutier.settings import Settings
from lutier.storage import model_folder, open_store
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
    settings: Settings, target: Target, calibration: int | None = None
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
            f"lutier profile {target.flags} --space SPACE --networks 60",
        )
    # Their choice by cross-validation takes most of the time, and spaces share the ops.
    regressors = OpRegressors.fit(list(table.ops), list(table.ops.values()), seed=settings.seed)
    models = []
    for space in spaces:
        fitted = fit_latency_model(
            table,
            network_samples(table, space),
            carriers=carrier_samples(table, space),
            calibration=calibration,
            seed=settings.seed,
            space=space,
            regressors=regressors,
        )
        folder = model_folder(settings, target, space)
        save_model(folder, fitted.model, fitted.metadata)
        models.append(SpaceModel(space, fitted, folder))
    return table, models


def find_model(
    settings: Settings, table: LatencyTable, target: Target, space: str
) -> tuple[SumModel, ModelMetadata]:
    """The model of a target and space that was fitted and kept, and where it is from.

    Raises:
        MissingModelError: no model was fitted, or by another version.
    """
    folder = model_folder(settings, target, space)
    if not folder.is_dir():
        if space in measured_spaces(table):
            hint = f"lutier fit --target '{target}'"
        else:
            hint = (
                f"lutier profile {target.flags} --space '{space}',"
                f" then lutier fit --target '{target}'"
            )
        raise MissingModelError(f"no latency model of {space} on {target}", hint=hint)
    return load_model(folder)
