"""What ssh says, in other words: one line, with what to type. Most of it is tried on a real one."""

from __future__ import annotations

import shlex
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sshd_server import SshServer, fake_worker, free_port

from devices.errors import DeviceError, MissingExtraError
from devices.link import Ending
from devices.ssh import SshDevice
from devices.ssh_trouble import Place, no_greeting, went_away
from devices.wire import lutier_version

PLACE = Place("ssh:pi@far", "far", "ssh pi@far", "python3")
CAUSES = st.sampled_from(["ended", "timeout", "closed", "flood"])


def not_greeted(said: str, status: int | None = 255) -> str:
    return str(no_greeting(PLACE, Ending("greet", "ended", status, said, 1.0)))


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ("ssh: connect to host far port 22: No route to host", "ping far"),
        ("ssh: connect to host far port 22: Network is unreachable", "cannot be reached"),
        ("Received disconnect from 192.0.2.7: Too many authentication failures", "ssh-copy-id"),
        ("No ED25519 host key is known for far and you have requested", "fingerprint"),
        ("kex_exchange_identification: Connection closed by remote host", "did not start"),
        ("Can't open user config file no: No such file or directory", "LUTIER_SSH_OPTIONS"),
    ],
)
def test_a_saying_of_ssh_becomes_advice(said: str, says: str) -> None:
    text = not_greeted(f"Warning: something else\n{said}.\n")
    assert says in text
    assert said in text


def test_words_of_the_far_side_are_not_taken_for_those_of_ssh() -> None:
    text = not_greeted("PermissionError: Permission denied: '/opt/thing'", status=1)
    assert "did not start" in text
    assert "ssh-copy-id" not in text


def test_a_python_that_crashed_says_so_by_its_last_line() -> None:
    text = not_greeted("Traceback:\n  File x\nImportError: numpy is broken\n\n", status=1)
    assert "ImportError: numpy is broken (exit status 1)" in text
    assert text.endswith("Try: by hand: ssh pi@far python3 -m devices.worker")


@given(
    CAUSES,
    st.none() | st.integers(-64, 255),
    st.text() | st.text("Permsiondt \n\r\t\x1b", max_size=40),
)
def test_anything_that_is_said_becomes_one_line_with_advice(
    cause: str, status: int | None, said: str
) -> None:
    ending = Ending("time a/key", cause, status, said, 2.0)  # type: ignore[arg-type]
    for explain in (no_greeting, went_away):
        error = explain(PLACE, ending)
        assert str(error).isprintable()
        assert error.hint
        assert "ssh:pi@far" in error.what


# On a real server


Refused = Callable[..., str]


@pytest.fixture
def refused(far: SshServer) -> Refused:
    """Gives the one line that says why ``ssh:far`` cannot be opened."""

    def line(**settings: float) -> str:
        with pytest.raises(DeviceError) as caught:
            SshDevice("far", **settings)
        text = str(caught.value)
        assert len(text.splitlines()) == 1
        assert caught.value.hint
        return text

    return line


def configure(
    far: SshServer, folder: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str
) -> Path:
    """Make ``ssh:far`` something else on this side."""
    text = far.client_config.read_text()
    assert old in text
    path = folder / "ssh_config"
    path.write_text(text.replace(old, new))
    monkeypatch.setenv("LUTIER_SSH_OPTIONS", f"-F {path}")
    return path


def test_a_host_key_that_is_not_known(
    refused: Refused, far: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = configure(far, tmp_path, monkeypatch, "known_hosts", "no_such_file")
    text = refused()
    assert "has a host key that is not known here" in text
    assert text.endswith(f"Try: ssh -F {path} far once, and compare the fingerprint it shows")


def test_a_host_key_that_has_changed(
    refused: Refused, far: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = tmp_path / "known_hosts"
    other = (far.folder / "user_key.pub").read_text()
    known.write_text(f"[127.0.0.1]:{far.port} {other}")
    configure(far, tmp_path, monkeypatch, str(far.folder / "known_hosts"), str(known))
    assert "ssh:far has another host key than before" in refused()


def test_a_key_that_is_not_let_in(
    refused: Refused, far: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = configure(far, tmp_path, monkeypatch, "user_key", "host_key")
    text = refused()
    assert "Permission denied" in text
    assert f"ssh-copy-id -F {path} far" in text


def test_a_name_that_does_not_resolve(
    refused: Refused, far: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(far, tmp_path, monkeypatch, "HostName 127.0.0.1", "HostName no-such-host.invalid")
    assert "has a name that no address is known for" in refused()


def test_nobody_listens(
    refused: Refused, far: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(far, tmp_path, monkeypatch, f"Port {far.port}", f"Port {free_port()}")
    assert "runs no ssh server on that port" in refused()


def test_somebody_listens_and_never_speaks(
    refused: Refused, far: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        path = configure(far, tmp_path, monkeypatch, f"Port {far.port}", f"Port {port}")
        monkeypatch.setenv("LUTIER_SSH_OPTIONS", f"-F {path} -o ConnectTimeout=1")
        assert "timed out" in refused()


def test_a_worker_that_does_not_start_in_time(
    refused: Refused, start_far: Callable[..., SshServer]
) -> None:
    start_far("ForceCommand sleep 60")
    assert "did not answer within 2 s" in refused(greeting_seconds=2)


def test_a_wrong_option_for_ssh(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUTIER_SSH_OPTIONS", "-o NoSuchOption=1")
    assert "check LUTIER_SSH_OPTIONS" in refused()


def test_no_python_there(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUTIER_SSH_PYTHON", "/no/such/python")
    text = refused()
    assert "ssh:far has no /no/such/python that can be run" in text
    assert "LUTIER_SSH_PYTHON=" in text


def test_the_path_of_the_far_python_is_never_read_by_a_shell(
    refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LUTIER_SSH_PYTHON", f"python3; touch {tmp_path / 'trap'}; '\"$(date)")
    assert "that can be run" in refused()
    assert not (tmp_path / "trap").exists()


def test_no_lutier_there(refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    # Without its site packages it is a Python that has no Lutier.
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -I -S "$@"\n')
    python.chmod(0o755)
    monkeypatch.setenv("LUTIER_SSH_PYTHON", str(python))
    text = refused()
    assert "has no Lutier" in text
    assert f"{python} -m pip install ." in text


@pytest.mark.parametrize("changed", [{"lutier": "0.0.1"}, {"lutier_worker": 2}])
def test_another_version_there(
    refused: Refused,
    changed: dict[str, object],
    tmp_path: Path,
    start_far: Callable[..., SshServer],
) -> None:
    start_far(fake_worker(tmp_path, "", **changed))
    text = refused()
    version = lutier_version()
    theirs = changed.get("lutier", version), changed.get("lutier_worker", 1)
    assert "has Lutier {} with protocol {},".format(*theirs) in text
    assert f"in a checkout of Lutier {version}" in text
    assert "/there/python -m pip install ." in text


def test_there_is_no_ssh_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingExtraError, match="apt-get install openssh-client"):
        SshDevice("far")
