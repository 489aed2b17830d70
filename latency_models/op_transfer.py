"""OpTransfer: the table of a new device, from those of known ones and a few measured ops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
import pandas as pd

from devices.errors import InputError, MissingEntryError
from latency_models.base import FloatArray
from latency_models.features import feature_frame
from latency_models.lookup import OpTable
from latency_models.transfer import SAMPLES, DeviceTransfer
from profiler.ops import OpSpec


class OpTransfer:
    """Predicts ops on a new device: known tables, scaled by a few ops that were measured there.

    A :class:`~latency_models.transfer.DeviceTransfer` whose rows are ops. By how much a device is
    slower than another depends on the kind of an op and on its sizes, so these are its features;
    ops span orders of magnitude, so logarithms are combined. An ``OpLatencyModel``. An op that was
    measured keeps its latency, unless nothing like it explains that.

    Args:
        tables: latency tables of known devices, at least one.
        seed: of what is drawn at random.

    Attributes:
        specs: ops that can be answered for, of any of the tables, ordered by key.
        transfer: what predicts them, by key.
        measured: ops measured on the new device that are used, and their latencies in ms.

    Raises:
        InputError: no table, or none with an op.
    """

    def __init__(self, tables: Sequence[OpTable], seed: int = 0) -> None:
        known = {spec.key: spec for table in tables for spec in table.ops}
        if not known:
            raise InputError(
                f"no op is known in {len(tables)} tables", hint="lutier profile measures them"
            )
        self.specs = tuple(known[key] for key in sorted(known))
        reference = pd.DataFrame(
            {
                f"table {number}": [table.ops.get(spec, np.nan) for spec in self.specs]
                for number, table in enumerate(tables, start=1)
                if table.ops
            },
            index=[spec.key for spec in self.specs],
        )
        self.transfer = DeviceTransfer(scale="log", seed=seed).fit(
            reference, op_features(self.specs)
        )
        self.measured: Mapping[OpSpec, float] = {}

    def suggest(self, n: int = SAMPLES, among: Sequence[OpSpec] | None = None) -> list[OpSpec]:
        """The ops that are worth measuring on the new device, the best first.

        Args:
            n: how many.
            among: which can be measured; by default all that are known.

        Raises:
            InputError: fewer than one, or more than there are.
            MissingEntryError: an op that no known table has.
        """
        keys = None if among is None else [spec.key for spec in among]
        return [OpSpec.parse(str(key)) for key in self.transfer.suggest(n, keys)]

    def adapt(self, measured: Mapping[OpSpec, float]) -> Self:
        """Take in what was measured on the new device.

        Args:
            measured: latency in ms of some ops; those that no known table has are not used.

        Raises:
            InputError: no op of the known tables, a latency that is not a positive number.
        """
        by_key = {spec.key: float(value) for spec, value in measured.items()}
        self.transfer.adapt(pd.Series(by_key, dtype=np.float64))
        unused = {*self.transfer.unknown_, *self.transfer.set_aside_}
        self.measured = {s: by_key[s.key] for s in measured if s.key not in unused}
        return self

    def __contains__(self, spec: object) -> bool:
        """Whether an op can be answered for: it is in a known table, or free."""
        return isinstance(spec, OpSpec) and (spec.is_free or spec in set(self.specs))

    def predict_ms(self, specs: Sequence[OpSpec]) -> FloatArray:
        """Latency of each op on the new device in ms, shape ``(len(specs),)``; free ops cost 0.

        Raises:
            MissingEntryError: an op that no known table has.
            MissingModelError: nothing was measured yet.
        """
        predicted = self.transfer.predict_ms(self._keys(specs))
        return np.array(
            [
                0.0 if spec.is_free else self.measured.get(spec, predicted.get(spec.key, np.nan))
                for spec in specs
            ],
            dtype=np.float64,
        )

    def interval_ms(self, specs: Sequence[OpSpec], coverage: float = 0.9) -> FloatArray:
        """Where a measurement of each op would lie, in ms, shape ``(len(specs), 2)``.

        Args:
            specs: the ops; free ones are 0 for certain.
            coverage: share of measurements that lie inside, between 0 and 1.

        Raises:
            InputError: a coverage that is not between 0 and 1.
            MissingEntryError: an op that no known table has.
            MissingModelError: nothing was measured yet.
        """
        frame = self.transfer.interval_ms(self._keys(specs), coverage)
        bounds = dict(zip(frame.index, frame.to_numpy(), strict=True))
        rows = [np.zeros(2) if spec.is_free else bounds[spec.key] for spec in specs]
        return np.array(rows, dtype=np.float64).reshape(len(specs), 2)

    def _keys(self, specs: Sequence[OpSpec]) -> list[str]:
        """Keys of the ops that have a latency, each once."""
        known = set(self.specs)
        for spec in specs:
            if not spec.is_free and spec not in known:
                raise MissingEntryError(
                    f"{spec.key} is in no table of a known device",
                    f"they hold {len(known)} ops",
                    "measure it there with lutier profile --op",
                )
        return list(dict.fromkeys(spec.key for spec in specs if not spec.is_free))


def op_features(specs: Sequence[OpSpec]) -> pd.DataFrame:
    """Features of ops of any kinds, sizes on a logarithmic scale; 0 where a kind lacks one.

    Args:
        specs: the ops, none twice.

    Returns:
        One row an op, indexed by key.
    """
    frame = feature_frame(specs)
    for kind in sorted({spec.kind for spec in specs}):
        frame[f"kind_{kind}"] = (frame["kind"] == kind).astype(np.float64)
    numbers = frame.drop(columns="kind").astype(np.float64).fillna(0.0)
    logarithms: pd.DataFrame = numbers.transform(np.log1p)
    return logarithms
