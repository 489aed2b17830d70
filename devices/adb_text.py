"""What ``adb`` prints: which phones are attached, what went wrong, and what to do about it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from devices.errors import DeviceError, LinkLostError
from devices.ssh_trouble import shown

STATES = (
    "device",
    "offline",
    "unauthorized",
    "authorizing",
    "connecting",
    "no permissions",
    "detached",
    "recovery",
    "rescue",
    "sideload",
    "bootloader",
    "host",
    "unknown",
)
"""The states of a phone that adb has words for."""

_HEADER = "List of devices attached"
_WITH_TAB = re.compile(r"(?P<serial>[^\t]+)\t\s*(?P<state>no permissions|[^\s;]+)(?P<rest>.*)")
_WITH_SPACES = re.compile(rf"(?P<serial>\S.*?)\s+(?P<state>{'|'.join(STATES)})(?P<rest>[\s;(].*|)")
_OTHER_STATE = re.compile(r"(?P<serial>\S+)\s+(?P<state>\S+)(?P<rest>(?:\s+[a-z_]+:\S+)+)")
_ASIDE = re.compile(r"\[[^\]]*\]|\([^)]*\)")
_FACT = re.compile(r"(?:^|\s)([a-z_]+):(\S+)")
_KEPT_OF_A_LINE = 300


@dataclass(frozen=True)
class Attached:
    """A phone as ``adb devices -l`` lists it.

    Attributes:
        serial: what ``adb -s`` takes: a serial number, or ``HOST:PORT``.
        state: one of :data:`STATES`, or a word of a newer adb.
        facts: what else is said of it: ``product``, ``model``, ``device``, ``transport_id``, ...
    """

    serial: str
    state: str
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def model(self) -> str:
        """What it is sold as, such as ``Pixel 7``; empty where the phone does not say."""
        return self.facts.get("model", "").replace("_", " ")


def parse_devices(text: str) -> tuple[Attached, ...]:
    """Read the output of ``adb devices``, with ``-l`` or without; other lines are passed over."""
    listed = text.rpartition(_HEADER)[2]
    return tuple(each for line in listed.split("\n") if (each := _parse_line(line)) is not None)


def _parse_line(line: str) -> Attached | None:
    # A TAB is all that tells the columns of the short form apart.
    line = "".join(letter if letter == "\t" else shown(letter) for letter in line).strip()
    if not line or line.startswith(("*", "error:", "adb:", "adb server")):
        return None
    found = (
        _WITH_TAB.fullmatch(line) or _WITH_SPACES.fullmatch(line) or _OTHER_STATE.fullmatch(line)
    )
    if found is None:
        return None
    facts = dict(_FACT.findall(_ASIDE.sub(" ", found["rest"])))
    return Attached(found["serial"].strip(), found["state"], facts)


@dataclass(frozen=True)
class _Saying:
    """Words of adb or of the phone, what they mean, and what to type.

    Attributes:
        pattern: of the end of a line, whatever stands before it and a colon.
        meaning: continues the name of the phone.
        hint: with the placeholder ``{adb}``; or ``@STATE``, for what :func:`advice` says of it.
        is_link: whether the way to the phone broke, so that the same may work again.
    """

    pattern: str
    meaning: str
    hint: str
    is_link: bool = False


# The first that is found counts: what says more stands before what says less.
_SAYINGS = (
    # The phone's storage
    _Saying(
        r"no space left on device|disk quota exceeded",
        "has no room left",
        "{adb} shell rm -r /data/local/tmp/lutier, or free some space on the phone",
    ),
    _Saying(
        r"read-only file system",
        "does not let that folder be written to: it is read-only",
        "a folder under /data/local/tmp",
    ),
    # This machine and its adb
    _Saying(
        r"insufficient permissions for device.*|no permissions\b.*|usb permission failure.*"
        r"|access denied \(insufficient permissions\)",
        "is plugged in, and this user may not use it",
        "@no permissions",
    ),
    _Saying(
        r"more than one (?:device|emulator).*",
        "names more than one phone",
        "adb devices -l, and unplug the other, or reach one of them by its address",
    ),
    _Saying(
        r"unknown command .*|unrecognized (?:command|option).*",
        "was asked for what this adb does not know",
        "a newer adb: pip install 'lutier[android]', and no older one on the PATH",
    ),
    _Saying(
        r"cannot connect to daemon.*|failed to (?:start daemon|check server version).*"
        r"|adb server didn't ack.*|could not read ok from adb server.*"
        r"|could not install \*smartsocket\* listener.*|(?:adb )?server killed by remote request",
        "cannot be asked: the adb server of this machine does not answer",
        "adb kill-server, then adb start-server, which says why",
        is_link=True,
    ),
    # Pairing and connecting
    _Saying(
        r"wrong password or connection was dropped\.?",
        "did not accept the pairing code",
        "the address and the code that the phone shows now, under Wireless debugging, Pair device"
        " with pairing code; both are new each time",
    ),
    _Saying(
        r"unable to (?:start|create) pairing client.*|successfully paired but server .*",
        "could not be paired",
        "the same again, with the code the phone shows then",
    ),
    _Saying(
        r"failed to authenticate to .*",
        "has not accepted this machine yet",
        "@unauthorized",
        is_link=True,
    ),
    _Saying(
        r"failed to resolve host.*|(?:could not|cannot|unable to) resolve.*"
        r"|name or service not known|no host in .*|no port in .*|bad port number.*"
        r"|empty (?:host|address).*|failed to parse address.*",
        "has an address that leads nowhere",
        "the address that the phone shows under Wireless debugging, such as 192.0.2.7:37099",
    ),
    _Saying(
        r"connection refused",
        "does not listen there",
        "is Wireless debugging on? The phone shows the port there, a new one each time; or,"
        " over a cable first, adb tcpip 5555",
        is_link=True,
    ),
    _Saying(
        r"(?:failed|unable|cannot) to connect to .*|cannot connect to .*|no route to host"
        r"|network is unreachable|(?:connection|operation) timed out",
        "cannot be reached",
        "is the phone awake, and in the same network?",
        is_link=True,
    ),
    # The way to the phone
    _Saying(
        r"device unauthorized\.?", "has not accepted this machine", "@unauthorized", is_link=True
    ),
    _Saying(
        r"device still authorizing", "is still asking for its key", "@authorizing", is_link=True
    ),
    _Saying(r"device still connecting", "is still connecting", "@connecting", is_link=True),
    _Saying(
        r"(?:device|transport|emulator) offline(?: \(.*\))?", "is offline", "@offline", is_link=True
    ),
    _Saying(
        r"device (?:'.*' )?not found|no devices(?:/emulators)? found|no emulators found"
        r"|no such device.*|device disconnected",
        "is not attached",
        "@absent",
        is_link=True,
    ),
    _Saying(
        r"closed|protocol fault.*|connection reset(?: by peer)?|connection (?:closed|aborted)"
        r"|broken pipe|(?:unexpected )?eof|couldn't read from device"
        r"|failed to read copy response.*|failed to read response from server",
        "went away in the middle of it",
        "the same command again; where it stays so, another cable or port",
        is_link=True,
    ),
    # Files
    _Saying(
        r"failed to stat remote object .*",
        "does not have that file",
        "{adb} shell ls -l /data/local/tmp",
    ),
    _Saying(
        r"permission denied|operation not permitted",
        "does not allow that",
        "a folder under /data/local/tmp",
    ),
    _Saying(
        r"no such file or directory|not a directory",
        "was to work on a file or folder that is not there",
        "{adb} shell ls -l /data/local/tmp",
    ),
)
_PREFIX = re.compile(r"^(?:(?:adb(?:\.exe)?|error): )+", re.I)
# A line of daemon news, which is no reason for anything.
_NEWS = re.compile(r"\* daemon (?:not running|started)|adb server (?:version|is out of date)", re.I)


def explain(serial: str, said: str) -> DeviceError:
    """What adb said, as an error with what to do about it.

    Args:
        serial: of the phone that was asked; empty where adb itself was.
        said: what adb printed.

    Returns:
        :class:`~devices.errors.LinkLostError` where the way to the phone broke, so that the same
        may work again; another :class:`~devices.errors.DeviceError` where it will not.
    """
    return recognised(serial, said) or DeviceError(
        f"{_name(serial)} did not do what was asked",
        last_words(said),
        "adb devices -l, and the same command again",
    )


def recognised(serial: str, said: str) -> DeviceError | None:
    """The error of :func:`explain` where adb said something known."""
    lines = _lines(said)
    for saying in _SAYINGS:
        pattern = re.compile(rf"(?:.*[:\]*] |.*\bremote )?(?:{saying.pattern})", re.I)
        for line in reversed(lines):
            if pattern.fullmatch(line):
                kind = LinkLostError if saying.is_link else DeviceError
                name = _name(serial)
                return kind(f"{name} {saying.meaning}", line, _hint(saying.hint, serial))
    return None


def last_words(said: str) -> str:
    """The last line that says something, fit to be shown; empty where there is none."""
    lines = _lines(said)
    return lines[-1] if lines else ""


def state_said(said: str) -> str:
    """The state of a phone by the refusal of adb to ask it; empty where that names none."""
    for pattern, state in (
        (r"not found|no devices/emulators found|no such device", "absent"),
        (r"offline", "offline"),
        (r"unauthorized", "unauthorized"),
        (r"still authorizing", "authorizing"),
        (r"still connecting", "connecting"),
        (r"insufficient permissions|no permissions|USB permission failure", "no permissions"),
    ):
        if any(re.search(pattern, line, re.I) for line in _lines(said)):
            return state
    return ""


def advice(state: str, serial: str) -> tuple[str, str]:
    """What stands in the way of a phone in a state, and what to do next; empty for ``device``."""
    if state == "device":
        return "", ""
    if state == "absent":
        if is_address(serial):
            return "it is not connected", f"adb connect {shlex.quote(shown(serial))}"
        return (
            "it is not attached",
            "plug it in, and switch USB debugging on in its developer options",
        )
    obstacle, act = _ADVICE.get(
        state,
        (f"adb calls it {last_words(state) or 'nothing'}", "unplug it, plug it in, wait a moment"),
    )
    return obstacle, _filled(act, serial)


_ADVICE = {
    "unauthorized": (
        "it has not accepted this machine",
        "unlock the phone and accept the prompt on its screen (Always allow from this computer);"
        " where none appears, {adb} reconnect",
    ),
    "authorizing": ("it is being asked for its key", "unlock the phone, and wait a moment"),
    "connecting": ("it is still connecting", "wait a moment; then {adb} reconnect"),
    "offline": (
        "it is attached and does not answer",
        "wake the phone, then adb reconnect offline; where it stays so, another cable or port",
    ),
    "no permissions": (
        "this user may not open its USB port",
        "sudo apt-get install android-sdk-platform-tools-common (its udev rules),"
        " sudo usermod -aG plugdev $USER, log in again, adb kill-server, and plug it in again",
    ),
    "detached": ("the adb server let go of it", "{adb} attach"),
    "recovery": ("it is in recovery, not in Android", "{adb} reboot, and wait until it is up"),
    "rescue": ("it is in rescue mode, not in Android", "{adb} reboot, and wait until it is up"),
    "sideload": ("it waits for an update", "{adb} reboot, and wait until it is up"),
    "bootloader": ("it is in its boot loader", "fastboot reboot, and wait until it is up"),
    "host": ("it is no phone, but another adb", "name another one of adb devices -l"),
}


def is_address(serial: str) -> bool:
    """Whether a phone is reached over a network: its serial is ``HOST:PORT``."""
    return re.fullmatch(r"(?:\[[\w:.%]+\]|[^\s:]+):\d{1,5}", serial) is not None


def _hint(hint: str, serial: str) -> str:
    if hint.startswith("@"):
        return advice(hint[1:], serial)[1]
    return _filled(hint, serial)


def _filled(hint: str, serial: str) -> str:
    # Not str.format: a serial may hold braces.
    return hint.replace("{adb}", f"adb -s {shlex.quote(shown(serial))}" if serial else "adb")


def _name(serial: str) -> str:
    return shown(serial)[:80] or "adb"


def _lines(said: str) -> list[str]:
    lines = (" ".join(shown(line).split()) for line in said.splitlines())
    told = (_PREFIX.sub("", line).rstrip(".") for line in lines if not _NEWS.match(line))
    return [line[-_KEPT_OF_A_LINE:] for line in told if line]
