"""Another machine for the tests: an sshd on loopback, which ``ssh:far`` leads to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sshd_server import SshServer, ssh_server


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    """One server for a file of tests; skips where there is no sshd."""
    with ssh_server(tmp_path_factory.mktemp("sshd") / "server") as server:
        yield server


@pytest.fixture
def far(sshd: SshServer, monkeypatch: pytest.MonkeyPatch) -> SshServer:
    """Make ``ssh:far`` that server, in this process and in those it starts."""
    for name, value in sshd.environment().items():
        monkeypatch.setenv(name, value)
    return sshd


@pytest.fixture
def start_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., SshServer]]:
    """Makes ``ssh:far`` a server of the test's own, with further lines in its configuration."""
    with ExitStack() as stack:

        def start(*settings: str) -> SshServer:
            server = stack.enter_context(ssh_server(tmp_path / "server", *settings))
            for name, value in server.environment().items():
                monkeypatch.setenv(name, value)
            return server

        yield start
