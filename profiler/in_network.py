"""What an op takes in a network, from what it takes alone and what whole networks take.

Alone, an op pays for a call of the runtime and for reordering its input and output, its weights
stay in a cache that a network's do not fit in, and nothing is fused with its neighbours. So some
whole networks that together hold every op, the carriers, are measured beside the ops, and the
latency of each is shared out among its ops in proportion to what they take alone without the call:

    share of the op = (op - call) * carrier / sum over its ops of (op - call)

The latency of an op in a network is the mean of its shares over the carriers that hold it. An op
that none of them holds is taken to be like the others: the median over all carriers.

On a GPU the smallest model is itself a kernel, which takes its time in a network too: only what
goes by before the first kernel starts and after the last has ended is paid once. So there the call
is what makes the carriers agree best, from nothing to the smallest model
(:func:`call_by_carriers_ms`).

Of the ways to time ops in context that ``benchmarks/lut_protocols.py`` compares, sums of these come
nearest to whole networks.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_LEAST = 0.1
_GPU = "cuda:"
_STEPS = 40
_ENOUGH = 3


@dataclass(frozen=True)
class Carrier:
    """A whole network that ops are measured beside.

    Attributes:
        latency_ms: of the network.
        ops: keys of its ops, one that comes twice twice.
    """

    latency_ms: float
    ops: tuple[str, ...]


def in_network_ms(
    alone_ms: Mapping[str, float], carriers: Iterable[Carrier], call_ms: float = 0.0
) -> dict[str, float]:
    """Latency of each op in a network, by key. What is given alone where there are no carriers.

    Args:
        alone_ms: latency of each op on its own, by key.
        carriers: those of which an op was not measured are left out.
        call_ms: latency of the smallest model.
    """
    net_ms = _without(call_ms, alone_ms)
    known = _known(carriers, alone_ms)
    if not known:
        return dict(alone_ms)
    every = _factors(known, net_ms)
    factors: dict[str, list[float]] = {}
    for carrier, factor in zip(known, every, strict=True):
        for key in carrier.ops:
            factors.setdefault(key, []).append(factor)
    typical = statistics.median(every)
    return {
        key: ms * (statistics.fmean(factors[key]) if key in factors else typical)
        for key, ms in net_ms.items()
    }


def call_by_carriers_ms(
    alone_ms: Mapping[str, float], carriers: Iterable[Carrier], most_ms: float
) -> float:
    """The call under which what carriers take over the sum of their ops varies least.

    Args:
        alone_ms: latency of each op on its own, by key.
        carriers: of different numbers of ops, or they tell nothing.
        most_ms: the largest it can be, and what it is where there are fewer than three carriers.
    """
    known = _known(carriers, alone_ms)
    if len(known) < _ENOUGH:
        return most_ms

    def spread(call_ms: float) -> float:
        factors = _factors(known, _without(call_ms, alone_ms))
        return statistics.pstdev(factors) / statistics.fmean(factors)

    return min((most_ms * step / _STEPS for step in range(_STEPS, -1, -1)), key=spread)


def _without(call_ms: float, alone_ms: Mapping[str, float]) -> dict[str, float]:
    # Whatever the call is said to cost, an op costs something.
    return {key: max(ms - call_ms, _LEAST * ms) for key, ms in alone_ms.items()}


def _known(carriers: Iterable[Carrier], alone_ms: Mapping[str, float]) -> list[Carrier]:
    """Those whose ops were all measured."""
    return [each for each in carriers if each.ops and all(key in alone_ms for key in each.ops)]


def _factors(carriers: Iterable[Carrier], net_ms: Mapping[str, float]) -> list[float]:
    """What each carrier takes over the sum of its ops."""
    return [each.latency_ms / sum(net_ms[key] for key in each.ops) for each in carriers]


def latencies_ms(
    rows: Iterable[tuple[str, str, float, str | None]], target: str = ""
) -> dict[str, float]:
    """Latency in a network of each op of a table, by key.

    Args:
        rows: key, role, latency in ms and ops (keys joined by spaces) of each measurement.
        target: what was measured on, as a string.
    """
    alone: dict[str, float] = {}
    carriers: list[Carrier] = []
    calls: list[float] = []
    for key, role, median_ms, ops in rows:
        if role == "op":
            alone[key] = median_ms
        elif role == "carrier":
            carriers.append(Carrier(median_ms, tuple((ops or "").split())))
        elif role == "call":
            calls.append(median_ms)
    call_ms = min(calls, default=0.0)
    if target.startswith(_GPU):
        call_ms = call_by_carriers_ms(alone, carriers, call_ms)
    return in_network_ms(alone, carriers, call_ms)
