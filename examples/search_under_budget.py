"""Find a network for handwritten digits that meets a latency budget on this CPU.

About half a minute. From the command line the same is ``lutier search knas``, which also
calibrates the sum of ops, and keeps everything so that it can go on.
"""

import tempfile
from pathlib import Path

import torch

from devices import Target, open_target
from latency_models import LookupModel, SumModel
from lutier.networks import carrier_jobs, network_job, op_jobs
from profiler import LatencyTable, MeasurementStore, Protocol, profile
from search import LatencyMatrix, knas_search, open_data, open_space
from search.architecture import Architecture
from search.knas import KnasConfig
from search.train_config import TrainConfig

torch.set_num_threads(1)  # quicker than more threads on networks this small

SEED = 0
space = open_space("mobile-tiny?resolution=16&width=0.5&depth=1-1-1")
data = open_data("digits", space.input_shape, SEED)
target = Target.parse("cpu/onnxruntime?threads=1")
protocol = Protocol(max_seconds=5)

with (
    tempfile.TemporaryDirectory() as folder,
    MeasurementStore(f"sqlite:///{Path(folder) / 'lutier.db'}") as store,
    open_target(target) as device,
):
    # Ops beside a few whole networks that hold them: the table tells what ops take in a network.
    jobs = [*op_jobs(space), *carrier_jobs(space, SEED)]
    profile(jobs, device, target, store, protocol, seed=SEED)
    table = LatencyTable.load(store, target)
    matrix = LatencyMatrix.from_model(space, SumModel(LookupModel(table)))
    _, fastest_ms = matrix.fastest()
    _, slowest_ms = matrix.slowest()
    budget_ms = (fastest_ms + slowest_ms) / 2
    print(f"networks take {fastest_ms:.4f} to {slowest_ms:.4f} ms; the budget is {budget_ms:.4f}")

    def measure(network: Architecture) -> tuple[float, float]:
        """The measured latency in ms, and the upper end of its 95 % interval."""
        profile([network_job(space, network)], device, target, store, protocol, seed=SEED)
        row = LatencyTable.load(store, target).frame.set_index("key").loc[network.id]
        return row["median_ms"], row["ci_high_ms"]

    config = KnasConfig(pool_size=20, k=2, train=TrainConfig(epochs=2), seed=SEED)
    found = knas_search(space, matrix, data, budget_ms, config, admit=measure)

best = found.winner
print(f"{best.architecture.id}: accuracy {best.test_accuracy:.1%}")
print(f"predicted {best.predicted_ms:.4f} ms, measured {best.measured_ms:.4f} ms")
