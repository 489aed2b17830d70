"""What every test gets: a home of its own, one torch thread, a named skip where no GPU is."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from postgres_server import Server

# Examples on a shared machine may take any time; everything else as in the profile in force.
hypothesis.settings.register_profile(
    "lutier", hypothesis.settings(), deadline=None, max_examples=50
)
hypothesis.settings.load_profile("lutier")


_NO_PHONES = """#!/bin/sh
case $1 in
version) echo 'Android Debug Bridge version 1.0.41' ;;
devices) echo 'List of devices attached' ;;
esac
"""


def pytest_configure(config: pytest.Config) -> None:
    """What holds in this process and in those that tests start."""
    # Quicker than more threads on small tensors.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # A shell without job control lets what it starts in the background ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)


_LONGEST = ("test_readme.py", "test_android_pages.py", "test_android_profile.py", "test_docs.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no process waits for it at the end.

    Tests of a GPU are skipped where there is none, saying what is missing.
    """
    items.sort(key=lambda item: item.path.name not in _LONGEST)
    on_gpu = [item for item in items if item.get_closest_marker("gpu")]
    if not on_gpu:
        return
    import torch

    if not torch.cuda.is_available():
        missing = pytest.mark.skip(reason="needs an NVIDIA GPU and a CUDA build of torch")
        for item in on_gpu:
            item.add_marker(missing)


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the homes of all tests are."""
    return tmp_path_factory.mktemp("homes")


@pytest.fixture(autouse=True)
def own_home(homes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every test, and the processes it starts, away from the user's tables and settings."""
    # Not by pytest, which reads the names of all folders there are before it makes one.
    home = Path(tempfile.mkdtemp(dir=homes))
    for name in [name for name in os.environ if name.startswith("LUTIER_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LUTIER_HOME", str(home / "lutier"))
    monkeypatch.setenv("LUTIER_DB", f"sqlite:///{home / 'lutier.db'}")
    monkeypatch.setenv("HOME", str(home))
    # Phones that happen to be attached are not for tests, and no server is started for them.
    adb = home / "adb"
    adb.write_text(_NO_PHONES)
    adb.chmod(0o755)
    monkeypatch.setenv("LUTIER_ADB", str(adb))
    for kind in ("DATA", "CACHE", "CONFIG", "STATE"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(home / kind.lower()))


@pytest.fixture(autouse=True)
def same_threads() -> Iterator[None]:
    """Give torch back the threads it had, where a test changed them."""
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else None
    yield
    if torch and torch.get_num_threads() != before:
        torch.set_num_threads(before)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """One PostgreSQL server for all tests; skips where there is none."""
    from postgres_server import MISSING, Server, find_pg_ctl

    pg_ctl = find_pg_ctl()
    if pg_ctl is None:
        pytest.skip(MISSING)
    server = Server(pg_ctl)
    yield server
    server.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Gives URLs of stores that do not exist yet, on every kind of database in turn."""
    numbers = itertools.count()
    if request.param == "sqlite":
        return lambda: f"sqlite:///{tmp_path / f'lutier{next(numbers)}.db'}"
    server: Server = request.getfixturevalue("postgres")
    return server.new_database


@pytest.fixture
def store_url(new_url: Callable[[], str]) -> str:
    """URL of a store that does not exist yet, on every kind of database in turn."""
    return new_url()
