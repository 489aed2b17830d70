"""Writing a table: all of it, or the file that was there stays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from devices.environment import Environment
from devices.errors import InputError, UnknownNameError
from devices.target import Target
from profiler.exchange.exporting import WRITERS, export_table
from profiler.storage.portable import PortableRow

# A disk that is full after 1,000 bytes, as far as this process can tell.
FULL_DISK = """
import resource, sys
from pathlib import Path
from devices.environment import Environment
from devices.errors import InputError
from profiler.exchange.exporting import export_table
from profiler.storage.portable import PortableRow

rows = [PortableRow(f"linear/{n}/out=10", "op", float(n)) for n in range(1, 200)]
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    export_table(Path(sys.argv[1]), sys.argv[2], "cpu/torch?threads=1", Environment.of({}), rows)
except InputError as error:
    print(error)
"""


@pytest.mark.parametrize("file_format", WRITERS)
def test_a_disk_that_fills_up_leaves_the_file_as_it_was(file_format: str, tmp_path: Path) -> None:
    path = tmp_path / "table"
    path.write_text("what was there")
    command = [sys.executable, "-c", FULL_DISK, str(path), file_format]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith(f"cannot write {path}: ")
    assert "left as it was" in run.stdout
    assert path.read_text() == "what was there"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_to_is_one_error(
    rows: list[PortableRow], target: Target, machine: Environment, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file" / "table.json", Path("nul\0.json")):
        with pytest.raises(InputError, match="cannot write"):
            export_table(path, "json", str(target), machine, rows)


def test_a_table_that_a_format_has_no_word_for_is_not_written(
    rows: list[PortableRow], target: Target, machine: Environment, tmp_path: Path
) -> None:
    networks = [row for row in rows if row.role == "network"]
    path = tmp_path / "lut.yaml"
    with pytest.raises(InputError, match="no word for any of its 1 rows"):
        export_table(path, "proxylessnas", str(target), machine, networks)
    assert not path.exists()
    with pytest.raises(UnknownNameError, match="proxylessnas"):
        export_table(path, "proxyless", str(target), machine, rows)
