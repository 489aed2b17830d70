"""Any network, from its kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from latency_models.kernel_calibration import (
    Crowding,
    KernelCalibration,
    KernelRows,
    calibrate_kernels,
)
from latency_models.kernel_regressors import REACH, KernelRegressors
from profiler.kernels import KernelSpec
from profiler.kernels.graph import Kernel
from profiler.table import LatencyTable

Source = Literal["measured", "regressed", "unknown"]
SOURCES: tuple[Source, ...] = ("measured", "regressed", "unknown")


@dataclass(frozen=True)
class KernelLatency:
    """What one kernel of a network takes, and where that is from.

    Attributes:
        name: of the node.
        kind: domain and operator.
        key: of the kernel; empty where it cannot be cut out.
        source: ``measured``, ``regressed`` or ``unknown``.
        latency_ms: None where it is unknown.
        objection: why it is unknown.
    """

    name: str
    kind: str
    key: str
    source: Source
    latency_ms: float | None
    objection: str = ""


@dataclass(frozen=True)
class NetworkPrediction:
    """The predicted latency of a network.

    Attributes:
        latency_ms: of the whole network; of what is known of it where it is not complete.
        kernels: in the order they run.
        reservation: why the sum of the kernels may be far from the network; empty where nothing
            speaks for it.
    """

    latency_ms: float
    kernels: tuple[KernelLatency, ...]
    reservation: str = ""

    @property
    def unknown(self) -> tuple[KernelLatency, ...]:
        """Kernels that nobody can price."""
        return tuple(each for each in self.kernels if each.source == "unknown")

    @property
    def is_complete(self) -> bool:
        """Whether every kernel has a price; a network with others takes longer than predicted."""
        return not self.unknown

    def share(self, source: Source) -> float:
        """Share of the kernels' time that comes from a source; of ``unknown``, of their number."""
        if source == "unknown":
            return len(self.unknown) / len(self.kernels) if self.kernels else 0.0
        total = sum(each.latency_ms or 0.0 for each in self.kernels)
        part = sum(each.latency_ms or 0.0 for each in self.kernels if each.source == source)
        return part / total if total else 0.0


@dataclass(frozen=True)
class KernelModel:
    """Prices networks by their kernels: measured ones first, regressed ones where it may.

    Attributes:
        kernels_ms: measured kernels, and what they take in ms.
        regressors: of those that were not measured.
        crowding: what weights cost that a cache has no room for.
        calibration: from a sum of kernels to a network.
    """

    kernels_ms: Mapping[KernelSpec, float]
    regressors: KernelRegressors
    crowding: Crowding
    calibration: KernelCalibration

    @classmethod
    def fit(cls, table: LatencyTable, seed: int = 0) -> KernelModel:
        """Fit to a table, calibrated on its networks whose kernels are all in it.

        Args:
            table: kernels, files of weights, and networks that were given as files.
            seed: of everything drawn at random.
        """
        kernels_ms = table.kernels
        crowding = Crowding.of(table.crowded, table.crowded_products)
        known = {
            key: specs
            for key, specs in table.made_of_kernels.items()
            if all(spec in kernels_ms for spec in specs)
        }
        sums = [sum(kernels_ms[spec] for spec in specs) for specs in known.values()]
        rows = KernelRows.of(list(known.values()), sums, crowding)
        measured = np.array([table.networks[key] for key in known], dtype=np.float64)
        regressors = KernelRegressors(kernels_ms, seed)
        return cls(kernels_ms, regressors, crowding, calibrate_kernels(rows, measured))

    def predict(self, kernels: Sequence[Kernel]) -> NetworkPrediction:
        """The latency of a network, kernel by kernel.

        Args:
            kernels: of the network, in its order.
        """
        objections: dict[KernelSpec, str] = {}
        for spec in {kernel.spec for kernel in kernels if kernel.spec is not None}:
            if spec not in self.kernels_ms:
                objections[spec] = self.regressors.objection(spec)
        regressable = [spec for spec, objection in objections.items() if not objection]
        predicted = self.regressors.predict_ms(regressable).tolist()
        regressed = dict(zip(regressable, predicted, strict=True))
        priced = tuple(self._price(kernel, regressed, objections) for kernel in kernels)
        specs = [kernel.spec for kernel in kernels if kernel.spec is not None]
        total_ms = sum(each.latency_ms or 0.0 for each in priced)
        rows = KernelRows.of([specs], [total_ms], self.crowding)
        latency_ms = float(self.calibration.predict_ms(rows)[0])
        return NetworkPrediction(latency_ms, priced, self._reservation(rows))

    def _reservation(self, rows: KernelRows) -> str:
        """Why a network is unlike those of the calibration."""
        weight_bytes = float(rows.weight_bytes[0])
        cost_ms = float(rows.columns(self.calibration.room)[0, 3])
        # Weights that are all in a cache cost the same however many they are.
        if weight_bytes <= REACH * self.calibration.largest_bytes or cost_ms == 0:
            return ""
        return (
            f"{weight_bytes / 1e6:.0f} MB of weights, and no network with more than"
            f" {self.calibration.largest_bytes / 1e6:.0f} MB was measured"
        )

    def _price(
        self,
        kernel: Kernel,
        regressed: Mapping[KernelSpec, float],
        objections: Mapping[KernelSpec, str],
    ) -> KernelLatency:
        spec = kernel.spec
        if spec is None:
            return KernelLatency(kernel.name, kernel.kind, "", "unknown", None, kernel.objection)
        if spec in self.kernels_ms:
            latency_ms = self.kernels_ms[spec]
            return KernelLatency(kernel.name, kernel.kind, spec.key, "measured", latency_ms)
        if spec in regressed:
            latency_ms = regressed[spec]
            return KernelLatency(kernel.name, kernel.kind, spec.key, "regressed", latency_ms)
        objection = objections[spec]
        return KernelLatency(kernel.name, kernel.kind, spec.key, "unknown", None, objection)
