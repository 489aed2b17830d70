"""A real sshd on loopback with keys, port and configuration of its own, run as the current user."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest

HOST = "far"


@dataclass(frozen=True)
class SshServer:
    """A running sshd.

    Attributes:
        folder: of its keys and configuration, and, in ``tmp``, of what those keep who log in.
        port: on 127.0.0.1.
        pid: of the daemon; the processes of connections are below it.
    """

    folder: Path
    port: int
    pid: int

    @property
    def client_config(self) -> Path:
        """File for ``ssh -F``: the host ``far`` is this server, and its key is known."""
        return self.folder / "ssh_config"

    def environment(self) -> dict[str, str]:
        """Variables with which ``ssh:far`` is this server."""
        return {
            "LUTIER_SSH_OPTIONS": f"-F {self.client_config}",
            "LUTIER_SSH_PYTHON": sys.executable,
        }

    def log(self) -> str:
        """What the daemon has written."""
        return (self.folder / "sshd.log").read_text(errors="replace")


def programs() -> tuple[str, str, str]:
    """Paths of sshd, ssh and ssh-keygen; a named skip where one is missing."""
    # sshd wants to be called by its whole path, and its folder is not in everybody's PATH.
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/sbin"
    found = [shutil.which(name, path=path) for name in ("sshd", "ssh", "ssh-keygen")]
    if not all(found):
        pytest.skip("needs a real sshd: apt-get install openssh-server openssh-client")
    sshd, ssh, keygen = (str(each) for each in found)
    return sshd, ssh, keygen


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def ssh_server(folder: Path, *settings: str) -> Iterator[SshServer]:
    """Run an sshd until the end of the block.

    Args:
        folder: for its files; made.
        settings: further lines of its configuration.
    """
    sshd, _, keygen = programs()
    folder.mkdir(parents=True, mode=0o700)
    for name in ("host_key", "user_key"):
        command = [keygen, "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)]
        subprocess.run(command, check=True, capture_output=True)
    shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
    if os.geteuid() == 0:
        # Where it separates its privileges; made by the init system, which may not have run.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    port = free_port()
    temporary = folder / "tmp"
    temporary.mkdir()
    (folder / "sshd_config").write_text(
        f"""\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder / "host_key"}
AuthorizedKeysFile {folder / "authorized_keys"}
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
SetEnv TMPDIR={temporary}
"""
        + "".join(f"{line}\n" for line in settings)
    )
    key = (folder / "host_key.pub").read_text()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {key}")
    (folder / "ssh_config").write_text(
        f"""\
Host {HOST}
    HostName 127.0.0.1
    Port {port}
    User {getpass.getuser()}
    IdentityFile {folder / "user_key"}
    IdentitiesOnly yes
    IdentityAgent none
    UserKnownHostsFile {folder / "known_hosts"}
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
"""
    )
    with (folder / "sshd.log").open("wb") as log:
        process = subprocess.Popen(
            [sshd, "-D", "-e", "-f", str(folder / "sshd_config")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    server = SshServer(folder, port, process.pid)
    try:
        while "Server listening" not in server.log():
            if process.poll() is not None:
                pytest.fail(f"sshd did not start: {server.log()}")
            time.sleep(0.01)
        yield server
    finally:
        for pid in descendants(process.pid):
            kill(pid)
        process.terminate()
        process.wait(timeout=10)


def descendants(pid: int) -> list[int]:
    """The processes below one, those nearest to it first."""
    found: list[int] = []
    todo = [pid]
    while todo:
        parent = todo.pop(0)
        try:
            words = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        except OSError:
            continue
        found += map(int, words)
        todo += map(int, words)
    return found


def command_line(pid: int) -> str:
    """Of a process, empty where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def kill(pid: int) -> None:
    """Kill a process, unless it has ended already."""
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        return


def fake_worker(folder: Path, lines: str, **changed: object) -> str:
    """A line of sshd's configuration: what greets is no worker, and then does what is said.

    Args:
        folder: for its program.
        lines: of Python, run after the greeting.
        changed: fields of the greeting.
    """
    fields = {"lutier_worker": 1, "lutier": version("lutier"), "python": "/there/python"}
    greeting = json.dumps({**fields, "formats": {"onnxruntime": "onnx"}, **changed})
    path = folder / "fake_worker.py"
    path.write_text(f"import sys\nprint({greeting!r}, flush=True)\n{lines}")
    return f"ForceCommand {sys.executable} {path}"
