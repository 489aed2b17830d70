"""Where a machine is that ssh leads to, and the command that gets there."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from devices.errors import InputError, MissingExtraError

_ADDRESS = re.compile(
    r"(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9_.+-]*)@)?"
    r"(?P<host>[A-Za-z0-9_][A-Za-z0-9_.-]*|\[[0-9A-Fa-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?",
    re.ASCII,
)


@dataclass(frozen=True)
class Address:
    """Where a machine is: ``[USER@]HOST[:PORT]``.

    Attributes:
        user: to log in as; empty for whom ssh takes.
        host: a name, a name of ``~/.ssh/config``, or an address, IPv6 without brackets.
        port: 0 for the one ssh takes.
    """

    user: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read ``[USER@]HOST[:PORT]``; an IPv6 address stands in brackets.

        Raises:
            InputError: anything else, above all what ssh would take for an option.
        """
        match = _ADDRESS.fullmatch(text)
        port = int(match["port"] or 0) if match else 0
        if not match or port > 65535 or (match["port"] and not port):
            raise InputError(
                f"{f'ssh:{text}'[:80]!r} names no machine",
                "it is written ssh:HOST, ssh:USER@HOST or ssh:USER@HOST:PORT",
                "ssh:pi@raspberrypi",
            )
        return cls(match["user"] or "", match["host"].strip("[]"), port)

    @property
    def words(self) -> list[str]:
        """The address as words for ssh; none of them can be an option of another kind."""
        port = ["-p", str(self.port)] if self.port else []
        return [*port, f"{self.user}@{self.host}" if self.user else self.host]


def ssh_options(text: str) -> list[str]:
    """The words of ``LUTIER_SSH_OPTIONS``.

    Raises:
        InputError: a quote without its end.
    """
    try:
        return shlex.split(text)
    except ValueError as error:
        raise InputError(
            f"LUTIER_SSH_OPTIONS={text[:80]!r} cannot be read", str(error), "'-F FILE'"
        ) from error


def worker_command(address: Address, options: Sequence[str], python: str) -> list[str]:
    """Program and arguments that run the worker there; nothing in them is left to a local shell.

    Args:
        address: of the machine.
        options: further options for ssh. Of two values for one setting ssh takes the first:
            these win over the times and intervals here, not over what keeps it from asking.
        python: to run the worker with.

    Raises:
        MissingExtraError: there is no ``ssh``.
    """
    ssh = shutil.which("ssh")
    if ssh is None:
        raise MissingExtraError(
            "there is no ssh on this machine",
            "ssh:HOST goes through OpenSSH's client",
            "sudo apt-get install openssh-client",
        )
    # PYTHONSAFEPATH: a folder of the home folder may be called "devices" too.
    there = ["exec", "env", "PYTHONSAFEPATH=1", python, "-m", "devices.worker"]
    # Not ControlMaster: a connection that others share is used, but none is left behind.
    settings = [
        "BatchMode=yes",
        "ControlMaster=no",
        "ClearAllForwardings=yes",
        "RemoteCommand=none",
    ]
    times = ["ConnectTimeout=15", "ServerAliveInterval=15", "ServerAliveCountMax=4"]
    return [
        *(ssh, "-T", "-a", "-x"),
        *(word for setting in settings for word in ("-o", setting)),
        *options,
        *(word for setting in times for word in ("-o", setting)),
        *address.words[:-1],
        *("--", address.words[-1], shlex.join(there)),
    ]
