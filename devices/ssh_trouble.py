"""What went wrong with a machine that is reached through ssh, and what to type about it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from devices.errors import DeviceError
from devices.link import Ending
from devices.wire import lutier_version

_SSH_FAILED = 255
_NO_SUCH_COMMAND = (126, 127)


@dataclass(frozen=True)
class Place:
    """A machine and how it is reached, in the words that errors use.

    Attributes:
        name: of the device: ``ssh:pi@raspberry``.
        host: its name or address alone.
        ssh: what a person types to get there: ``ssh -p 2222 pi@raspberry``.
        python: the Python that is run there.
    """

    name: str
    host: str
    ssh: str
    python: str


# What OpenSSH's client says (ssh.c, sshconnect.c, sshconnect2.c, packet.c), what it means, and
# what to type. The first that is found counts.
_SAYINGS = (
    (
        r"REMOTE HOST IDENTIFICATION HAS CHANGED",
        "has another host key than before",
        "{ssh} to read the warning; where you know why it changed, ssh-keygen -R {host}",
    ),
    (
        r"Host key verification failed|No .+ host key is known for",
        "has a host key that is not known here",
        "{ssh} once, and compare the fingerprint it shows",
    ),
    (
        r"Permission denied|Too many authentication failures",
        "lets nobody in who has no key there",
        "{copy_id}; for a key with a passphrase, ssh-add",
    ),
    (
        r"Could not resolve hostname",
        "has a name that no address is known for",
        "check the spelling, write the address (ssh:USER@192.0.2.7) or name it in ~/.ssh/config",
    ),
    (
        r"Connection refused",
        "runs no ssh server on that port",
        "on that machine: sudo apt-get install openssh-server; or name the port: ssh:HOST:PORT",
    ),
    (
        r"timed out|No route to host|Network is unreachable|Host is down",
        "cannot be reached",
        "ping {host}; is it switched on, and in this network?",
    ),
    (
        r"Bad configuration option|terminating, \d+ bad configuration|Can't open user config file"
        r"|unknown option|illegal option|command-line:",
        "cannot be asked: ssh does not understand its options",
        "check LUTIER_SSH_OPTIONS and ~/.ssh/config with: {ssh}",
    ),
)


def no_greeting(place: Place, ending: Ending) -> DeviceError:
    """The error of a worker that never came to speak."""
    said = ending.said
    if ending.cause == "timeout":
        return DeviceError(
            f"{place.name} did not answer within {ending.seconds:.0f} s",
            _last_words(said),
            f"{place.ssh} true; if that takes long too, it is the network or the machine",
        )
    if ending.status in _NO_SUCH_COMMAND:
        return DeviceError(
            f"{place.name} has no {place.python} that can be run",
            _last_words(said),
            "LUTIER_SSH_PYTHON=/path/there/to/venv/bin/python before the same command; where"
            f" there is no Python at all, {place.ssh}, and there sudo apt-get install python3",
        )
    if "No module named" in said:
        return DeviceError(
            f"{place.python} on {place.name} has no Lutier, or an older one",
            _last_words(said, "No module named"),
            f"{install_there(place)}; where it is in an environment,"
            " LUTIER_SSH_PYTHON=/path/there/to/venv/bin/python before the same command",
        )
    if ending.status == _SSH_FAILED:
        for pattern, meaning, advice in _SAYINGS:
            if re.search(pattern, said):
                return DeviceError(
                    f"{place.name} {meaning}",
                    _last_words(said, pattern),
                    advice.format(
                        ssh=place.ssh,
                        host=place.host,
                        copy_id=place.ssh.replace("ssh", "ssh-copy-id", 1),
                    ),
                )
    return DeviceError(
        f"the worker on {place.name} did not start",
        f"{_last_words(said)} (exit status {ending.status})",
        f"by hand: {place.ssh} {place.python} -m devices.worker",
    )


def went_away(place: Place, ending: Ending) -> DeviceError:
    """The error of a worker that spoke, and then did not answer."""
    again = "the same command again: what was measured is stored"
    if ending.cause == "closed":
        return DeviceError(f"{place.name} is closed: it cannot {ending.doing}", hint=again)
    if ending.cause == "timeout":
        return DeviceError(
            f"{place.name} did not {ending.doing} within {ending.seconds:.0f} s",
            _last_words(ending.said),
            f"look at it with {place.ssh} top; then {again}",
        )
    if ending.cause == "flood":
        return DeviceError(
            f"{place.name} was to {ending.doing} and sent a line without an end", hint=again
        )
    return DeviceError(
        f"{place.name} went away while it was to {ending.doing}",
        f"{_last_words(ending.said)} (exit status of ssh: {ending.status})",
        again,
    )


def install_there(place: Place) -> str:
    """What to type to have this version of Lutier on that machine."""
    return (
        f"{place.ssh}, and there, in a checkout of Lutier {lutier_version()} and with Python 3.11"
        f" or newer, {place.python} -m pip install ."
    )


def shown(text: str) -> str:
    """A text of another machine as one line, without what would steer a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _last_words(said: str, pattern: str = "") -> str:
    """The last line that was said, or the last in which a pattern is found."""
    lines = [_plain(line) for line in said.splitlines()]
    lines = [line for line in lines if line]
    fitting = [line for line in lines if re.search(pattern, line)]
    return (fitting or lines or ["nothing was said on standard error"])[-1][:300]


def _plain(line: str) -> str:
    """A line without the frame of a warning."""
    return " ".join(shown(line).split()).strip("@ ").rstrip(".")
