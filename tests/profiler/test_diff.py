"""Two tables side by side: a machine that drifts flags nothing, an op that changed is flagged."""

from __future__ import annotations

import random

import pytest

from devices.environment import Environment
from devices.errors import MissingEntryError
from profiler.diff import diff_tables
from profiler.quality import summarise
from profiler.storage.portable import PortableRow
from profiler.table import LatencyTable

KEYS = [f"linear/{n}/out=10" for n in range(1, 41)]


def measured(
    factor: float = 1.0, changed: dict[str, float] | None = None, seed: int = 0, noise: float = 0.01
) -> LatencyTable:
    """A table of 40 ops in 30 noisy visits each, ``factor`` times as slow, some changed."""
    generator = random.Random(seed)
    rows = []
    for number, key in enumerate(KEYS, start=1):
        true_ms = number * factor * (changed or {}).get(key, 1.0)
        visits = [[true_ms * (1 + abs(generator.gauss(0, noise)))] for _ in range(30)]
        summary = summarise(visits)
        rows.append(PortableRow(key, "op", **vars(summary)))
    return LatencyTable.from_rows("cpu/torch?threads=1", Environment.of({"run": str(seed)}), rows)


@pytest.mark.parametrize("factor", [1.0, 1.7, 0.4])
def test_the_same_machine_at_another_speed_flags_nothing(factor: float) -> None:
    found = diff_tables(measured(seed=1), measured(factor, seed=2))
    assert found.ratio == pytest.approx(factor, rel=0.01)
    assert found.flagged == ()
    assert len(found.changes) == 40
    assert found.environment == ("run: 1 -> 2",)


@pytest.mark.parametrize("factor", [1.0, 1.7])
def test_an_op_that_changed_is_flagged_beside_the_drift_of_the_machine(factor: float) -> None:
    slow, fast = KEYS[5], KEYS[30]
    found = diff_tables(measured(seed=1), measured(factor, {slow: 1.3, fast: 0.8}, seed=2))
    assert {change.key for change in found.flagged} == {slow, fast}
    assert found.flagged[0].change == pytest.approx(0.3, abs=0.02)
    assert found.flagged[1].change == pytest.approx(-0.2, abs=0.02)
    assert found.ratio == pytest.approx(factor, rel=0.01)
    assert [row["key"] for row in found.to_dict()["flagged"]] == [slow, fast]


def test_noise_raises_what_it_takes_to_be_flagged() -> None:
    slow = KEYS[5]
    quiet = diff_tables(measured(seed=1), measured(changed={slow: 1.08}, seed=2))
    assert [change.key for change in quiet.flagged] == [slow]
    noisy = diff_tables(
        measured(seed=1, noise=0.4), measured(changed={slow: 1.08}, seed=2, noise=0.4)
    )
    assert noisy.flagged == ()
    assert min(change.threshold for change in noisy.changes) > 0.08


def test_where_no_interval_is_known_the_ratio_alone_decides() -> None:
    def bare(values: list[float]) -> LatencyTable:
        rows = [PortableRow(key, "op", value) for key, value in zip(KEYS, values, strict=False)]
        return LatencyTable.from_rows("a/b?threads=1", Environment.of({}), rows)

    found = diff_tables(bare([1.0, 2.0, 3.0]), bare([1.0, 2.0, 3.3]))
    assert [(change.key, change.apart) for change in found.flagged] == [(KEYS[2], None)]
    assert found.to_dict()["without_interval"] == 3


def test_rows_of_one_table_alone_are_listed() -> None:
    def of(keys: list[str]) -> LatencyTable:
        rows = [PortableRow(key, "op", 1.0) for key in keys]
        return LatencyTable.from_rows("a/b?threads=1", Environment.of({}), rows)

    found = diff_tables(of(KEYS[:3]), of(KEYS[1:5]))
    assert (found.only_first, found.only_second) == ((KEYS[0],), (KEYS[3], KEYS[4]))
    with pytest.raises(MissingEntryError, match="no op in common"):
        diff_tables(of(KEYS[:2]), of(KEYS[2:4]))
