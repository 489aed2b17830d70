"""How many networks of a space are priced in a second, on one core.

The model is a sum over a made-up but complete table of the space, so nothing is measured. Random
networks are priced in float64, all choices checked, beside the ways that there are:

    unchecked gather      one fancy index over the whole batch and a sum; no choice is checked
    block by block        one gather for each block over the whole batch, and a check of all choices
    joint tables          as Lutier, with a table for every three blocks; sums in another order
    keys as text          a dictionary from an op's key to its latency, one network after another
    ops of each network   the model itself, asked for the ops of each network

The last two are given the keys and the ops ready made, and fewer networks. The ways take turns in
shuffled rounds. Each price is compared with the sum that the model gives.

    python benchmarks/throughput.py --json throughput.json
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from _reporting import finish, header
from gradient_kernel import quartiles, verdict

from devices.errors import InputError
from latency_models.calibration import Calibration
from latency_models.lookup import LookupModel
from latency_models.network import SumModel
from profiler.table import LatencyTable
from search.expected_latency import LatencyMatrix
from search.pricing import ChainLatency, FloatArray, padded
from search.spaces.base import ChainSpace, Choices
from search.spaces.registry import open_space

LEAST_PER_SECOND = 3e6
MAX_ERROR = 1e-12
JOINT = 3
"""Blocks of a joint table."""
ROWS = 8_192
COMPARED = 2_000
"""Networks whose prices are compared with the model's."""
BARE = "unchecked gather"
CROWDED = Calibration(
    constant_ms=0.1,
    slope=1.1,
    per_op_ms=0.003,
    per_megabyte_ms=0.05,
    crowding=0.02,
    kernel_crowding={"mbconv/kernel=7": 0.005},
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--space", default="mobile")
    parser.add_argument("--networks", type=int, default=1_000_000)
    parser.add_argument("--slow-networks", type=int, default=1_000, help="of the last two ways")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument(
        "--quick", action="store_true", help="few networks and rounds, no bound on the rate"
    )
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.networks, arguments.slow_networks, arguments.rounds = 50_000, 100, 3
    document = header("throughput", seed=arguments.seed)
    space = open_space(arguments.space)
    generator = np.random.default_rng(arguments.seed)
    choices = space.sample_choices(arguments.networks, generator)
    ways = make_ways(space, choices, arguments.slow_networks)
    print(
        f"  {space.name}: {len(space.blocks)} blocks, {len(space.all_ops())} ops,"
        f" {arguments.networks:,} networks, one thread, {arguments.rounds} shuffled rounds"
    )
    errors = {way.name: way.error(space, choices) for way in ways}
    is_refused = refuses(space, choices)
    rates = measure(ways, arguments.rounds, generator)
    show(ways, rates, errors)
    slowest = min(statistics.median(rates[way.name]) for way in ways if way.is_ours)
    is_fast = slowest >= LEAST_PER_SECOND
    is_equal = max(errors[way.name] for way in ways) <= MAX_ERROR
    print(
        f"\nat least {LEAST_PER_SECOND / 1e6:g} million networks a second, however their choices"
        f" lie and whatever the model: {verdict(is_fast)}"
    )
    print(f"equal to the model's own sums to {MAX_ERROR:g}: {verdict(is_equal)}")
    print(f"one choice out of range among all is refused: {verdict(is_refused)}")
    result = {
        "space": space.name,
        "networks": arguments.networks,
        "slow_networks": arguments.slow_networks,
        "rounds": arguments.rounds,
        "per_second": {name: quartiles(each) for name, each in rates.items()},
        "times_bare": {name: quartiles(over(rates, name)) for name in rates},
        "relative_error": errors,
        "met": {"rate": is_fast, "equal": is_equal, "refused": is_refused},
    }
    finish({**document, "results": result}, arguments.json)
    return 0 if is_equal and is_refused and (is_fast or arguments.quick) else 1


@dataclass(frozen=True)
class Way:
    """One way of pricing a batch.

    Attributes:
        name: of the row.
        networks: how many it prices.
        run: prices them, the first ones of the batch; latencies in ms, shape ``(networks,)``.
        model: whose prices they are to be.
        is_ours: whether the bound on the rate holds for it.
    """

    name: str
    networks: int
    run: Callable[[], FloatArray]
    model: SumModel
    is_ours: bool = False

    def error(self, space: ChainSpace, choices: Choices) -> float:
        """Largest relative difference from what the model says of the ops of each network."""
        compared = min(COMPARED, self.networks)
        networks = [space.ops(each) for each in space.decode(choices[:compared])]
        wanted = self.model.predict_ms(networks)
        return float(np.abs(self.run()[:compared] / wanted - 1).max())


def made_up_model(space: ChainSpace, calibration: Calibration) -> SumModel:
    """A latency for every op of a space, from what it computes and moves."""
    ops = {op: 0.005 + op.flops / 4e10 + op.bytes_moved / 1e10 for op in space.all_ops()}
    return SumModel(LookupModel(LatencyTable.from_ops("made up", ops)), calibration)


def make_ways(space: ChainSpace, choices: Choices, slow_networks: int) -> list[Way]:
    """Every way, over the same networks."""
    count = len(choices)
    plain = made_up_model(space, Calibration(constant_ms=0.1, slope=1.1, per_op_ms=0.003))
    crowded = made_up_model(space, CROWDED)
    matrix = LatencyMatrix.from_model(space, plain)
    additive = ChainLatency.from_model(space, plain)
    parts = ChainLatency.from_model(space, crowded)
    table = padded(matrix.block_ms)
    joint = joint_tables(matrix)
    constant_ms, widths = matrix.constant_ms, np.array(space.widths)
    by_block, by_network = choices, np.ascontiguousarray(choices)
    wide = by_network.astype(np.int64)
    few = space.decode(choices[:slow_networks])
    keys = [[op.key for op in space.ops(each)] for each in few]
    ops = space.all_ops()
    by_key = dict(zip((op.key for op in ops), plain.contributions_ms(ops).tolist(), strict=True))
    networks = [space.ops(each) for each in few]

    def bare() -> FloatArray:
        sums: FloatArray = table[np.arange(len(widths)), wide].sum(1) + constant_ms
        return sums

    def whole_batch() -> FloatArray:
        if ((wide < 0) | (wide >= widths)).any():
            raise InputError("choices out of range")
        sums = np.full(count, constant_ms)
        for row, column in zip(table, wide.T, strict=True):
            sums += row[column]
        return sums

    def text() -> FloatArray:
        sums = [sum(by_key.get(key, 0.0) for key in network) for network in keys]
        return plain.constant_ms + np.array(sums)

    return [
        Way("additive, uint8 by block", count, lambda: additive.predict_ms(by_block), plain, True),
        Way(
            "additive, uint8 by network",
            count,
            lambda: additive.predict_ms(by_network),
            plain,
            True,
        ),
        Way("additive, int64 by network", count, lambda: additive.predict_ms(wide), plain, True),
        Way(
            "three parts, uint8 by block", count, lambda: parts.predict_ms(by_block), crowded, True
        ),
        Way("three parts, int64 by network", count, lambda: parts.predict_ms(wide), crowded, True),
        Way(
            "joint tables, uint8 by block", count, lambda: sum_joint(space, joint, by_block), plain
        ),
        Way(BARE, count, bare, plain),
        Way("block by block", count, whole_batch, plain),
        Way("keys as text", slow_networks, text, plain),
        Way("ops of each network", slow_networks, lambda: plain.predict_ms(networks), plain),
    ]


def joint_tables(matrix: LatencyMatrix) -> list[FloatArray]:
    """One table for every few blocks, of each combination of their candidates; flat."""
    tables = []
    for first in range(0, len(matrix.block_ms), JOINT):
        table = np.array([matrix.constant_ms if first == 0 else 0.0])
        for block in matrix.block_ms[first : first + JOINT]:
            table = (table[:, None] + np.array(block)).ravel()
        tables.append(table)
    return tables


def sum_joint(space: ChainSpace, tables: list[FloatArray], choices: Choices) -> FloatArray:
    """As :func:`search.pricing.sum_blocks`, with the joint tables."""
    sums = np.zeros(len(choices))
    for start in range(0, len(choices), ROWS):
        part = choices[start : start + ROWS]
        columns = np.ascontiguousarray(part.T)
        space.check_choices(columns.T)
        total = sums[start : start + ROWS]
        for first, table in zip(range(0, len(columns), JOINT), tables, strict=True):
            index = columns[first].astype(np.uint16)
            for block in range(first + 1, min(first + JOINT, len(columns))):
                index = index * np.uint16(space.widths[block]) + columns[block]
            total += table.take(index, mode="clip")
    return sums


def refuses(space: ChainSpace, choices: Choices) -> bool:
    """Whether one choice out of range is refused, of every type, at a random place of the batch."""
    chain = ChainLatency.from_model(space, made_up_model(space, CROWDED))
    generator = np.random.default_rng(0)
    bad = [(np.uint8, 255), (np.uint8, None), (np.int64, None), (np.int64, -1), (np.int64, 256)]
    for kind, choice in bad:
        batch = np.array(choices, dtype=kind)
        row, block = (int(generator.integers(n)) for n in batch.shape)
        batch[row, block] = space.widths[block] if choice is None else choice
        try:
            chain.predict_ms(batch)
        except InputError:
            continue
        return False
    return True


def measure(ways: list[Way], rounds: int, generator: np.random.Generator) -> dict[str, list[float]]:
    """Networks a second of each way, a figure for each round; the order is new in each."""
    rates: dict[str, list[float]] = {way.name: [] for way in ways}
    for _ in range(rounds):
        for i in generator.permutation(len(ways)):
            start = time.perf_counter()
            ways[i].run()
            rates[ways[i].name].append(ways[i].networks / (time.perf_counter() - start))
    return rates


def over(rates: dict[str, list[float]], name: str) -> list[float]:
    """Rates over those of the bare gather in the same round."""
    return [rate / bare for rate, bare in zip(rates[name], rates[BARE], strict=True)]


def show(ways: list[Way], rates: dict[str, list[float]], errors: dict[str, float]) -> None:
    """Print what was found."""
    print("\nmillions of networks a second and ratios within rounds: medians (quartiles)\n")
    print(f"{'':30s}  millions a second          over bare gather         error")
    for way in ways:
        low, middle, high = (each / 1e6 for each in quartiles(rates[way.name]))
        ratio = quartiles(over(rates, way.name))
        print(
            f"{way.name:30s}  {middle:7.3f} ({low:.3f} to {high:.3f})"
            f"  {ratio[1]:8.4f} ({ratio[0]:.4f} to {ratio[2]:.4f})  {errors[way.name]:.1e}"
        )


if __name__ == "__main__":
    sys.exit(main())
