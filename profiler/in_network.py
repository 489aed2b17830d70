"""What an op takes in a network, from what it takes alone and what whole networks take.

Alone, an op pays for a call of the runtime and for reordering its input and output, its weights
stay in a cache that a network's do not fit in, and nothing is fused with its neighbours. So some
whole networks that together hold every op, the carriers, are measured beside the ops, and the
latency of each is shared out among its ops in proportion to what they take alone without the call:

    share of the op = (op - call) * carrier / sum over its ops of (op - call)

The latency of an op in a network is the mean of its shares over the carriers that hold it. An op
that none of them holds is taken to be like the others: the median over all carriers.

Of the ways to time ops in context that ``benchmarks/lut_protocols.py`` compares, sums of these come
nearest to whole networks.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_LEAST = 0.1


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
    # Whatever the call is said to cost, an op costs something.
    net_ms = {key: max(ms - call_ms, _LEAST * ms) for key, ms in alone_ms.items()}
    factors: dict[str, list[float]] = {}
    every = []
    for carrier in carriers:
        if carrier.ops and all(key in net_ms for key in carrier.ops):
            every.append(carrier.latency_ms / sum(net_ms[key] for key in carrier.ops))
            for key in carrier.ops:
                factors.setdefault(key, []).append(every[-1])
    if not every:
        return dict(alone_ms)
    typical = statistics.median(every)
    return {
        key: ms * (statistics.fmean(factors[key]) if key in factors else typical)
        for key, ms in net_ms.items()
    }


def latencies_ms(
    rows: Iterable[tuple[str, str, float, str | None]],
) -> dict[str, float]:
    """Latency in a network of each op of a table, by key.

    Args:
        rows: key, role, latency in ms and ops (keys joined by spaces) of each measurement.
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
    return in_network_ms(alone, carriers, min(calls, default=0.0))
