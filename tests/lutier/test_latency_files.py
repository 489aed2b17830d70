"""Latencies of several devices from a file, and tables to a file."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from devices.errors import InputError, UnknownNameError
from lutier.latency_files import read_latencies, read_measured, write_frame


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_what_is_written_is_read_again(suffix: str, tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"a": [0.1 + 0.2, 2.0], "b": [None, 1e-9]}, index=pd.Index(["x,y", "z"], name="arch")
    ).astype(float)
    path = tmp_path / f"table{suffix}"
    write_frame(path, frame)
    pd.testing.assert_frame_equal(read_latencies(path), frame)


def test_the_column_arch_names_the_rows_wherever_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("# a comment\na,arch\n1.5,x\n2.5,y\n")
    assert read_latencies(path)["a"].to_dict() == {"x": 1.5, "y": 2.5}


def test_architectures_may_be_numbered(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("id,a\n0,1.5\n1,2.5\n")
    assert read_latencies(path)["a"].to_dict() == {"0": 1.5, "1": 2.5}


def test_columns_that_are_not_asked_for_may_hold_anything(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("arch,a,remark\nx,1.5,good\n")
    assert list(read_latencies(path, ("a",))) == ["a"]
    assert read_measured(path, "a").to_dict() == {"x": 1.5}
    with pytest.raises(InputError, match="remark of x"):
        read_latencies(path)


def test_an_unknown_column_is_named_with_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("arch,pixel3\nx,1.5\n")
    with pytest.raises(UnknownNameError, match=r"'pixl3'\. Try: pixel3"):
        read_latencies(path, ("pixl3",))


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "table.pkl"
    pd.DataFrame({"a": [1.0]}).to_pickle(path)
    with pytest.raises(InputError, match="never loaded"):
        read_latencies(path)
