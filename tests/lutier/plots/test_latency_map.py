"""Maps of a table: what is measured, what is missing, what is doubtful."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import drawn_results as made
import pytest

from devices.target import Target
from lutier.plots.evidence import Evidence
from lutier.plots.latency_map import Cell, LatencyMap, TableMaps, findings_of, table_maps
from profiler.storage.database import MeasurementStore
from profiler.table import LatencyTable

OPS = made.SPACE.all_ops()
MBCONVS = [op for op in OPS if op.kind == "mbconv"]


def maps(evidence: Evidence, tmp_path: Path) -> TableMaps:
    (found,) = table_maps(made.two_runs(tmp_path / "runs"), {made.TARGET: evidence})
    return found


def cells(found: TableMaps) -> dict[str, tuple[LatencyMap, Cell]]:
    return {
        cell.key: (each, cell)
        for each in found.maps
        for row in each.cells
        for cell in row
        if cell is not None
    }


def test_every_op_with_a_kernel_has_one_cell(tmp_path: Path) -> None:
    found = maps(made.made_evidence(), tmp_path)
    assert set(cells(found)) == {op.key for op in OPS if "kernel" in dict(op.attributes)}
    assert found.measured == found.total == len(OPS)
    assert found.command == ""


def test_a_cell_is_where_its_kernel_channels_and_resolution_say(tmp_path: Path) -> None:
    found = maps(made.made_evidence(), tmp_path)
    for op in MBCONVS:
        each, cell = cells(found)[op.key]
        assert (each.height, each.width) == op.input_shape[1:]
        row = next(i for i, row in enumerate(each.cells) if cell in row)
        column = each.columns[each.cells[row].index(cell)]
        assert (column.kernel, column.expand) == (op["kernel"], op["expand"])
        assert each.rows[row].startswith(f"{op.input_shape[0]} to {op['out']}")
        assert ("stride 2" in each.rows[row]) == (op["stride"] == 2)


def test_latencies_and_intervals_are_those_of_the_table(tmp_path: Path) -> None:
    evidence = made.made_evidence()
    assert evidence.table is not None
    _, cell = cells(maps(evidence, tmp_path))[MBCONVS[3].key]
    latency_ms = evidence.table.ops[MBCONVS[3]]
    assert cell.latency_ms == latency_ms
    assert cell.low_ms == pytest.approx(0.98 * latency_ms)


def test_what_is_not_measured_has_no_figure(tmp_path: Path) -> None:
    failed, missing = MBCONVS[0], MBCONVS[1]
    ops = {op: 1.0 for op in OPS[:4] if op not in (failed, missing)}
    evidence = made.made_evidence(
        table=LatencyTable.from_ops(made.TARGET, ops), failures={failed.key: "broke"}
    )
    found = maps(evidence, tmp_path)
    each, cell = cells(found)[failed.key]
    assert (cell.status, cell.latency_ms, cell.why) == ("failed", None, "broke")
    assert each.step(cell) is None
    _, cell = cells(found)[missing.key]
    assert (cell.status, cell.latency_ms) == ("missing", None)
    assert "a regressor needs" in cell.why
    assert found.missing == found.total - len(ops)
    assert "lutier profile" in found.command


def test_verdicts_come_from_the_rows(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'lutier.db'}"
    made.fill_store(url, findings={MBCONVS[2].key: ("noisy", "busy")})
    target = Target.parse(made.TARGET)
    with MeasurementStore(url) as store:
        table = LatencyTable.load(store, target)
        rows = tuple(store.portable_rows(target, table.environment_id))
    evidence = replace(made.made_evidence(), table=table, rows=rows)
    found = cells(maps(evidence, tmp_path))
    assert found[MBCONVS[2].key][1].findings == ("noisy", "busy")
    assert found[MBCONVS[3].key][1].findings == ()
    assert [key for key, (_, cell) in found.items() if cell.is_doubtful] == [MBCONVS[2].key]


def test_findings_that_nobody_asked_for_are_not_sound() -> None:
    assert findings_of(None) is None
    assert findings_of("sound") == ()
    assert findings_of("few noisy") == ("few", "noisy")


def test_heat_rises_with_latency(tmp_path: Path) -> None:
    found = list(cells(maps(made.made_evidence(), tmp_path)).values())
    ordered = sorted(found, key=lambda item: item[1].latency_ms or 0)
    steps = [each.step(cell) for each, cell in ordered]
    assert steps == sorted(steps, key=lambda step: step or 0)
    assert (steps[0], steps[-1]) == (0, 6)


@pytest.mark.parametrize(
    ("slowest_ms", "written"), [(0.5, ("500", "us")), (1.5, ("1.50", "ms")), (150.0, ("150", "ms"))]
)
def test_all_of_one_map_is_in_one_unit(slowest_ms: float, written: tuple[str, str]) -> None:
    slow, fast = Cell("a", "measured", slowest_ms), Cell("b", "measured", slowest_ms / 10)
    given = LatencyMap("conv", 8, 8, (), (), ((slow, fast, None),), ())
    assert (given.text(slow), given.unit) == written
    assert given.text(Cell("c", "missing")) == ""


def test_without_a_table_there_is_no_map(tmp_path: Path) -> None:
    runs = made.two_runs(tmp_path)
    assert table_maps(runs, {made.TARGET: Evidence(made.TARGET)}) == []


def test_the_figure_writes_each_latency(tmp_path: Path) -> None:
    found = maps(made.made_evidence(), tmp_path)
    figure = found.figure()
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert len(texts) == len(cells(found))
    assert "10.0" in texts
