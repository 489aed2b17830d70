"""What is handed out: a source archive with all that is needed, and a wheel that runs by itself."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("devices", "profiler", "latency_models", "search", "lutier")


def run(*words: str | Path, folder: Path, path: Path | None = None) -> str:
    """Output of a program that has to succeed, started outside of the checkout."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    done = subprocess.run(
        [*map(str, words)], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source archive."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-d", folder, folder=ROOT)
    return folder


@pytest.fixture(scope="module")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the wheel alone is installed in."""
    target = tmp_path_factory.mktemp("installed")
    (wheel,) = dist.glob("*.whl")
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index")
    run(*pip, "--target", target, wheel, folder=target)
    return target


def test_the_wheel_is_for_any_machine_and_of_our_version(dist: Path) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    (wheel,) = dist.glob("*.whl")
    assert wheel.name == f"lutier-{version}-py3-none-any.whl"


def test_the_wheel_installs_the_five_packages_and_one_command(installed: Path) -> None:
    names = {path.name for path in installed.iterdir() if path.suffix != ".dist-info"}
    assert names == {*PACKAGES, "bin"}
    assert [path.name for path in (installed / "bin").iterdir()] == ["lutier"]


def test_the_wheel_brings_no_test(installed: Path) -> None:
    tests = [
        path for path in installed.rglob("*.py") if path.name.startswith(("test_", "conftest"))
    ]
    assert tests == []


def test_what_is_installed_runs_by_itself(installed: Path, tmp_path: Path) -> None:
    python = (sys.executable, "-P")
    where = "import lutier; print(lutier.__file__)"
    assert run(*python, "-c", where, folder=tmp_path, path=installed).startswith(str(installed))
    shown = run(*python, "-m", "lutier", "--help", folder=tmp_path, path=installed)
    assert "Measure a device" in shown
    spaces = run(*python, "-m", "lutier", "spaces", "--json", folder=tmp_path, path=installed)
    assert "mobile-tiny" in spaces


def test_pages_find_their_templates_where_it_is_installed(installed: Path) -> None:
    for package in PACKAGES:
        data = {
            path.relative_to(ROOT)
            for path in (ROOT / package).rglob("*")
            if path.is_file() and path.suffix not in (".py", ".pyc")
        }
        assert not [path for path in data if not (installed / path).is_file()]


def test_the_source_archive_holds_what_was_written_and_nothing_that_was_made(dist: Path) -> None:
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tops = {name.partition("/")[0] for name in names if name}
    assert tops >= {*PACKAGES, "tests", "docs", "benchmarks", "README.md", "LICENSE", "Makefile"}
    assert not tops & {"runs", "build", "dist"}
    assert not [top for top in tops if top.startswith(".") and top not in (".ci", ".gitignore")]


def test_the_source_archive_builds_the_same_wheel(dist: Path, tmp_path: Path) -> None:
    import zipfile

    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    command = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "again")
    run(*command, folder=source)
    contents = []
    for folder in (dist, tmp_path / "again"):
        (wheel,) = folder.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive_of_wheel:
            contents.append(sorted(archive_of_wheel.namelist()))
    assert contents[0] == contents[1]
