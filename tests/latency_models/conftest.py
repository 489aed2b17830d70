"""A simulated device: what its ops take alone, and in a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from latency_models.fit import NetworkSample
from profiler.ops import OpSpec
from profiler.table import LatencyTable

TARGET = "cpu/onnxruntime?threads=1"
WIDTHS = (16, 24, 40)


@dataclass(frozen=True)
class SimulatedDevice:
    """A device that follows a law, give or take some noise.

    Attributes:
        call_ms: cost of calling the runtime: each op alone pays it, a network once.
        cold_ms: cost in a network of each megabyte of weights, which an op alone finds cached.
        crowding: cost in a network of each megabyte of weights and ms of work, in ms.
        noise: standard deviation of the relative error of a measurement.
        seed: of that error.
    """

    call_ms: float = 0.01
    cold_ms: float = 0.03
    crowding: float = 0.0
    noise: float = 0.01
    seed: int = 0

    @property
    def target(self) -> str:
        """Its target's string."""
        return TARGET

    def work_ms(self, spec: OpSpec) -> float:
        """What the arithmetic and the memory of an op take."""
        if spec.is_free:
            return 0.0
        slow = {"mbconv": 2.0, "conv": 1.5}.get(spec.kind, 1.0)
        kernel = dict(spec.attributes).get("kernel", 1)
        return spec.flops / 4e7 * slow * (1 + 0.02 * int(kernel)) + spec.bytes_moved / 2e7

    def op_ms(self, spec: OpSpec) -> float:
        """What measuring an op alone gives, without noise."""
        return self.call_ms + self.work_ms(spec)

    def network_ms(self, ops: Sequence[OpSpec]) -> float:
        """What measuring a network gives, without noise."""
        megabytes = 4e-6 * sum(layer.weights for spec in ops for layer in spec.layers)
        work_ms = sum(map(self.work_ms, ops))
        return self.call_ms + work_ms + (self.cold_ms + self.crowding * work_ms) * megabytes

    def table(self, specs: Sequence[OpSpec]) -> LatencyTable:
        """The measured table of these ops."""
        factors = self._factors(len(specs), 0)
        return LatencyTable.from_ops(
            TARGET,
            {spec: self.op_ms(spec) * f for spec, f in zip(specs, factors, strict=True)},
            split_half=self.noise,
        )

    def samples(self, networks: Sequence[tuple[OpSpec, ...]]) -> list[NetworkSample]:
        """The networks as they were measured."""
        factors = self._factors(len(networks), 1)
        return [
            NetworkSample(f"simulated:{i}", ops, self.network_ms(ops) * factor)
            for i, (ops, factor) in enumerate(zip(networks, factors, strict=True))
        ]

    def _factors(self, count: int, stream: int) -> list[float]:
        generator = np.random.default_rng((self.seed, stream))
        factors: list[float] = np.exp(self.noise * generator.standard_normal(count)).tolist()
        return factors


def candidates(width: int, out: int, size: int, stride: int) -> list[OpSpec]:
    """The candidates of one block."""
    return [
        OpSpec.make(
            "mbconv", (width, size, size), out=out, kernel=kernel, stride=stride, expand=expand
        )
        for kernel in (3, 5, 7)
        for expand in (3, 6)
    ]


def random_network(generator: np.random.Generator, depth: int = 4) -> tuple[OpSpec, ...]:
    """A stem, blocks that may be skipped, a head; three widths at halving resolution."""
    ops = [OpSpec.make("conv", (3, 32, 32), out=WIDTHS[0], kernel=3, stride=2)]
    for stage, width in enumerate(WIDTHS):
        for cell in range(depth):
            channels, size, _ = ops[-1].output_shape
            strided = cell == 0 and stage > 0
            choices = candidates(channels, width, size, 2 if strided else 1)
            if not strided:
                choices.append(OpSpec.make("identity", ops[-1].output_shape))
            ops.append(choices[int(generator.integers(len(choices)))])
    ops.append(OpSpec.make("global_avg_pool", ops[-1].output_shape))
    ops.append(OpSpec.make("linear", ops[-1].output_shape, out=10))
    return tuple(ops)


@pytest.fixture(scope="session")
def device() -> SimulatedDevice:
    """The simulated device."""
    return SimulatedDevice()


@pytest.fixture(scope="session")
def networks() -> list[tuple[OpSpec, ...]]:
    """Sixty random networks of the simulated space."""
    generator = np.random.default_rng(0)
    return [random_network(generator) for _ in range(60)]


@pytest.fixture(scope="session")
def network_ops(networks: list[tuple[OpSpec, ...]]) -> list[OpSpec]:
    """Every distinct op of the networks that is not free."""
    return list(dict.fromkeys(op for ops in networks for op in ops if not op.is_free))


@pytest.fixture(scope="session")
def blocks() -> list[OpSpec]:
    """A hundred and forty-four MBConv blocks of twelve shapes and two strides."""
    return [
        spec
        for width in (8, 16, 32, 64)
        for size in (8, 16, 32)
        for stride in (1, 2)
        for spec in candidates(width, width, size, stride)
    ]


@pytest.fixture(scope="session")
def few_blocks() -> list[OpSpec]:
    """Twelve blocks of two shapes: quick to fit."""
    return candidates(16, 16, 16, 1) + candidates(16, 24, 16, 1)
