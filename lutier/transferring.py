"""From what is known of other devices to a new one: networks of a file, or ops of the store."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from devices.errors import InputError
from devices.target import Target
from latency_models.op_transfer import OpTransfer
from latency_models.transfer import SAMPLES, DeviceTransfer
from latency_models.transfer_features import position_features
from lutier.latency_files import read_latencies, read_measured
from lutier.settings import Settings
from lutier.tables import find_table
from profiler.table import LatencyTable


@dataclass(frozen=True)
class Suggestion:
    """What to measure on a new device.

    Attributes:
        names: architectures, or keys of ops, the most informative first.
        known: the known devices.
        warnings: what a person should know of the input.
        next_command: how to go on.
        frame: the names, and a column ``latency_ms`` to be filled in.
    """

    names: tuple[str, ...]
    known: tuple[str, ...]
    warnings: tuple[str, ...]
    next_command: str
    frame: pd.DataFrame

    def to_dict(self) -> dict[str, Any]:
        """All but the table, as values that JSON can hold."""
        return {
            "suggested": list(self.names),
            "known": list(self.known),
            "warnings": list(self.warnings),
            "next": self.next_command,
        }


@dataclass(frozen=True)
class Prediction:
    """Latencies of a new device.

    Attributes:
        noun: what was predicted, ``networks`` or ``ops``.
        frame: columns ``predicted_ms``, ``lower_ms``, ``upper_ms`` and ``measured_ms`` (NaN where
            it was not), indexed by architecture or key.
        known: the known devices.
        measured: how many measurements were used.
        set_aside: measured ones that were not, as nothing like them explains them.
        coverage: of the intervals.
        expected_error: median relative error on known devices; NaN where it cannot be told.
        warnings: what a person should know of the input.
    """

    noun: str
    frame: pd.DataFrame
    known: tuple[str, ...]
    measured: int
    set_aside: tuple[str, ...]
    coverage: float
    expected_error: float
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """All of it as values that JSON can hold."""
        rows = self.frame.reset_index(names="name").to_dict(orient="records")
        return {
            "predicted": rows,
            "known": list(self.known),
            "measured": self.measured,
            "set_aside": list(self.set_aside),
            "coverage": self.coverage,
            "expected_error": self.expected_error,
            "warnings": list(self.warnings),
        }


def transfer_networks(
    reference: Path,
    known: Sequence[str],
    measured: Path | None,
    column: str | None,
    suggest: int | None,
    coverage: float,
    seed: int,
) -> Suggestion | Prediction:
    """Say which networks to measure on a new device, or predict all from those measured.

    What names of architectures say of these is used as features.

    Args:
        reference: file of latencies on the known devices.
        known: which of its columns; all where none is named.
        measured: file of latencies on the new device, or ``None`` to be told which to measure.
        column: which of its columns, where it has several.
        suggest: how many to measure; by default :data:`~latency_models.transfer.SAMPLES`, or all
            where there are fewer.
        coverage: of the intervals.
        seed: of what is drawn at random.

    Raises:
        InputError: a file that cannot be read or used, measurements of none of its architectures.
        UnknownNameError: no such column.
    """
    latencies = read_latencies(reference, known)
    devices = tuple(str(name) for name in latencies.columns)
    taken = None if measured is None else read_measured(measured, column)
    transfer = DeviceTransfer(seed=seed).fit(latencies, position_features(latencies.index))
    warnings = _warnings(transfer)
    if taken is None:
        n = min(SAMPLES, len(latencies)) if suggest is None else suggest
        names = tuple(str(name) for name in transfer.suggest(n))
        command = f"lutier transfer {shlex.quote(str(reference))} --measured FILE -o predicted.csv"
        index = pd.Index(names, name=latencies.index.name)
        return Suggestion(
            names, devices, warnings, command, pd.DataFrame({"latency_ms": np.nan}, index=index)
        )
    transfer.adapt(taken)
    return Prediction(
        "networks",
        _frame(transfer, taken, coverage),
        devices,
        int(taken.index.isin(latencies.index).sum()) - len(transfer.set_aside_),
        tuple(str(name) for name in transfer.set_aside_),
        coverage,
        transfer.expected_error_,
        (*warnings, *_unknown(transfer)),
    )


def transfer_ops(
    settings: Settings,
    sources: Sequence[str],
    target: str | None,
    suggest: int | None,
    coverage: float,
) -> Suggestion | Prediction:
    """Say which ops to measure on a new device, or predict known tables' ops from its own.

    Latencies are those in a network where the new device's table has carriers, and those of ops
    alone where it has none: what is measured and what is predicted are of one sort.

    Args:
        settings: which store, and the seed.
        sources: tables of known devices, as :func:`~lutier.tables.find_table` takes them.
        target: the new device's table, or ``None`` to be told which ops to measure.
        suggest: how many to measure; by default :data:`~latency_models.transfer.SAMPLES`, or all
            where there are fewer.
        coverage: of the intervals.

    Raises:
        InputError: neither a target nor a file; no op in common.
        MissingTableError: no such table in the store.
    """
    tables = [find_table(settings, source) for source in sources]
    new = None if target is None else find_table(settings, target)
    if new is not None and not new.carriers:
        tables = [LatencyTable.from_ops(table.target, table.alone) for table in tables]
    transfer = OpTransfer(tables, seed=settings.seed)
    known = tuple(table.target for table in tables)
    if new is None:
        n = min(SAMPLES, len(transfer.specs)) if suggest is None else suggest
        names = tuple(spec.key for spec in transfer.suggest(n))
        ops = " ".join(f"--op {shlex.quote(name)}" for name in names)
        return Suggestion(
            names,
            known,
            _warnings(transfer.transfer),
            f"lutier profile --device DEVICE --runtime RUNTIME {ops}",
            pd.DataFrame({"latency_ms": np.nan}, index=pd.Index(names, name="key")),
        )
    if not new.ops:
        raise InputError(
            f"the table of {new.target} has no op",
            hint=f"lutier profile {Target.parse(new.target).flags} --op KEY",
        )
    transfer.adapt(new.ops)
    measured = pd.Series({spec.key: value for spec, value in new.ops.items()}, dtype=float)
    measured.index.name = "key"
    frame = _frame(transfer.transfer, measured, coverage)
    return Prediction(
        "ops",
        frame,
        known,
        len(transfer.measured),
        tuple(str(name) for name in transfer.transfer.set_aside_),
        coverage,
        transfer.transfer.expected_error_,
        _warnings(transfer.transfer),
    )


def _frame(transfer: DeviceTransfer, measured: pd.Series, coverage: float) -> pd.DataFrame:
    predicted = transfer.predict_ms()
    intervals = transfer.interval_ms(coverage=coverage)
    frame = pd.DataFrame(
        {
            "predicted_ms": predicted,
            "lower_ms": intervals["lower"],
            "upper_ms": intervals["upper"],
            "measured_ms": measured.reindex(predicted.index),
        }
    )
    frame.index.name = measured.index.name
    return frame


def _warnings(transfer: DeviceTransfer) -> tuple[str, ...]:
    if not transfer.zeros_:
        return ()
    return (f"{transfer.zeros_} latencies of 0 in the reference were taken as missing",)


def _unknown(transfer: DeviceTransfer) -> tuple[str, ...]:
    if not transfer.unknown_:
        return ()
    first = transfer.unknown_[0]
    return (f"{len(transfer.unknown_)} measured are not in the reference, {first} for one",)
