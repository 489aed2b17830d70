"""Ops in a network: what whole networks take is shared out among their ops."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.in_network import Carrier, call_by_carriers_ms, in_network_ms, latencies_ms

LATENCIES = st.floats(1e-3, 1e3)
TABLES = st.dictionaries(st.sampled_from("abcdefgh"), LATENCIES, min_size=1)


@given(TABLES, LATENCIES, st.data())
def test_the_shares_of_a_carrier_are_the_carrier(
    alone_ms: dict[str, float], carrier_ms: float, data: st.DataObject
) -> None:
    ops = data.draw(st.lists(st.sampled_from(sorted(alone_ms)), min_size=1, max_size=12))
    shared = in_network_ms(alone_ms, [Carrier(carrier_ms, tuple(ops))])
    assert math.fsum(shared[key] for key in ops) == pytest.approx(carrier_ms)


def test_a_share_is_in_proportion_to_what_the_op_takes_alone() -> None:
    # Alone they take 4 ms, together 3.
    shared = in_network_ms({"a": 1.0, "b": 3.0}, [Carrier(3.0, ("a", "b"))])
    assert shared == {"a": 0.75, "b": 2.25}


def test_an_op_that_comes_twice_has_two_shares() -> None:
    shared = in_network_ms({"a": 1.0, "b": 2.0}, [Carrier(2.0, ("a", "b", "a"))])
    assert shared == {"a": 0.5, "b": 1.0}


def test_an_op_in_several_carriers_has_the_mean_of_its_shares() -> None:
    carriers = [Carrier(0.5, ("a",)), Carrier(1.5, ("a",)), Carrier(4.0, ("a", "b"))]
    shared = in_network_ms({"a": 1.0, "b": 3.0}, carriers)
    assert shared == {"a": pytest.approx((0.5 + 1.5 + 1.0) / 3), "b": 3.0}


def test_an_op_in_no_carrier_is_like_the_others() -> None:
    carriers = [Carrier(0.5, ("a",)), Carrier(0.75, ("a",)), Carrier(9.0, ("b",))]
    shared = in_network_ms({"a": 1.0, "b": 1.0, "c": 2.0}, carriers)
    assert shared["c"] == 2.0 * statistics.median([0.5, 0.75, 9.0])


def test_a_carrier_with_an_op_that_was_not_measured_is_left_out() -> None:
    carriers = [Carrier(0.5, ("a",)), Carrier(9.0, ("a", "missing"))]
    assert in_network_ms({"a": 1.0}, carriers) == {"a": 0.5}


@pytest.mark.parametrize(
    "carriers",
    [[], [Carrier(9.0, ())], [Carrier(9.0, ("missing",))]],
    ids=["none", "of nothing", "of what is missing"],
)
@given(TABLES)
def test_without_carriers_ops_are_as_alone(
    carriers: list[Carrier], alone_ms: dict[str, float]
) -> None:
    assert in_network_ms(alone_ms, carriers, call_ms=0.5) == alone_ms


def test_the_call_is_no_part_of_an_op() -> None:
    shared = in_network_ms({"a": 1.0, "b": 2.0}, [Carrier(4.0, ("a", "b"))], call_ms=0.5)
    assert shared == {"a": pytest.approx(1.0), "b": pytest.approx(3.0)}


@given(TABLES, LATENCIES)
def test_of_an_op_at_least_a_tenth_is_left(alone_ms: dict[str, float], call_ms: float) -> None:
    # One carrier for each op that takes as long as the op without the call shows what that is.
    carrier = Carrier(1.0, tuple(alone_ms))
    shared = in_network_ms(alone_ms, [carrier], call_ms)
    net_ms = {key: max(value - call_ms, 0.1 * value) for key, value in alone_ms.items()}
    total = math.fsum(net_ms.values())
    assert shared == {key: pytest.approx(value / total) for key, value in net_ms.items()}
    assert all(value > 0 for value in shared.values())


# The call, where the smallest model says too much


def carriers_of(work_ms: dict[str, float], networks: list[str]) -> list[Carrier]:
    """Networks whose ops take what they take, and no more."""
    return [Carrier(math.fsum(work_ms[op] for op in ops), tuple(ops)) for ops in networks]


@pytest.mark.parametrize("call_ms", [0.0, 0.25, 0.5])
def test_carriers_of_different_length_tell_the_call(call_ms: float) -> None:
    work_ms = {"a": 1.0, "b": 2.0, "c": 0.5}
    alone_ms = {key: value + call_ms for key, value in work_ms.items()}
    carriers = carriers_of(work_ms, ["ab" * 20, "abc" * 40, "b" * 30, "c" * 90])
    found = call_by_carriers_ms(alone_ms, carriers, most_ms=1.0)
    assert found == pytest.approx(call_ms)
    assert in_network_ms(alone_ms, carriers, found) == pytest.approx(work_ms)


@given(TABLES, st.floats(0, 1e3), st.lists(st.text("abcdefgh", min_size=1), max_size=6), LATENCIES)
def test_the_call_is_at_most_the_smallest_model(
    alone_ms: dict[str, float], most_ms: float, networks: list[str], latency_ms: float
) -> None:
    carriers = [Carrier(latency_ms, tuple(ops)) for ops in networks]
    assert 0 <= call_by_carriers_ms(alone_ms, carriers, most_ms) <= most_ms


def test_too_few_carriers_tell_nothing_of_the_call() -> None:
    carriers = carriers_of({"a": 1.0}, ["a", "aaa"])
    assert call_by_carriers_ms({"a": 1.5}, carriers, most_ms=0.9) == 0.9


# The rows of a table


def test_on_a_gpu_the_carriers_tell_the_call() -> None:
    work_ms = {"a": 0.02, "b": 0.04}
    rows: list[tuple[str, str, float, str | None]] = [
        (key, "op", value + 0.004, None) for key, value in work_ms.items()
    ]
    rows += [
        (carrier.ops[0] * len(carrier.ops), "carrier", carrier.latency_ms, " ".join(carrier.ops))
        for carrier in carriers_of(work_ms, ["ab", "abab", "aaab", "abbbbb"])
    ]
    rows.append(("call", "call", 0.01, None))
    assert latencies_ms(rows, "cuda:0/torch?threads=1&graph=on") == pytest.approx(work_ms)
    assert latencies_ms(rows, "cpu/torch?threads=1") != pytest.approx(work_ms)


def test_rows_are_told_apart_by_their_role() -> None:
    rows = [
        ("a", "op", 1.0, None),
        ("b", "op", 2.0, None),
        ("net", "carrier", 4.0, "a b"),
        ("whole", "network", 100.0, None),
        ("call", "call", 0.5, None),
    ]
    assert latencies_ms(rows) == {"a": pytest.approx(1.0), "b": pytest.approx(3.0)}


def test_of_several_calls_the_shortest_counts() -> None:
    rows = [
        ("a", "op", 1.0, None),
        ("b", "op", 2.0, None),
        ("net", "carrier", 4.0, "a b"),
        ("call", "call", 0.5, None),
        ("another call", "call", 0.9, None),
    ]
    assert latencies_ms(rows) == {"a": pytest.approx(1.0), "b": pytest.approx(3.0)}


def test_a_carrier_that_says_nothing_of_its_ops_is_left_out() -> None:
    rows = [("a", "op", 1.0, None), ("net", "carrier", 4.0, None), ("net2", "carrier", 4.0, "")]
    assert latencies_ms(rows) == {"a": 1.0}


def test_no_rows_are_no_latencies() -> None:
    assert latencies_ms([]) == {}
