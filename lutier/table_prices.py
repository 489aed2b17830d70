"""What a latency table says of networks: the plain sum of their ops, and nothing else."""

from __future__ import annotations

import math
from dataclasses import dataclass

from devices.errors import InputError, MissingEntryError
from devices.target import Target
from profiler.exchange.spelling import spelled
from profiler.table import LatencyTable
from search.architecture import Architecture
from search.spaces.registry import open_space


@dataclass(frozen=True)
class TablePrice:
    """The latency of one network by a table.

    Attributes:
        architecture: which network.
        latency_ms: sum of its ops.
        ops: how many it has, without those that a network has no node for.
    """

    architecture: Architecture
    latency_ms: float
    ops: int


def price_by_table(
    table: LatencyTable, architecture: Architecture, file_format: str = ""
) -> TablePrice:
    """Add up what a table says of the ops of a network.

    Args:
        table: of any target, e.g. one that was imported.
        architecture: the network.
        file_format: of the file that the table was read from, whose words are used beside ours.

    Raises:
        MissingEntryError: ops are not in the table; names each, in both spellings.
    """
    ops = [op for op in open_space(architecture.space).ops(architecture) if not op.is_free]
    missing = list(dict.fromkeys(op for op in ops if op not in table))
    if missing:
        names = [
            f"{op.key} ({there})" if (there := spelled(op, file_format)) else op.key
            for op in missing
        ]
        count = len(dict.fromkeys(ops))
        raise MissingEntryError(
            f"{len(missing)} of {count} ops of {architecture} are not in the latency table of"
            f" {table.target}",
            "; ".join(names),
            _measuring(table, [op.key for op in missing], architecture.space),
        )
    return TablePrice(architecture, math.fsum(table.latency_ms(op) for op in ops), len(ops))


def _measuring(table: LatencyTable, keys: list[str], space: str) -> str:
    """The command that measures ops; none where the table is of a file, which nobody measures."""
    try:
        target = Target.parse(table.target)
    except InputError:
        return ""
    if target.device.startswith("file:"):
        return ""
    wanted = f"--op '{keys[0]}'" if len(keys) == 1 else f"--space '{space}'"
    return f"lutier profile {target.flags} {wanted}"
