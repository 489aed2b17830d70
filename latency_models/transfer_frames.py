"""What is asked of the tables that a transfer is made from.

Internal to :mod:`latency_models.transfer`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from devices.errors import InputError
from latency_models.base import FloatArray


def check_reference(reference: pd.DataFrame) -> tuple[FloatArray, int]:
    """Latencies of the known devices, and how many zeros became NaN in them.

    Raises:
        InputError: as :meth:`DeviceTransfer.fit` says.
    """
    values = _numbers(reference, "reference")
    if not reference.columns.is_unique:
        twice = reference.columns[reference.columns.duplicated()][0]
        raise InputError(f"the device {twice} occurs twice in the reference", hint="rename one")
    for bad, word in ((values < 0, "negative"), (np.isinf(values), "infinite")):
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise InputError(
                f"{reference.columns[column]} of {reference.index[row]} is"
                f" {values[row, column]} ms in the reference",
                f"{int(bad.sum())} latencies are {word}",
                "leave empty what was not measured",
            )
    zeros = values == 0
    values = np.where(zeros, np.nan, values)
    empty = np.isnan(values).all(axis=0)
    if empty.any():
        name = reference.columns[int(np.argmax(empty))]
        raise InputError(
            f"the device {name} has no latency in the reference", hint="leave its column out"
        )
    return values, int(zeros.sum())


def check_features(features: pd.DataFrame, reference: pd.DataFrame) -> FloatArray:
    """Features of the reference's rows, in their order.

    Raises:
        InputError: as :meth:`DeviceTransfer.fit` says.
    """
    _numbers(features, "features")
    lacking = reference.index.difference(features.index)
    if len(lacking):
        raise InputError(
            f"{lacking[0]} has no features", f"{len(lacking)} rows of the reference have none"
        )
    values = _numbers(features.loc[reference.index], "features")
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise InputError(
            f"the feature {features.columns[column]} of {reference.index[row]} is not finite"
        )
    return values


def check_measured(measured: pd.Series, index: pd.Index) -> pd.Series:
    """Measured latencies as floats.

    Raises:
        InputError: as :meth:`DeviceTransfer.adapt` says.
    """
    values = _numbers(measured.to_frame(), "measurements")[:, 0]
    bad = ~(np.isfinite(values) & (values > 0))
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            f"{measured.index[row]} was measured as {values[row]} ms",
            "a latency is a positive number",
            "leave out what was not measured",
        )
    if not measured.index.isin(index).any():
        raise InputError(
            f"none of the {len(measured)} measured architectures is in the reference",
            f"it has {index[0]}, and not {measured.index[0]}",
            "measure those that are suggested",
        )
    return pd.Series(values, index=measured.index)


def _numbers(frame: pd.DataFrame, noun: str) -> FloatArray:
    """The cells as floats; a row that occurs twice, or that has no name, is an error."""
    if frame.empty:
        raise InputError(f"nothing in the {noun}", f"rows and columns are {frame.shape}")
    if not frame.index.is_unique:
        twice = frame.index[frame.index.duplicated()]
        raise InputError(
            f"{twice[0]} occurs twice in the {noun}",
            f"{len(twice.unique())} architectures do, and nobody knows which figure is right",
            "leave one of each",
        )
    try:
        values: FloatArray = frame.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"something in the {noun} is no number",
            str(error)[:100],
            "leave that column out",
        ) from error
    return values
