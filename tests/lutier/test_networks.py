from __future__ import annotations

from devices.environment import Environment
from lutier.networks import (
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


def test_a_small_space_gives_all_it_has() -> None:
    shape = (4, 8, 8)
    candidates = (OpSpec.make("conv", shape, out=4, kernel=1), OpSpec.make("identity", shape))
    pool = OpSpec.make("global_avg_pool", shape)
    stem = OpSpec.make("conv", (3, 16, 16), out=4, kernel=3, stride=2)
    head = (pool, OpSpec.make("linear", (4,), out=2))
    space = ChainSpace("two", (stem,), (candidates,), head)
    assert len(draw_networks(space, 50, seed=0)) == 2


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
