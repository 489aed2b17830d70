"""The latency table: what was measured, and a clear answer where it was not."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from devices.environment import Environment
from devices.errors import MissingEntryError, MissingTableError
from devices.target import Target
from profiler.ops import OpSpec
from profiler.protocol import Protocol
from profiler.quality import summarise
from profiler.storage.database import MeasurementStore
from profiler.storage.portable import PortableRow
from profiler.table import COLUMNS, LatencyTable, no_table
from profiler.visit import Visit

TARGET = Target.make("cpu", "onnxruntime", {})
HERE = Environment.of({"chip": "A"})
CONV = OpSpec.parse("conv/3x8x8/out=8,kernel=3")
WIDE = OpSpec.parse("conv/3x8x8/out=16,kernel=3")
LINEAR = OpSpec.parse("linear/64/out=10")
FREE = OpSpec.parse("identity/8x8x8/")
SHOWN = {*COLUMNS, "latency_ms"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MeasurementStore]:
    with MeasurementStore(f"sqlite:///{tmp_path / 'lutier.db'}") as store:
        yield store


def measure(
    store: MeasurementStore,
    key: str,
    visits_ms: Sequence[float],
    *,
    role: str = "op",
    environment: Environment = HERE,
    protocol: Protocol | None = None,
    target: Target = TARGET,
    ops: Sequence[OpSpec] = (),
    findings: tuple[str, ...] | None = None,
) -> None:
    """Store a finished measurement with one run a visit."""
    protocol, keys = protocol or Protocol(), [spec.key for spec in ops]
    measurement_id = store.begin(key, role, target, environment, protocol, "0" * 64, keys)
    summary = replace(summarise([[value] for value in visits_ms]), findings=findings)
    store.finish(measurement_id, summary)


@pytest.fixture
def table(store: MeasurementStore) -> LatencyTable:
    measure(store, CONV.key, [1.0, 1.0, 1.0, 1.0])
    measure(store, LINEAR.key, [0.5, 0.6, 0.5, 0.6])
    measure(store, "mobile:1-2-3", [10.0, 10.1, 10.0, 10.1], role="network")
    return LatencyTable.load(store, TARGET)


# What is in it


def test_measured_ops_and_networks_are_told_apart(table: LatencyTable) -> None:
    assert table.ops == {CONV: 1.0, LINEAR: 0.55}
    assert table.networks == {"mobile:1-2-3": 10.05}
    assert len(table) == 2
    assert table.latency_ms(CONV) == 1.0


def test_what_is_in_it_can_be_asked(table: LatencyTable) -> None:
    assert CONV in table
    assert WIDE not in table
    assert "mobile:1-2-3" not in table


def test_free_ops_cost_nothing_and_are_always_there(table: LatencyTable) -> None:
    assert table.latency_ms(FREE) == 0.0
    assert FREE in table
    assert FREE not in table.ops


def test_what_is_not_finished_is_not_in_it(store: MeasurementStore) -> None:
    measure(store, CONV.key, [1.0, 1.0])
    unfinished = store.begin(WIDE.key, "op", TARGET, HERE, Protocol(), None)
    store.add_visit(unfinished, 0, Visit((1.0,)))
    store.fail(store.begin(LINEAR.key, "op", TARGET, HERE, Protocol(), None), "broken")
    assert set(LatencyTable.load(store, TARGET).ops) == {CONV}


def test_targets_do_not_mix(store: MeasurementStore) -> None:
    two = Target.make("cpu", "onnxruntime", {"threads": 2})
    measure(store, CONV.key, [1.0, 1.0])
    measure(store, CONV.key, [0.6, 0.6], target=two)
    assert LatencyTable.load(store, TARGET).latency_ms(CONV) == 1.0
    assert LatencyTable.load(store, two).latency_ms(CONV) == 0.6


def test_the_environment_measured_last_is_taken(store: MeasurementStore) -> None:
    other = Environment.of({"chip": "B"})
    measure(store, CONV.key, [1.0, 1.0])
    measure(store, CONV.key, [2.0, 2.0], environment=other)
    table = LatencyTable.load(store, TARGET)
    assert (table.environment, table.environment_id) == (other, other.id)
    assert table.latency_ms(CONV) == 2.0
    measure(store, LINEAR.key, [3.0, 3.0])
    table = LatencyTable.load(store, TARGET)
    assert table.environment == HERE
    assert table.ops == {CONV: 1.0, LINEAR: 3.0}


def test_another_environment_can_be_asked_for(store: MeasurementStore) -> None:
    other = Environment.of({"chip": "B"})
    measure(store, CONV.key, [1.0, 1.0])
    measure(store, CONV.key, [2.0, 2.0], environment=other)
    assert LatencyTable.load(store, TARGET, HERE.id).latency_ms(CONV) == 1.0


def test_of_two_protocols_the_later_measurement_counts(store: MeasurementStore) -> None:
    for protocol, value in ((Protocol(timed_runs=9), 1.0), (Protocol(), 2.0)):
        measure(store, CONV.key, [value, value], protocol=protocol)
    table = LatencyTable.load(store, TARGET)
    assert table.ops == {CONV: 2.0}
    assert list(table.frame["protocol_id"]) == [Protocol().id]


# Ops in a network


@pytest.fixture
def carried(store: MeasurementStore) -> LatencyTable:
    """Ops of 1 and 3 ms and a call of 0.5 ms; a network of both that takes 1.5 ms."""
    measure(store, CONV.key, [1.0, 1.0])
    measure(store, LINEAR.key, [3.0, 3.0])
    measure(store, "call", [0.5, 0.5], role="call")
    measure(store, "carrier:1", [1.5, 1.5], role="carrier", ops=[CONV, LINEAR])
    measure(store, "mobile:1-2-3", [10.0, 10.0], role="network")
    return LatencyTable.load(store, TARGET)


def test_the_latency_of_an_op_is_its_share_of_the_carriers(carried: LatencyTable) -> None:
    assert carried.ops == {CONV: pytest.approx(0.25), LINEAR: pytest.approx(1.25)}
    assert carried.latency_ms(CONV) == carried.ops[CONV]


def test_what_ops_take_alone_is_kept(carried: LatencyTable) -> None:
    assert carried.alone == {CONV: 1.0, LINEAR: 3.0}


def test_without_carriers_ops_take_what_they_take_alone(table: LatencyTable) -> None:
    assert table.carriers == {}
    assert table.ops == table.alone


def test_carriers_and_calls_are_neither_ops_nor_networks(carried: LatencyTable) -> None:
    assert carried.carriers == {"carrier:1": 1.5}
    assert carried.networks == {"mobile:1-2-3": 10.0}
    assert len(carried) == 2


def test_the_frame_has_both_latencies_of_an_op(carried: LatencyTable) -> None:
    rows = carried.frame.set_index("key")
    assert dict(rows["median_ms"]) == {
        CONV.key: 1.0,
        LINEAR.key: 3.0,
        "call": 0.5,
        "carrier:1": 1.5,
        "mobile:1-2-3": 10.0,
    }
    # What is no op takes what was measured.
    assert dict(rows["latency_ms"]) == {
        **dict(rows["median_ms"]),
        CONV.key: carried.latency_ms(CONV),
        LINEAR.key: carried.latency_ms(LINEAR),
    }
    assert rows.loc["carrier:1", "ops"] == f"{CONV.key} {LINEAR.key}"


def test_the_digest_changes_with_a_carrier(carried: LatencyTable, store: MeasurementStore) -> None:
    measure(store, "carrier:2", [9.0, 9.0], role="carrier", ops=[CONV])
    assert LatencyTable.load(store, TARGET).digest != carried.digest


def test_a_table_of_rows_from_elsewhere_shares_its_carriers_too(
    carried: LatencyTable, store: MeasurementStore
) -> None:
    rows = store.portable_rows(TARGET, HERE.id)
    table = LatencyTable.from_rows(str(TARGET), HERE, rows)
    assert (table.ops, table.alone) == (carried.ops, carried.alone)
    assert table.carriers == carried.carriers
    assert table.digest == carried.digest


# What is missing


def test_an_empty_store_is_answered_with_the_command(store: MeasurementStore) -> None:
    with pytest.raises(MissingTableError) as caught:
        LatencyTable.load(store, TARGET)
    assert str(caught.value) == (
        "no latency table of cpu/onnxruntime?threads=1: the store holds nothing yet. "
        "Try: lutier profile --device cpu --runtime onnxruntime --threads 1 --space SPACE"
    )


def test_a_target_that_was_not_measured_is_answered_with_those_that_were(
    table: LatencyTable, store: MeasurementStore
) -> None:
    other = Target.make("cpu", "torch", {"threads": 2, "batch": 8})
    with pytest.raises(MissingTableError) as caught:
        LatencyTable.load(store, other)
    assert "the store holds cpu/onnxruntime?threads=1" in str(caught.value)
    assert "--device cpu --runtime torch --threads 2 --batch 8" in caught.value.hint


def test_a_target_with_a_slip_is_answered_with_the_one_that_was_meant(
    table: LatencyTable, store: MeasurementStore
) -> None:
    with pytest.raises(MissingTableError) as caught:
        LatencyTable.load(store, Target.make("cpu", "onnxruntim", {}))
    assert caught.value.hint.startswith("cpu/onnxruntime?threads=1, or lutier profile ")


def test_of_many_targets_a_few_are_named() -> None:
    known = [f"{letter}/x?threads=1" for letter in "abcdefghijkl"]
    trouble = no_table(Target.make("zzzzzzzz", "qqqqqqqq", {}), known)
    assert trouble.why == "the store holds a/x?threads=1, b/x?threads=1, c/x?threads=1 and 9 others"


def test_an_unknown_environment_is_answered_with_those_that_are(
    table: LatencyTable, store: MeasurementStore
) -> None:
    with pytest.raises(MissingTableError, match=f"in environment abc: .* {HERE.id}"):
        LatencyTable.load(store, TARGET, "abc")


def test_a_missing_op_is_answered_with_the_nearest_and_the_command(table: LatencyTable) -> None:
    with pytest.raises(MissingEntryError) as caught:
        table.latency_ms(WIDE)
    assert caught.value.what == f"{WIDE.key} is not in the latency table of {TARGET}"
    assert caught.value.why.startswith(f"nearest: {CONV.key}")
    assert caught.value.hint == (
        "lutier profile --device cpu --runtime onnxruntime --threads 1 "
        "--op 'conv/3x8x8/activation=relu6,kernel=3,out=16,stride=1'"
    )


def test_an_op_missing_from_an_empty_table_is_said_too() -> None:
    table = LatencyTable.from_ops(str(TARGET), {})
    with pytest.raises(MissingEntryError, match="the table has 0 ops"):
        table.latency_ms(CONV)


def test_a_table_of_no_real_target_names_no_command() -> None:
    with pytest.raises(MissingEntryError, match="latency table of simulated") as caught:
        LatencyTable.from_ops("simulated", {CONV: 1.0}).latency_ms(WIDE)
    assert caught.value.hint == ""


def test_an_op_of_a_kind_that_is_not_known_does_not_hide_the_others(
    table: LatencyTable, store: MeasurementStore
) -> None:
    measure(store, "warp/3x8x8/speed=9", [1.0, 1.0])
    table = LatencyTable.load(store, TARGET)
    assert table.ops == {CONV: 1.0, LINEAR: 0.55}
    assert table.unknown_ops == ("warp/3x8x8/speed=9",)
    assert table.to_dict()["unknown_ops"] == ["warp/3x8x8/speed=9"]
    console = Console(width=100)
    with console.capture() as capture:
        console.print(table)
    assert "1 more ops are of kinds not known here" in capture.get()


# Its digest


def test_the_digest_changes_with_a_figure_a_key_a_target_and_an_environment() -> None:
    tables = [
        LatencyTable.from_ops("cpu/onnxruntime?threads=1", {CONV: 1.0, LINEAR: 2.0}),
        LatencyTable.from_ops("cpu/onnxruntime?threads=1", {CONV: 1.0, LINEAR: 2.0 + 1e-15}),
        LatencyTable.from_ops("cpu/onnxruntime?threads=1", {CONV: 2.0, LINEAR: 1.0}),
        LatencyTable.from_ops("cpu/onnxruntime?threads=1", {CONV: 1.0, WIDE: 2.0}),
        LatencyTable.from_ops("cpu/onnxruntime?threads=1", {CONV: 1.0}),
        LatencyTable.from_ops("cpu/onnxruntime?threads=2", {CONV: 1.0, LINEAR: 2.0}),
        LatencyTable.from_ops("cpu/onnxruntime?threads=1", {CONV: 1.0, LINEAR: 2.0}, HERE),
    ]
    assert len({table.digest for table in tables}) == len(tables)


def test_the_digest_does_not_depend_on_the_order() -> None:
    one = LatencyTable.from_ops("t", {CONV: 1.0, LINEAR: 2.0})
    other = LatencyTable.from_ops("t", {LINEAR: 2.0, CONV: 1.0})
    assert one.digest == other.digest


def test_the_digest_is_the_same_when_loaded_again(
    table: LatencyTable, store: MeasurementStore
) -> None:
    assert LatencyTable.load(store, TARGET).digest == table.digest


# Made from figures


@given(
    st.dictionaries(st.sampled_from([CONV, WIDE, LINEAR]), st.floats(1e-6, 1e6)),
)
def test_a_table_of_given_figures_holds_them(latencies_ms: dict[OpSpec, float]) -> None:
    table = LatencyTable.from_ops(str(TARGET), latencies_ms)
    assert table.ops == latencies_ms
    assert all(table.latency_ms(spec) == value for spec, value in latencies_ms.items())
    assert table.networks == {}
    assert tuple(table.frame.columns) == (*COLUMNS, "latency_ms")


def test_a_free_op_given_a_figure_still_costs_nothing() -> None:
    table = LatencyTable.from_ops(str(TARGET), {FREE: 1.0, CONV: 1.0})
    assert table.ops == {CONV: 1.0}
    assert table.latency_ms(FREE) == 0.0


def test_changing_the_frame_changes_a_copy(table: LatencyTable) -> None:
    frame = table.frame
    frame["median_ms"] = frame["latency_ms"] = 0.0
    assert table.latency_ms(CONV) == 1.0
    assert table.frame[["median_ms", "latency_ms"]].min().min() > 0


# Its quality


def test_the_split_half_error_is_told_by_role(table: LatencyTable) -> None:
    assert table.split_half_error_of("op") == pytest.approx((0 + 0.1 / 0.55) / 2)
    assert table.split_half_error_of("network") == pytest.approx(0.1 / 10.05)
    assert table.split_half_error == pytest.approx((0.1 / 0.55 + 0.1 / 10.05) / 3)


@pytest.mark.parametrize(
    ("split_half", "trusted"), [(0.0, True), (0.05, True), (0.051, False), (math.nan, False)]
)
def test_a_table_is_trusted_up_to_the_limit(split_half: float, trusted: bool) -> None:
    table = LatencyTable.from_ops(str(TARGET), {CONV: 1.0}, split_half=split_half)
    assert table.is_trustworthy == trusted


def test_a_row_whose_quality_is_not_known_is_read(store: MeasurementStore) -> None:
    measure(store, CONV.key, [1.0])
    table = LatencyTable.load(store, TARGET)
    assert math.isnan(table.split_half_error)
    assert not table.is_trustworthy


def judged(*findings: str | None) -> LatencyTable:
    """A quiet table, a row for each text of findings."""
    rows = [
        PortableRow(f"linear/{i}/out=10", "op", 1.0, split_half=0.0, findings=text)
        for i, text in enumerate(findings, start=1)
    ]
    return LatencyTable.from_rows(str(TARGET), HERE, rows)


def test_rows_are_counted_by_what_was_found() -> None:
    table = judged("sound", "noisy", "few noisy", None, "noisy drift")
    assert table.findings == {"noisy": 3, "few": 1, "drift": 1}
    assert table.to_dict()["findings"] == table.findings


def test_what_was_found_is_counted_from_the_store(store: MeasurementStore) -> None:
    measure(store, CONV.key, [1.0, 1.0], findings=())
    measure(store, LINEAR.key, [1.0, 1.0], findings=("few", "busy"))
    table = LatencyTable.load(store, TARGET)
    assert table.findings == {"few": 1, "busy": 1}
    assert table.doubtful == 0.5


@pytest.mark.parametrize(
    ("findings", "share"),
    [
        ([], 0.0),
        ([None, None], 0.0),
        (["sound", "sound"], 0.0),
        (["sound", "noisy"], 0.5),
        # What was not judged is neither sound nor doubtful.
        ([None, "few noisy"], 1.0),
    ],
)
def test_rows_that_a_rule_objects_to_are_doubtful(findings: list[str | None], share: float) -> None:
    assert judged(*findings).doubtful == share


@pytest.mark.parametrize(("doubtful", "trusted"), [(0, True), (1, True), (2, False)])
def test_a_table_of_many_doubtful_rows_is_not_trusted(doubtful: int, trusted: bool) -> None:
    table = judged(*["drift"] * doubtful, *["sound"] * (20 - doubtful))
    assert table.split_half_error == 0.0
    assert table.is_trustworthy == trusted
    assert table.to_dict()["trustworthy"] == trusted


# Shown


def strict(table: LatencyTable) -> object:
    """The table as strict JSON gives it back."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(json.dumps(table.to_dict(), allow_nan=False), parse_constant=refuse)


def test_it_is_valid_json(table: LatencyTable) -> None:
    document = table.to_dict()
    assert strict(table) == document
    assert (document["target"], document["ops"], document["networks"]) == (str(TARGET), 2, 1)
    assert document["environment"] == {"chip": "A"}
    assert document["digest"] == table.digest
    row = document["rows"][0]
    assert set(row) == SHOWN
    assert (row["key"], row["median_ms"], row["visits"]) == (CONV.key, 1.0, 4)
    assert pd.Timestamp(row["finished_at"]) == table.frame["finished_at"][0]


def test_what_is_not_known_is_null() -> None:
    table = LatencyTable.from_ops(str(TARGET), {CONV: 1.0})
    assert strict(table) == table.to_dict()
    document = table.to_dict()
    assert document["split_half_error"] is None
    (row,) = document["rows"]
    known = {"key": CONV.key, "role": "op", "median_ms": 1.0, "latency_ms": 1.0}
    assert row == {**dict.fromkeys(SHOWN), **known}


def test_an_empty_table_is_valid_json_too() -> None:
    table = LatencyTable.from_ops(str(TARGET), {})
    assert strict(table) == table.to_dict()


def test_it_is_shown_by_kind(table: LatencyTable, store: MeasurementStore) -> None:
    measure(store, WIDE.key, [3.0, 3.0])
    console = Console(width=100)
    with console.capture() as capture:
        console.print(LatencyTable.load(store, TARGET))
    shown = capture.get()
    assert "cpu/onnxruntime?threads=1: 3 ops, 1 networks" in shown
    (line,) = (line for line in shown.splitlines() if "conv" in line)
    assert [cell.strip() for cell in line.strip("│").split("│")] == [
        "conv",
        "2",
        "1.0000 ms",
        "2.0000 ms",
        "3.0000 ms",
    ]
    assert "(networks)" in shown


def test_an_empty_table_is_shown_too() -> None:
    console = Console(width=100)
    with console.capture() as capture:
        console.print(LatencyTable.from_ops("cpu/onnxruntime?threads=1", {}))
    assert "0 ops, 0 networks" in capture.get()
