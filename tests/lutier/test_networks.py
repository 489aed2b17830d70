from __future__ import annotations

from collections import Counter

import pytest

from devices.environment import Environment
from lutier.networks import (
    carrier_jobs,
    carrier_samples,
    carriers,
    draw_networks,
    measured_spaces,
    network_job,
    network_samples,
    op_jobs,
    summarise_failures,
)
from profiler.ops import OpSpec
from profiler.storage.portable import PortableRow
from profiler.table import LatencyTable
from search.spaces.base import ChainSpace
from search.spaces.mobile import mobile_tiny

TINY = mobile_tiny()


def test_a_larger_draw_begins_with_a_smaller_one() -> None:
    assert draw_networks(TINY, 30, seed=3)[:12] == draw_networks(TINY, 12, seed=3)


def test_networks_are_distinct_and_reach_further_than_uniform_samples() -> None:
    drawn = draw_networks(TINY, 60, seed=0)
    assert len(set(drawn)) == 60
    cost = [sum(op.flops for op in TINY.ops(architecture)) for architecture in drawn]
    uniform, spread = cost[0::2], cost[1::2]
    assert min(spread) < min(uniform)
    assert max(spread) > max(uniform)


def small_space(blocks: int, kernels: tuple[int, ...]) -> ChainSpace:
    """Blocks that are a convolution of one of these kernels, or skipped."""
    shape = (4, 8, 8)
    candidates = [OpSpec.make("conv", shape, out=4, kernel=kernel) for kernel in kernels]
    candidates.append(OpSpec.make("identity", shape))
    pool = OpSpec.make("global_avg_pool", shape)
    stem = OpSpec.make("conv", (3, 16, 16), out=4, kernel=3, stride=2)
    head = (pool, OpSpec.make("linear", (4,), out=2))
    return ChainSpace("small", (stem,), (tuple(candidates),) * blocks, head)


def test_a_small_space_gives_all_it_has() -> None:
    assert len(draw_networks(small_space(1, (1,)), 50, seed=0)) == 2


def test_a_small_space_gives_its_carriers_too() -> None:
    space = small_space(2, (1, 3))
    assert set(carriers(space, 0)) <= set(draw_networks(space, 9, seed=0))
    assert len(draw_networks(space, 4, seed=0)) == 4


@pytest.mark.parametrize("seed", range(5))
def test_no_network_drawn_is_a_carrier(seed: int) -> None:
    assert not set(draw_networks(TINY, 60, seed)) & set(carriers(TINY, seed))


@pytest.mark.parametrize("seed", range(20))
def test_carriers_do_not_make_a_larger_draw_begin_otherwise(seed: int) -> None:
    space = small_space(5, (1, 3))
    larger = draw_networks(space, 100, seed)
    assert larger[:20] == draw_networks(space, 20, seed)
    assert not set(larger) & set(carriers(space, seed))


@pytest.mark.parametrize("seed", range(3))
def test_every_op_of_a_space_is_in_two_carriers(seed: int) -> None:
    *jobs, _ = carrier_jobs(TINY, seed)
    holding = Counter(key for job in jobs for key in set(job.ops))
    assert set(holding) == {op.key for op in TINY.all_ops()}
    assert min(holding.values()) >= 2


def test_the_last_carrier_job_is_the_call() -> None:
    *jobs, call = carrier_jobs(TINY, 0)
    assert {job.role for job in jobs} == {"carrier"}
    assert (call.role, call.ops) == ("call", ())


def test_a_carrier_job_holds_the_ops_that_have_a_node_in_their_order() -> None:
    architectures = carriers(TINY, 0)
    assert any(op.is_free for architecture in architectures for op in TINY.ops(architecture))
    *jobs, _ = carrier_jobs(TINY, 0)
    for job, architecture in zip(jobs, architectures, strict=True):
        assert job.ops == tuple(op.key for op in TINY.ops(architecture) if not op.is_free)
        assert job.input_shape == TINY.input_shape


def test_a_carrier_is_not_stored_under_the_key_of_its_network() -> None:
    *jobs, _ = carrier_jobs(TINY, 0)
    carried = {job.key for job in jobs}
    assert len(carried) == len(jobs)
    assert not carried & {network_job(TINY, one).key for one in carriers(TINY, 0)}


def test_the_seed_decides_the_carriers() -> None:
    assert carriers(TINY, 0) == carriers(TINY, 0)
    assert not set(carriers(TINY, 0)) & set(carriers(TINY, 1))


def test_every_op_of_a_space_is_a_job_once() -> None:
    keys = [job.key for job in op_jobs(TINY)]
    assert len(keys) == len(set(keys)) == len(TINY.all_ops())


def test_a_network_job_is_named_by_its_architecture() -> None:
    architecture = draw_networks(TINY, 1, seed=0)[0]
    job = network_job(TINY, architecture)
    assert (job.key, job.role, job.input_shape) == (architecture.id, "network", (3, 32, 32))


def test_failures_in_one_line_say_how_many_more() -> None:
    line = summarise_failures([(f"op{i}", "no") for i in range(5)])
    assert line == "op0: no; op1: no; op2: no; and 2 more"


def test_networks_of_no_space_known_here_are_left_out() -> None:
    ours = draw_networks(TINY, 2, seed=0)
    names = [
        "nasbench201:|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
        "resnet:18",
        "ResNet 18",
        *(architecture.id for architecture in ours),
    ]
    rows = [PortableRow(name, "network", 1.0) for name in names]
    table = LatencyTable.from_rows("a/b?threads=1", Environment.of({}), rows)
    assert measured_spaces(table) == [TINY.name]
    samples = network_samples(table, TINY.name)
    assert {sample.id for sample in samples} == {architecture.id for architecture in ours}


def test_carriers_come_back_with_their_ops_and_are_no_networks() -> None:
    drawn = draw_networks(TINY, 2, seed=0)
    *jobs, _ = carrier_jobs(TINY, 0)
    rows = [PortableRow(one.id, "network", 1.0) for one in drawn]
    rows += [PortableRow(job.key, "carrier", 2.0, ops=" ".join(job.ops)) for job in jobs]
    rows += [PortableRow("carrier/mobile:0", "carrier", 3.0), PortableRow("call", "call", 0.01)]
    table = LatencyTable.from_rows("a/b?threads=1", Environment.of({}), rows)
    found = carrier_samples(table, TINY.name)
    assert [sample.id for sample in found] == sorted(job.key for job in jobs)
    assert {sample.measured_ms for sample in found} == {2.0}
    nodes = {s.id: tuple(op.key for op in s.ops if not op.is_free) for s in found}
    assert nodes == {job.key: job.ops for job in jobs}
    assert {s.id for s in network_samples(table, TINY.name)} == {one.id for one in drawn}
    assert measured_spaces(table) == [TINY.name]


def test_a_table_without_carriers_has_no_samples_of_them() -> None:
    rows = [PortableRow(draw_networks(TINY, 1, seed=0)[0].id, "network", 1.0)]
    table = LatencyTable.from_rows("a/b?threads=1", Environment.of({}), rows)
    assert carrier_samples(table, TINY.name) == []
