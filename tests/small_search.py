"""A space of 27 networks, latencies of it and images, on which a search takes seconds."""

from __future__ import annotations

from striped_images import stripes

from profiler.ops import OpSpec
from search.data import DataSource, from_dataset
from search.expected_latency import LatencyMatrix
from search.spaces.base import ChainSpace


def small() -> ChainSpace:
    stem = OpSpec.make("conv", (3, 8, 8), out=4, kernel=3, stride=2)
    shape = stem.output_shape
    block = (
        OpSpec.make("mbconv", shape, out=4, kernel=3, stride=1, expand=3),
        OpSpec.make("mbconv", shape, out=4, kernel=5, stride=1, expand=3),
        OpSpec.make("identity", shape),
    )
    pool = OpSpec.make("global_avg_pool", shape)
    return ChainSpace("small", (stem,), (block,) * 3, (pool, OpSpec.make("linear", (4,), out=2)))


def matrix() -> LatencyMatrix:
    return LatencyMatrix(small(), 1.0, ((1.0, 2.0, 0.0),) * 3)


def source() -> DataSource:
    return from_dataset(stripes(64, 0), stripes(16, 2), stripes(32, 1), name="stripes")
