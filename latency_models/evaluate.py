"""How far predictions are from measurements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import kendalltau, spearmanr

from devices.errors import InputError
from latency_models.base import FloatArray

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class Evaluation:
    """Predicted against measured latencies; errors are relative to what was measured.

    Attributes:
        n: how many.
        mape: mean absolute error.
        bias: mean signed error; positive is predicted too high.
        within_5: share within 5 %.
        within_10: share within 10 %.
        spearman: rank correlation; NaN for fewer than three or where all are equal.
        kendall: Kendall's tau-b; NaN likewise.
        rmse_ms: root of the mean squared error in ms.
        noise_floor: split-half error of the measurements, which no prediction can be told to beat;
            ``None`` where it is not known.
    """

    n: int
    mape: float
    bias: float
    within_5: float
    within_10: float
    spearman: float
    kendall: float
    rmse_ms: float
    noise_floor: float | None = None

    def to_dict(self) -> dict[str, float | int | None]:
        """The figures by name, ``None`` for one that is not defined."""
        return {
            name: None if value is None or math.isnan(value) else value
            for name, value in asdict(self).items()
        }

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from profiler.notebook import shown_html

        return shown_html(self)

    def __rich__(self) -> Table:
        """One row a figure."""
        from rich.table import Table

        table = Table(title=f"predicted against measured, {self.n} in all")
        table.add_column("figure")
        table.add_column("value", justify="right")
        table.add_row("mean error", f"{self.mape:.2%}")
        floor = self.noise_floor
        known = floor is not None and not math.isnan(floor)
        table.add_row("noise floor", f"{floor:.2%}" if known else "not known")
        table.add_row("bias", f"{self.bias:+.2%}")
        table.add_row("within 5 %", f"{self.within_5:.0%}")
        table.add_row("within 10 %", f"{self.within_10:.0%}")
        table.add_row("Spearman", f"{self.spearman:.3f}")
        table.add_row("Kendall", f"{self.kendall:.3f}")
        table.add_row("root mean square", f"{self.rmse_ms:.4f} ms")
        return table


def evaluate(
    predicted_ms: Sequence[float] | FloatArray,
    measured_ms: Sequence[float] | FloatArray,
    noise_floor: float | None = None,
) -> Evaluation:
    """Compare predictions with measurements.

    Args:
        predicted_ms: shape ``(n,)``, at least one.
        measured_ms: shape ``(n,)``, all positive.
        noise_floor: relative split-half error of the measurements.

    Raises:
        InputError: nothing to compare, shapes that differ, a value that is not finite, a
            measurement that is not positive.
    """
    predicted = np.asarray(predicted_ms, dtype=np.float64)
    measured = np.asarray(measured_ms, dtype=np.float64)
    if predicted.ndim != 1 or predicted.shape != measured.shape or predicted.size == 0:
        raise InputError(
            f"cannot compare predictions of shape {predicted.shape}"
            f" with measurements of shape {measured.shape}",
            "wants the same number of each, at least one",
        )
    if not np.isfinite(predicted).all():
        raise InputError("a predicted latency is not finite")
    if not (np.isfinite(measured).all() and (measured > 0).all()):
        raise InputError("a measured latency is not positive and finite")
    errors = predicted / measured - 1
    # Ranks of equal values carry nothing, and scipy would warn.
    ranked = len(measured) > 2 and np.ptp(predicted) > 0 and np.ptp(measured) > 0
    return Evaluation(
        n=len(measured),
        mape=float(np.abs(errors).mean()),
        bias=float(errors.mean()),
        within_5=float(np.mean(np.abs(errors) <= 0.05)),
        within_10=float(np.mean(np.abs(errors) <= 0.10)),
        spearman=float(spearmanr(predicted, measured).statistic) if ranked else math.nan,
        kendall=float(kendalltau(predicted, measured).statistic) if ranked else math.nan,
        rmse_ms=float(np.sqrt(np.mean((predicted - measured) ** 2))),
        noise_floor=noise_floor,
    )
