"""LatencyTable: the frozen view of what was measured on one target."""

from __future__ import annotations

import difflib
import hashlib
import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from devices.environment import Environment
from devices.errors import InputError, MissingEntryError, MissingTableError
from devices.target import Target
from profiler.in_network import latencies_ms
from profiler.kernels.files import (
    crowded_latencies_ms,
    is_made_of_kernels,
    kernel_latencies_ms,
)
from profiler.kernels.spec import KernelSpec
from profiler.ops import OpSpec
from profiler.quality import SOUND, TRUST_LIMIT, split_half_error
from profiler.rules import ROWS_LIMIT
from profiler.storage.database import MeasurementStore
from profiler.storage.portable import SUMMARY, PortableRow

if TYPE_CHECKING:
    from rich.table import Table

COLUMNS = (
    "key",
    "role",
    *SUMMARY,
    "ops",
    "protocol_id",
    "artifact_sha256",
    "finished_at",
)
"""What is measured of each op and network, ops on their own."""
_NEAREST = 3


class LatencyTable:
    """Latencies of the ops (and some whole networks) of one target, measured in one environment.

    Ops are measured alone; where carriers were measured beside them, the latency of an op is what
    it takes in a network (:mod:`profiler.in_network`).

    Args:
        target: what was measured on, as a string.
        environment: the facts of the machine.
        frame: one row a key, columns :data:`COLUMNS`, latencies in ms.
    """

    def __init__(self, target: str, environment: Environment, frame: pd.DataFrame) -> None:
        self.target = target
        self.environment = environment
        self._frame = frame.reset_index(drop=True)
        names = ("key", "role", "median_ms", "ops")
        columns = (self._frame[name] for name in names)
        rows = (
            (str(key), str(role), float(median), ops if isinstance(ops, str) else None)
            for key, role, median, ops in zip(*columns, strict=True)
        )
        shared = latencies_ms(rows, target)
        self._frame["latency_ms"] = [
            shared.get(str(key), float(median)) if role == "op" else float(median)
            for key, role, median in zip(*(self._frame[name] for name in names[:3]), strict=True)
        ]

    @classmethod
    def load(
        cls, store: MeasurementStore, target: Target, environment_id: str | None = None
    ) -> LatencyTable:
        """Read the table of a target from a store.

        Args:
            store: where measurements are.
            target: which table.
            environment_id: which environment; by default the one measured last.

        Raises:
            MissingTableError: nothing was measured on that target, or not in that environment.
        """
        environments = store.environments(target)
        if not environments:
            raise no_table(target, list(store.targets()))
        chosen = environments[-1]
        if environment_id is not None:
            matching = [e for e in environments if e.id == environment_id]
            if not matching:
                raise MissingTableError(
                    f"no latency table of {target} in environment {environment_id}",
                    f"it was measured in {', '.join(e.id for e in environments)}",
                )
            chosen = matching[0]
        # Measured under two protocols: the later one counts.
        latest = {row["key"]: row for row in store.measurements(target, chosen.id)}
        frame = pd.DataFrame(list(latest.values()), columns=list(COLUMNS))
        return cls(str(target), chosen, frame)

    @classmethod
    def from_rows(
        cls, target: str, environment: Environment, rows: Sequence[PortableRow]
    ) -> LatencyTable:
        """The table of measurements that came from elsewhere, e.g. from a file."""
        values = [{name: getattr(row, name) for name in COLUMNS} for row in rows]
        return cls(target, environment, pd.DataFrame(values, columns=list(COLUMNS)))

    @classmethod
    def from_ops(
        cls,
        target: str,
        latencies_ms: Mapping[OpSpec, float],
        environment: Environment | None = None,
        split_half: float = math.nan,
        relative_errors: Mapping[OpSpec, float] | None = None,
    ) -> LatencyTable:
        """A table of given op latencies in ms, e.g. from a simulation. Free ops are left out.

        Args:
            target: what they were measured on, as a string.
            latencies_ms: of each op.
            environment: the facts of the machine, where they are known.
            split_half: split-half error of every op.
            relative_errors: half the width of the 95 % interval of ops, relative to the latency.
        """
        errors = relative_errors or {}
        rows = [
            {
                "key": spec.key,
                "role": "op",
                "median_ms": value,
                "split_half": split_half,
                "ci_low_ms": value * (1 - errors.get(spec, math.nan)),
                "ci_high_ms": value * (1 + errors.get(spec, math.nan)),
            }
            for spec, value in latencies_ms.items()
            if not spec.is_free
        ]
        frame = pd.DataFrame(rows, columns=list(COLUMNS))
        return cls(target, environment or Environment.of({}), frame)

    @property
    def environment_id(self) -> str:
        """Id of the environment."""
        return self.environment.id

    @property
    def frame(self) -> pd.DataFrame:
        """A copy of all rows, latencies in ms.

        ``median_ms`` and its interval are as measured, ops alone; ``latency_ms`` is what an op
        takes in a network.
        """
        return self._frame.copy()

    @cached_property
    def digest(self) -> str:
        """SHA-256 over keys and latencies: changes when a figure changes."""
        rows = sorted(zip(self._frame["key"], self._frame["latency_ms"], strict=True))
        text = "\n".join(f"{key} {value!r}" for key, value in rows)
        header = f"{self.target} {self.environment_id}\n"
        return hashlib.sha256((header + text).encode()).hexdigest()

    @cached_property
    def ops(self) -> Mapping[OpSpec, float]:
        """Latency in a network of every measured op, in ms. Free ops are not in it.

        Nor are those in :attr:`unknown_ops`.
        """
        return self._specs("latency_ms")

    @cached_property
    def alone(self) -> Mapping[OpSpec, float]:
        """Latency in ms of the same ops on their own, as they were measured."""
        return self._specs("median_ms")

    @cached_property
    def _relative_errors(self) -> Mapping[OpSpec, float]:
        low, high, median = (
            pd.to_numeric(self._frame[name], errors="coerce")
            for name in ("ci_low_ms", "ci_high_ms", "median_ms")
        )
        errors = dict(zip(self._frame["key"], (high - low) / (2 * median), strict=True))
        return {spec: float(errors[spec.key]) for spec in self.ops}

    def relative_error(self, spec: OpSpec) -> float:
        """Half the width of the 95 % interval of an op, relative to its latency.

        NaN where it is not known, or the op was not measured.
        """
        return self._relative_errors.get(spec, math.nan)

    def _specs(self, column: str) -> dict[OpSpec, float]:
        specs = ((_spec(key), value) for key, value in self._column("op", column).items())
        return {spec: value for spec, value in specs if spec is not None}

    @cached_property
    def unknown_ops(self) -> tuple[str, ...]:
        """Keys of rows whose kind of op this version of Lutier does not have."""
        return tuple(key for key in self._column("op", "median_ms") if _spec(key) is None)

    @cached_property
    def networks(self) -> Mapping[str, float]:
        """Latency in ms of every measured network, by architecture id."""
        return self._column("network", "median_ms")

    @cached_property
    def carriers(self) -> Mapping[str, float]:
        """Latency in ms of the networks that ops were measured beside, by architecture id."""
        return self._column("carrier", "median_ms")

    @cached_property
    def kernels(self) -> Mapping[KernelSpec, float]:
        """Latency in ms of every measured kernel of a runtime's own graph."""
        return kernel_latencies_ms(self._column("kernel", "median_ms"))

    @cached_property
    def crowded(self) -> Mapping[int, float]:
        """What files of convolutions take in ms, by the bytes of their weights, fewest first.

        They show what weights cost that a cache has no room for.
        """
        return crowded_latencies_ms(self._column("kernel", "median_ms"))

    @cached_property
    def crowded_products(self) -> Mapping[int, float]:
        """The same of files of products, which read their weights in one go."""
        return crowded_latencies_ms(self._column("kernel", "median_ms"), products=True)

    @cached_property
    def made_of_kernels(self) -> Mapping[str, tuple[KernelSpec, ...]]:
        """Of measured networks that were given as files, their kernels, by key."""
        rows = self._frame[self._frame["role"] == "network"]
        parsed: dict[str, KernelSpec] = {}
        found = {}
        for key, ops in zip(rows["key"], rows["ops"], strict=True):
            if not isinstance(ops, str) or not is_made_of_kernels(ops):
                continue
            texts = ops.split()
            try:
                parsed |= {each: KernelSpec.parse(each) for each in set(texts) - parsed.keys()}
            except InputError:
                # Written by a version that knows more.
                continue
            found[str(key)] = tuple(parsed[each] for each in texts)
        return found

    def _column(self, role: str, column: str) -> dict[str, float]:
        rows = self._frame[self._frame["role"] == role]
        return {
            str(key): float(value) for key, value in zip(rows["key"], rows[column], strict=True)
        }

    def __len__(self) -> int:
        """Number of ops."""
        return len(self.ops)

    def __contains__(self, spec: object) -> bool:
        return isinstance(spec, OpSpec) and (spec.is_free or spec in self.ops)

    def latency_ms(self, spec: OpSpec) -> float:
        """The measured latency of an op in ms; 0 for a free one.

        Raises:
            MissingEntryError: not measured; names the nearest keys and the command that does it.
        """
        if spec.is_free:
            return 0.0
        try:
            return self.ops[spec]
        except KeyError:
            keys = [known.key for known in self.ops]
            near = difflib.get_close_matches(spec.key, keys, n=2, cutoff=0.3)
            raise MissingEntryError(
                f"{spec.key} is not in the latency table of {self.target}",
                f"nearest: {', '.join(near)}" if near else f"the table has {len(keys)} ops",
                self._command(spec),
            ) from None

    def _command(self, spec: OpSpec) -> str:
        """The command that measures an op; none where the table is not of a real target."""
        try:
            flags = Target.parse(self.target).flags
        except InputError:
            return ""
        return f"lutier profile {flags} --op '{spec.key}'"

    def split_half_error_of(self, role: str) -> float:
        """Split-half error over the ops or over the networks, relative; NaN where unknown."""
        rows = self._frame[self._frame["role"] == role]
        return split_half_error(rows["split_half"].astype(float))

    @property
    def split_half_error(self) -> float:
        """Split-half error over all rows, relative; NaN where unknown."""
        return split_half_error(self._frame["split_half"].astype(float))

    @cached_property
    def findings(self) -> Mapping[str, int]:
        """Number of rows that each rule of :mod:`profiler.rules` objects to."""
        texts = (str(text) for text in self._frame["findings"].dropna())
        return dict(Counter(name for text in texts if text != SOUND for name in text.split()))

    @property
    def doubtful(self) -> float:
        """Share of the rows that a rule objects to."""
        judged = [str(text) for text in self._frame["findings"].dropna()]
        return sum(text != SOUND for text in judged) / len(judged) if judged else 0.0

    @property
    def is_trustworthy(self) -> bool:
        """Whether the split-half error is known and small, and few rows are doubtful."""
        return self.split_half_error <= TRUST_LIMIT and self.doubtful <= ROWS_LIMIT

    def to_dict(self) -> dict[str, Any]:
        """Rows and facts as values that JSON can hold; what is not known is None."""
        rows = [
            {str(name): _plain(value) for name, value in row.items()}
            for row in self._frame.to_dict(orient="records")
        ]
        return {
            "target": self.target,
            "environment": self.environment.to_dict(),
            "environment_id": self.environment_id,
            "digest": self.digest,
            "ops": len(self),
            "networks": len(self.networks),
            "unknown_ops": list(self.unknown_ops),
            "split_half_error": _plain(self.split_half_error),
            "findings": dict(self.findings),
            "trustworthy": self.is_trustworthy,
            "rows": rows,
        }

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from profiler.notebook import shown_html

        return shown_html(self)

    def __rich__(self) -> Table:
        """Ops by kind: how many, and from what to what latency."""
        from rich.table import Table

        table = Table(title=f"{self.target}: {len(self)} ops, {len(self.networks)} networks")
        table.add_column("kind")
        if self.unknown_ops:
            table.caption = f"{len(self.unknown_ops)} more ops are of kinds not known here"
        for column in ("count", "fastest", "median", "slowest"):
            table.add_column(column, justify="right")
        kinds: dict[str, list[float]] = {}
        for spec, value in self.ops.items():
            kinds.setdefault(spec.kind, []).append(value)
        if self.networks:
            kinds["(networks)"] = list(self.networks.values())
        if self.kernels:
            kinds["(kernels)"] = list(self.kernels.values())
        for kind, values in sorted(kinds.items()):
            figures = (min(values), statistics.median(values), max(values))
            table.add_row(kind, str(len(values)), *(f"{value:.4f} ms" for value in figures))
        return table


def _spec(key: str) -> OpSpec | None:
    """The op of a key; ``None`` for one of a vocabulary that is not this one's."""
    try:
        return OpSpec.parse(key)
    except InputError:
        return None


def _plain(value: Any) -> Any:
    """A cell as JSON holds it: NaN, which JSON has no word for, as None, a time as text."""
    if pd.isna(value):
        return None
    return value.isoformat() if isinstance(value, datetime) else value


def no_table(target: Target, known: list[str]) -> MissingTableError:
    """What to say of a target that was not measured: the nearest that were, and the command."""
    near = difflib.get_close_matches(str(target), known, n=_NEAREST, cutoff=0.6)
    shown = near or known[:_NEAREST]
    others = f" and {len(known) - len(shown)} others" if len(known) > len(shown) else ""
    command = f"lutier profile {target.flags} --space SPACE"
    return MissingTableError(
        f"no latency table of {target}",
        f"the store holds {', '.join(shown) or 'nothing yet'}{others}",
        f"{near[0]}, or {command}" if near else command,
    )
