"""A table to send round, and how many examples the fuzzing tests take."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import hypothesis
import pytest

from devices.environment import Environment
from devices.target import Target
from profiler.ops import OpSpec
from profiler.protocol import Protocol
from profiler.quality import summarise
from profiler.storage.database import MeasurementStore
from profiler.storage.portable import PortableRow
from profiler.visit import Visit

# benchmarks/fuzz_imports.py asks for many more than a run of the tests.
hypothesis.settings.register_profile(
    "exchange",
    hypothesis.settings.get_profile("lutier"),
    max_examples=int(os.environ.get("LUTIER_FUZZ_EXAMPLES", "100")),
)


@pytest.fixture
def target() -> Target:
    return Target.parse("cpu/onnxruntime?threads=1")


@pytest.fixture
def machine() -> Environment:
    return Environment.of({"chip": 'Ünïcode, "quoted" chip', "cores": "2"})


@pytest.fixture
def specs() -> list[OpSpec]:
    return [
        OpSpec.make("conv", (3, 32, 32), out=16, kernel=3, stride=2),
        OpSpec.make("mbconv", (16, 16, 16), out=16, kernel=3, stride=1, expand=3),
        OpSpec.make("mbconv", (16, 16, 16), out=24, kernel=5, stride=2, expand=6),
        OpSpec.make("conv", (24, 8, 8), out=64, kernel=1),
        OpSpec.make("global_avg_pool", (64, 8, 8)),
        OpSpec.make("linear", (64,), out=10),
        OpSpec.make("depthwise_conv", (16, 16, 16), kernel=3),
    ]


@pytest.fixture
def store(
    tmp_path: Path, target: Target, machine: Environment, specs: list[OpSpec]
) -> Iterator[MeasurementStore]:
    """A store with every op of ``specs`` and one network, two visits of three runs each.

    The reference was timed beside them, and they were judged.
    """
    with MeasurementStore(f"sqlite:///{tmp_path / 'lutier.db'}") as store:
        named = [(spec.key, "op") for spec in specs] + [("mobile-tiny:000000000", "network")]
        for number, (key, role) in enumerate(named, start=1):
            measurement_id = store.begin(key, role, target, machine, Protocol(), "ab" * 32)
            # Thirds have no end in decimal: a figure that is rounded on its way shows.
            visits = [[number / 3, number / 3 + 0.1, number / 7], [number / 3, number / 6, 9.0]]
            for i, visit in enumerate(visits):
                store.add_visit(measurement_id, i, Visit(tuple(visit), (0.1 / 3, number / 70)))
            store.finish(
                measurement_id,
                replace(
                    summarise(visits),
                    exponent=number / 8,
                    nominal_ms=0.2 / 3,
                    findings=("few", "noisy") if number % 2 else (),
                ),
            )
        yield store


@pytest.fixture
def rows(store: MeasurementStore, target: Target, machine: Environment) -> list[PortableRow]:
    return store.portable_rows(target, machine.id)


@pytest.fixture
def carried_rows(rows: list[PortableRow], specs: list[OpSpec]) -> list[PortableRow]:
    """The same beside a call and a network of some of the ops, one of them twice."""
    ops = " ".join(spec.key for spec in (specs[0], specs[1], specs[1], specs[5]))
    return [
        *rows,
        PortableRow("call", "call", 0.05, findings="sound"),
        PortableRow("mobile-tiny:carrier", "carrier", 1.75, findings="busy", ops=ops),
    ]
