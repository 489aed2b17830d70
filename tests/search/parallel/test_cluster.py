from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from parallel_work import refuse, square
from small_search import matrix, small, source
from striped_images import stripes

from devices.errors import DatasetError, InputError, LinkLostError, MissingExtraError
from search.knas import KnasConfig, knas_search
from search.parallel.base import InProcess
from search.parallel.cluster import RayCluster, parse_address
from search.parallel.testing import MISSING, TwoNodes, free_ports, has_ray, two_nodes
from search.scoring import ScoreWork
from search.train import TrainConfig

needs_ray = pytest.mark.skipif(not has_ray(), reason=MISSING)


@pytest.fixture(scope="module")
def cluster() -> Iterator[TwoNodes]:
    with two_nodes(Path(__file__).parents[2]) as nodes:
        yield nodes


@pytest.mark.slow
@needs_ray
@pytest.mark.timeout(300)
def test_two_nodes_one_of_them_killed_half_way_do_what_one_process_does(cluster: TwoNodes) -> None:
    import ray

    config = KnasConfig(
        pool_size=11,
        k=2,
        score="naswot+flops",
        proxy_batch_size=8,
        halving=(1,),
        train=TrainConfig(epochs=2, batch_size=16),
    )
    with RayCluster(cluster.address) as workers:
        cluster.wait_for_both(ray)
        # What work raises comes back as it was.
        with pytest.raises(DatasetError, match="5 is not wanted: it is odd"):
            list(workers.results(refuse, [5]))
        work = ScoreWork(small(), ("naswot", "flops", "mgm"), *stripes(8, 0), repeats=10)
        space = list(small().enumerate())
        found: dict[int, Any] = {}
        with closing(workers.results(work, space)) as results:
            for index, result in results:
                assert index not in found
                found[index] = result
                if len(found) == 6:
                    cluster.kill_second()
        assert sorted(found.items()) == list(InProcess().results(work, space))
        # One node is left; the search is the same on it.
        together = knas_search(small(), matrix(), source(), 5.0, config, workers=workers)
    alone = knas_search(small(), matrix(), source(), 5.0, config)
    scores = {one.architecture: one.values for one in alone.candidates}
    assert {one.architecture: one.values for one in together.candidates} == scores
    assert dataclasses.replace(together, weights={}) == dataclasses.replace(alone, weights={})


@pytest.mark.slow
@needs_ray
def test_nobody_who_answers_is_one_line() -> None:
    (port,) = free_ports(1)
    with (
        pytest.raises(LinkLostError) as caught,
        RayCluster(f"ray://127.0.0.1:{port}") as workers,
    ):
        list(workers.results(square, [1]))
    said = str(caught.value)
    assert said.startswith(f"no Ray cluster answers at ray://127.0.0.1:{port}: ")
    assert f"ray start --head --ray-client-server-port {port}" in said
    assert "\n" not in said


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"lutier\[cluster\]"):
        RayCluster("ray://localhost:10001")


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("ray://head:10002", ("head", 10002)),
        ("ray://head", ("head", 10001)),
        ("ray://[::1]:10001", ("::1", 10001)),
        ("ray://[::1]", ("::1", 10001)),
    ],
)
def test_an_address_has_a_host_and_a_port(address: str, place: tuple[str, int]) -> None:
    assert parse_address(address) == place


@pytest.mark.parametrize(
    "address",
    ["", "head:10001", "http://head:1", "ray://", "ray://:1", "ray://a:b", "ray://a:99999"],
)
def test_what_is_no_address_is_said(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", ModuleType("ray"))
    with pytest.raises(InputError, match=r"ray://HOST:PORT|1 to 65535"):
        RayCluster(address)
