"""Measure the ops of a small search space on this CPU, fit a latency model, and test it.

About half a minute. From the command line the same is ``lutier profile`` and ``lutier fit``.
"""

import tempfile
from pathlib import Path

from devices import Target, open_target
from latency_models import fit_latency_model
from lutier.networks import (
    carrier_jobs,
    carrier_samples,
    draw_networks,
    network_job,
    network_samples,
    op_jobs,
)
from profiler import LatencyTable, MeasurementStore, Protocol, profile
from search import open_space

SEED = 0
space = open_space("mobile-tiny?resolution=16&width=0.5&depth=1-1-1")
target = Target.parse("cpu/onnxruntime?threads=1")
protocol = Protocol(max_seconds=10)

# Ops, whole networks that they are measured beside, and whole networks to calibrate and test on.
networks = draw_networks(space, 30, SEED)
jobs = [*op_jobs(space), *carrier_jobs(space, SEED), *(network_job(space, n) for n in networks)]

with tempfile.TemporaryDirectory() as folder:
    url = f"sqlite:///{Path(folder) / 'lutier.db'}"
    with MeasurementStore(url) as store, open_target(target) as device:
        result = profile(jobs, device, target, store, protocol, seed=SEED)
        table = LatencyTable.load(store, target)
print(f"{len(result.measured)} measured, split-half error {table.split_half_error:.1%}")

fitted = fit_latency_model(
    table,
    network_samples(table, space.name),
    carriers=carrier_samples(table, space.name),
    seed=SEED,
    space=space.name,
)
for name, found in (("plain sum", fitted.uncalibrated), ("calibrated", fitted.evaluation)):
    print(f"{name:10s} on {found.n} networks held out: MAPE {found.mape:.1%}")

network = space.ops(networks[0])
(predicted_ms,) = fitted.model.predict_ms([network])
((lower_ms, upper_ms),) = fitted.model.interval_ms([network], coverage=0.9)
print(f"{networks[0].id}: {predicted_ms:.4f} ms, 90 % interval {lower_ms:.4f} to {upper_ms:.4f} ms")
print(f"measured: {table.networks[networks[0].id]:.4f} ms")
