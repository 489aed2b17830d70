"""Tables of NAS-Bench-201 latencies: one column a device."""

from __future__ import annotations

from pathlib import Path

import pytest

from devices.errors import InputError, UnknownNameError
from devices.target import Target
from profiler.exchange.importing import import_table, read_table
from profiler.exchange.source import Source
from profiler.storage.database import MeasurementStore
from profiler.table import LatencyTable

PIXEL = Target.parse("pixel3/tflite?threads=1")
FIRST = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|none~1|none~2|"
SECOND = "|none~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|"
PUBLIC = Path(__file__).parents[4] / "shared" / "data" / "nb201_latency_ms.parquet"


def csv(*lines: str) -> Source:
    return Source.of("nb201.csv", "\n".join(("arch,pixel3,gpu", *lines)).encode())


def test_one_device_is_chosen() -> None:
    source = csv(f"{FIRST},5.5,1.5", f"{SECOND},4,1")
    table = read_table(source, "nasbench201", target=PIXEL, column="gpu")
    assert [(row.key, row.role, row.median_ms) for row in table.screened.rows] == [
        (f"nasbench201:{FIRST}", "network", 1.5),
        (f"nasbench201:{SECOND}", "network", 1.0),
    ]
    assert table.screened.rows[0].protocol["column"] == "gpu"
    with pytest.raises(InputError, match=r"2 devices.*pixel3, gpu"):
        read_table(source, "nasbench201", target=PIXEL)
    with pytest.raises(UnknownNameError, match="Try: gpu"):
        read_table(source, "nasbench201", target=PIXEL, column="gpus")


def test_what_is_no_network_or_no_latency_is_listed() -> None:
    source = csv(f"{FIRST},5.5,1.5", f"{FIRST[:-1]},4,1", f"{SECOND},,nan")
    report = read_table(source, "nasbench201", target=PIXEL, column="gpu").report
    assert [listed.key for listed in report.unmapped] == [FIRST[:-1]]
    assert [listed.reason for listed in report.rejected] == ["nan is not a latency"]


def test_a_file_without_architectures_is_refused() -> None:
    with pytest.raises(InputError, match="no column of NAS-Bench-201 networks"):
        read_table(Source.of("a.csv", b"name,ms\nx,1\n"), "nasbench201", target=PIXEL)


def test_latencies_in_seconds_are_suspicious() -> None:
    source = csv(f"{FIRST},5.5,0.0015", f"{SECOND},4,0.002")
    (warning,) = read_table(source, "nasbench201", target=PIXEL, column="gpu").report.suspicious
    assert "looks like seconds: --unit s" in warning


@pytest.mark.skipif(
    not PUBLIC.exists(),
    reason="needs HELP's NAS-Bench-201 latencies as Parquet: shared/data beside the checkout",
)
def test_the_public_table_is_read_whole(tmp_path: Path) -> None:
    with MeasurementStore(f"sqlite:///{tmp_path / 'lutier.db'}") as store:
        report = import_table(store, PUBLIC, "nasbench201", target=PIXEL, column="pixel3")
        table = LatencyTable.load(store, PIXEL)
    assert (report.imported, report.rejected, report.unmapped) == (15_625, (), ())
    assert report.suspicious == ()
    assert len(table.networks) == 15_625
    assert table.ops == {}
