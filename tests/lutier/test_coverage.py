"""Which ops of a space a table has, and where the rest would come from."""

from __future__ import annotations

from devices.environment import Environment
from devices.target import Target
from lutier.coverage import cover
from profiler.ops import OpSpec
from profiler.table import LatencyTable
from search.spaces.mobile import mobile_tiny

TARGET = Target.parse("cpu/onnxruntime?threads=1")
TINY = mobile_tiny()
OPS = TINY.all_ops()


def table_of(specs: list[OpSpec] | tuple[OpSpec, ...]) -> LatencyTable:
    latencies = dict.fromkeys(specs, 1.0)
    return LatencyTable.from_ops(str(TARGET), latencies, Environment.of({}))


def test_a_whole_table_needs_nothing_more() -> None:
    found = cover(table_of(OPS), TARGET, TINY)
    assert len(found.measured) == found.total == len(OPS)
    assert (found.regressed, found.missing, found.command) == ((), {}, "")


def test_what_is_not_measured_is_regressed_or_missing_with_a_reason() -> None:
    blocks = [spec for spec in OPS if spec.kind == "mbconv"]
    found = cover(table_of(blocks[:-1]), TARGET, TINY)
    assert set(found.measured) == {spec.key for spec in blocks[:-1]}
    assert found.regressed == (blocks[-1].key,)
    assert set(found.missing) == {spec.key for spec in OPS if spec.kind != "mbconv"}
    assert all("a regressor needs 8" in reason for reason in found.missing.values())
    assert found.command == (
        "lutier profile --device cpu --runtime onnxruntime --threads 1 --space 'mobile-tiny'"
    )


def test_an_op_too_far_from_what_was_measured_is_missing() -> None:
    small = [spec for spec in OPS if spec.kind == "mbconv" and spec["kernel"] == 3]
    found = cover(table_of(small), TARGET, TINY)
    reasons = [reason for key, reason in found.missing.items() if "kernel=7" in key]
    assert reasons
    assert all("was never measured" in reason for reason in reasons)
