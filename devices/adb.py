"""Adb: the program that reaches Android phones, called so that nothing fails unseen."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import math
import os
import re
import secrets
import selectors
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from devices.adb_text import (
    Attached,
    advice,
    explain,
    is_address,
    last_words,
    parse_devices,
    recognised,
    state_said,
)
from devices.errors import (
    DeviceError,
    InputError,
    LinkLostError,
    MissingExtraError,
    UnparsableOutputError,
)

CALL_SECONDS = 30.0
"""For a call that is quickly done; adb itself gives up on an address after 10 s."""
SERVER_SECONDS = 30.0
"""For the adb server of this machine to start."""
CONNECT_SECONDS = 10.0
"""For a phone that was connected to become ready: it may have to ask the person who holds it."""
BOUND_MARGIN_SECONDS = 10.0
"""How much longer than a bound on the phone its answer is waited for here."""
_SHORTEST_SECONDS = 5.0
"""For one question of several, however little is left for all of them."""
_POLL_SECONDS = 0.3
_FIRST_RECONNECT_SECONDS = 1.0
_RECONNECT_SECONDS = 3.0
"""Between two calls to a phone that is offline: what was begun needs a moment."""
_CLEAN_UP_SECONDS = 10.0
_PART = 65536
_SLOWEST_BYTES_PER_SECOND = 1e7
_MOST_BYTES = 64 * 2**20
_NO_SUCH_COMMAND = (126, 127)
_INSTALL = "apt-get install adb, or pip install 'lutier[android]'"
_ABORTED = (-signal.SIGABRT, 128 + signal.SIGABRT)


@dataclass(frozen=True)
class Reply:
    """What a command on the phone did.

    Attributes:
        output: of its standard output and standard error together.
        status: its exit status; 128 and more for a signal.
    """

    output: str
    status: int


@dataclass(frozen=True)
class _Ended:
    """A call of adb that came to its end, with its two outputs."""

    status: int
    output: str
    said: str


class Adb:
    """The ``adb`` program of this machine, and through it the phones attached.

    Every call names its phone, has a deadline, and is a list of arguments that no shell of this
    machine reads. The exit status of adb is never believed alone: some versions end with 0 when the
    way to the phone breaks.

    Args:
        program: path of adb.
    """

    def __init__(self, program: str | Path) -> None:
        self._program = str(program)

    @classmethod
    def find(cls) -> Adb:
        """The adb that ``LUTIER_ADB`` names, else the one on the PATH, else that of adbutils.

        Raises:
            InputError: ``LUTIER_ADB`` names nothing that can be run.
            MissingExtraError: there is none.
        """
        if named := os.environ.get("LUTIER_ADB"):
            found = shutil.which(Path(named).expanduser())
            if found is None:
                raise InputError(
                    f"LUTIER_ADB is {named!r}",
                    "there is no program that can be run",
                    "the path of adb, or unset LUTIER_ADB",
                )
            return cls(found)
        if found := shutil.which("adb"):
            return cls(found)
        try:
            adbutils = importlib.import_module("adbutils")
        except ImportError as error:
            raise _not_installed("neither on the PATH nor by adbutils") from error
        try:
            return cls(adbutils.adb_path())
        except adbutils.AdbError as error:
            raise _not_installed("adbutils brings none for this machine") from error

    @property
    def program(self) -> str:
        """Path of adb."""
        return self._program

    def version(self) -> str:
        """Of adb, such as ``36.0.0-13206524``.

        Raises:
            UnparsableOutputError: it is no adb.
        """
        ended = self._run(["version"], CALL_SECONDS, "")
        found = re.search(r"^Version (\S+)", ended.output, re.M) or re.search(
            r"Android Debug Bridge version (\S+)", ended.output
        )
        if found is None:
            raise UnparsableOutputError(
                f"{self._program} does not tell its version",
                last_words(ended.output + ended.said) or "it printed nothing",
                "LUTIER_ADB=/path/to/adb before the same command",
            )
        return found[1]

    def devices(self) -> tuple[Attached, ...]:
        """The phones attached, in whatever state.

        Raises:
            DeviceError: adb cannot be asked.
        """
        ended = self._call(["devices", "-l"], CALL_SECONDS)
        if ended.status != 0:
            raise explain("", ended.said or ended.output)
        return parse_devices(ended.output)

    def connect(self, address: str) -> None:
        """Connect to a phone over the network, and wait until it is ready.

        Args:
            address: ``HOST`` or ``HOST:PORT``.

        Raises:
            InputError: an address that cannot be one.
            DeviceError: nothing listens there, or the phone has not accepted this machine.
        """
        _check_serial(address)
        ended = self._call(["connect", address], CALL_SECONDS, address)
        # adb ends with 0 here whatever happened.
        if not re.search(r"^(?:already )?connected to ", ended.output, re.M):
            raise explain(address, f"{ended.said}\n{ended.output}")
        self.wait(address, CONNECT_SECONDS)

    def pair(self, address: str, code: str) -> None:
        """Pair with a phone that shows a code, once and for all; afterwards it can be connected to.

        Args:
            address: ``HOST:PORT`` as the phone shows it beside the code.
            code: six digits.

        Raises:
            InputError: an address without a port, or a code that is not six digits.
            DeviceError: the phone did not accept the code.
        """
        _check_serial(address)
        if not is_address(address):
            raise InputError(
                f"{address} names no port",
                hint="the address beside the pairing code, such as 192.0.2.7:37099",
            )
        if re.fullmatch(r"[0-9]{6}", code) is None:
            # Not the code itself: it may be one that is mistyped by a letter.
            raise InputError(
                "a pairing code has six digits",
                hint="the code on the phone, under Wireless debugging, Pair device with pairing"
                " code",
            )
        ended = self._call(["pair", address, code], CALL_SECONDS, address)
        if not re.search(r"^Successfully paired to ", ended.output, re.M):
            said = f"{ended.said}\n{ended.output}".replace(code, "CODE")
            error = explain(address, said)
            if "protocol fault" in error.why:
                # All that adb says where nobody listens.
                raise DeviceError(
                    f"{address} could not be paired",
                    error.why,
                    "the address and the code that the phone shows now; both are new each time",
                )
            raise error

    def state(self, serial: str) -> str:
        """``device`` where a phone is ready, else ``offline``, ``unauthorized``, ``absent``, ...

        Raises:
            InputError: a serial that cannot be one.
            DeviceError: adb cannot be asked, or the serial names two phones.
        """
        return self._state(serial, CALL_SECONDS)

    def _state(self, serial: str, seconds: float) -> str:
        ended = self._call(["-s", _check_serial(serial), "get-state"], seconds, serial)
        if ended.status == 0 and (state := ended.output.strip()):
            return state
        said = f"{ended.output}\n{ended.said}"
        if state := state_said(said):
            return state
        raise explain(serial, said)

    def wait(self, serial: str, seconds: float) -> None:
        """Wait until a phone is ready, and call it back meanwhile; someone may accept its prompt.

        Args:
            serial: of the phone.
            seconds: to wait at the most.

        Raises:
            InputError: a serial that cannot be one.
            LinkLostError: it did not come back.
            DeviceError: the serial names two phones.
        """
        start = time.monotonic()
        called, pause = start, _FIRST_RECONNECT_SECONDS
        state, why = "", ""
        while True:
            try:
                left = start + seconds - time.monotonic()
                state = self._state(serial, min(CALL_SECONDS, max(_SHORTEST_SECONDS, left)))
            except LinkLostError as error:
                # The adb server ended under the question; the next one starts it again.
                why, hint = error.why, error.hint
            else:
                if state == "device":
                    return
                why, hint = advice(state, serial)
            left = start + seconds - time.monotonic()
            if left <= 0:
                raise LinkLostError(
                    f"{serial} is not ready after {time.monotonic() - start:.0f} s", why, hint
                )
            if time.monotonic() - called >= pause:
                self._call_back(serial, state, left)
                called = time.monotonic()
                pause = _RECONNECT_SECONDS if state == "offline" else _FIRST_RECONNECT_SECONDS
            time.sleep(min(_POLL_SECONDS, max(0.0, start + seconds - time.monotonic())))

    def _call_back(self, serial: str, state: str, seconds: float) -> None:
        """Make a phone that was lost come back where adb does not do so by itself."""
        limit = min(seconds, CALL_SECONDS)
        with contextlib.suppress(LinkLostError):
            if state == "absent" and is_address(serial):
                self._call(["connect", serial], limit, serial)
            elif state == "offline":
                self._call(["-s", serial, "reconnect"], limit, serial)

    def run(
        self,
        serial: str,
        *commands: Sequence[str],
        timeout_s: float,
        cwd: str | None = None,
        bound: bool = False,
    ) -> list[Reply]:
        """Run commands on a phone, one after the other, in one visit.

        A command after one that failed still runs. Each ends with a mark that the phone prints, so
        that a link that broke is never taken for a command that said nothing.

        Args:
            serial: of the phone.
            *commands: lists of a program and its arguments; the shell there reads no word of them.
            timeout_s: for all of them together. adb is ended then; what runs on the phone may not
                be.
            cwd: the folder there that each of them runs in.
            bound: whether the phone itself ends each command after ``timeout_s``, with status 124
                (137 where it had to be killed); it is waited a little longer for here. Needs
                ``timeout`` on the phone: Android 8 and newer have it.

        Returns:
            What each did, in their order.

        Raises:
            InputError: a serial, folder or command that cannot be one.
            LinkLostError: the way to the phone broke, or it did not answer in time.
            DeviceError: adb cannot reach it.
        """
        _check_serial(serial)
        if not commands:
            return []
        nonce = secrets.token_hex(8)
        limit = timeout_s
        prefix: list[str] = []
        if bound:
            prefix = ["timeout", "-k", "5", str(math.ceil(timeout_s))]
            limit = timeout_s + BOUND_MARGIN_SECONDS
        line = "; ".join(
            _marked([*prefix, *_check_command(command)], nonce, number, cwd)
            for number, command in enumerate(commands)
        )
        # No -T: adb gives a command no terminal, and refuses -T for phones before Android 7.
        ended = self._call(["-s", serial, "shell", "-n", line], limit, serial)
        replies = _marked_replies(ended.output, nonce)
        if len(replies) == len(commands):
            return replies
        raise recognised(serial, ended.said) or LinkLostError(
            f"{serial} went away while it was to run {commands[len(replies)][0]}",
            last_words(ended.said) or f"adb ended with status {ended.status} and no answer of it",
            "the same command again; where it stays so, another cable or port",
        )

    def push(self, serial: str, local: Path, remote: str, *, timeout_s: float) -> None:
        """Bring a file to a phone, whole or not at all.

        It is sent under another name, compared there with what it is here, and only then given its
        name.

        Args:
            serial: of the phone.
            local: the file.
            remote: its absolute path on the phone; what was there is replaced.
            timeout_s: for sending it.

        Raises:
            InputError: no such file, or a path on the phone that cannot be one.
            LinkLostError: the way to the phone broke, or the file came through cut short.
            DeviceError: the phone has no room, or does not let that folder be written to.
        """
        _check_serial(serial)
        _check_path(remote)
        try:
            with local.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                size = file.tell()
        except OSError as error:
            raise InputError(f"cannot read {local}", str(error)) from error
        partial = f"{remote}.{secrets.token_hex(8)}"
        try:
            # Absolute: a name that starts with a dash would be read as an option.
            ended = self._call(
                ["-s", serial, "push", str(local.absolute()), partial], timeout_s, serial
            )
            if ended.status != 0:
                raise _push_failed(serial, remote, ended)
            self._compare(serial, partial, remote, digest, size)
            (moved,) = self.run(serial, ["mv", "-f", partial, remote], timeout_s=CALL_SECONDS)
            if moved.status != 0:
                raise explain(serial, moved.output)
        except DeviceError:
            with contextlib.suppress(DeviceError):
                self.run(serial, ["rm", "-f", partial], timeout_s=_CLEAN_UP_SECONDS)
            raise

    def _compare(self, serial: str, partial: str, remote: str, digest: str, size: int) -> None:
        """Hold a file on the phone against what was sent: old versions of adb report no failure."""
        hashed, counted, folder = self.run(
            serial,
            ["sha256sum", partial],
            ["wc", "-c", partial],
            ["test", "-d", remote],
            timeout_s=CALL_SECONDS + size / _SLOWEST_BYTES_PER_SECOND,
        )
        if folder.status == 0:
            raise DeviceError(f"{remote} is a folder on {serial}", hint="the path of a file")
        there = re.match(r"\s*(\d+)", counted.output) if counted.status == 0 else None
        if there is None:
            raise DeviceError(
                f"{serial} did not keep {remote}",
                f"it was sent, and: {last_words(counted.output)}",
                "a folder under /data/local/tmp",
            )
        found = re.match(r"\\?([0-9a-f]{64})\b", hashed.output)
        if hashed.status in _NO_SUCH_COMMAND:
            same = int(there[1]) == size
        else:
            same = found is not None and found[1] == digest
        if not same:
            raise LinkLostError(
                f"{serial} has another {remote} than was sent",
                f"{there[1]} bytes of {size} are there"
                if int(there[1]) != size
                else "its sha256 is another",
                "the same command again",
            )

    def _call(self, arguments: list[str], seconds: float, serial: str = "") -> _Ended:
        """Run adb with its server up.

        The server is started by a call of its own: neither its start counts as time of the phone,
        nor does a call that is cut short end a server in the middle of its start.
        """
        self._run(["start-server"], SERVER_SECONDS, "")
        return self._run(arguments, seconds, serial)

    def _run(self, arguments: list[str], seconds: float, serial: str) -> _Ended:
        try:
            # A session of its own: Ctrl-C in the terminal is for this process to handle.
            process = subprocess.Popen(  # noqa: S603 - a list, not a line for a shell
                [self._program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise _cannot_run(self._program, str(error.strerror)) from error
        with process:
            output, said = bytearray(), bytearray()
            try:
                _listen(process, output, said, time.monotonic() + seconds)
            except BaseException as error:
                _end(process)
                if isinstance(error, TimeoutError):
                    raise _late(serial, seconds, _text(said) or _text(output)) from error
                if isinstance(error, OverflowError):
                    raise DeviceError(
                        f"{serial or 'adb'} printed more than {_MOST_BYTES // 2**20} MiB",
                        hint="a command that prints less",
                    ) from error
                raise
        if process.returncode in _NO_SUCH_COMMAND and not output:
            # Of its loader, or of a script in its place; for the phone a mark would have come.
            raise _cannot_run(self._program, last_words(_text(said)))
        return _Ended(process.returncode, _text(output), _text(said))


def _listen(
    process: subprocess.Popen[bytes], output: bytearray, said: bytearray, deadline: float
) -> None:
    """Take what a process prints until it has ended."""
    with selectors.DefaultSelector() as selector:
        for pipe, kept in ((process.stdout, output), (process.stderr, said)):
            if pipe is not None:
                selector.register(pipe, selectors.EVENT_READ, kept)
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            for key, _ in selector.select(left):
                part = os.read(key.fd, _PART)
                if not part:
                    selector.unregister(key.fileobj)
                key.data.extend(part)
            if len(output) + len(said) > _MOST_BYTES:
                raise OverflowError
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired as error:
        raise TimeoutError from error


def _end(process: subprocess.Popen[bytes]) -> None:
    """End adb and what it started; a server that is up has left its group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _marked(command: list[str], nonce: str, number: int, cwd: str | None) -> str:
    """A command for the phone's shell, and after it a line with its exit status.

    It runs in a shell of its own, and what it prints may end without a newline.
    """
    line = shlex.join(command)
    if cwd is not None:
        line = f"{shlex.join(['cd', _check_path(cwd)])} && {line}"
    mark = shlex.join(["echo", nonce, str(number)])
    return f"({line}) </dev/null 2>&1; status=$?; echo; {mark} $status"


def _marked_replies(output: str, nonce: str) -> list[Reply]:
    """What was printed, cut at its marks, as far as they came."""
    replies: list[Reply] = []
    start = 0
    while found := re.compile(rf"\n{nonce} {len(replies)} (\d+)\n").search(output, start):
        replies.append(Reply(output[start : found.start()], int(found[1])))
        start = found.end()
    return replies


def _push_failed(serial: str, remote: str, ended: _Ended) -> DeviceError:
    said = f"{ended.output}\n{ended.said}"
    if error := recognised(serial, said):
        return error
    if ended.status in _ABORTED:
        return LinkLostError(
            f"{serial} went away while it was to take {remote}",
            last_words(said),
            "the same command again; where it stays so, another cable or port",
        )
    return explain(serial, said)


def _late(serial: str, seconds: float, said: str) -> LinkLostError:
    if not serial:
        return LinkLostError(
            f"the adb server did not answer within {seconds:.0f} s",
            last_words(said),
            "adb kill-server, then adb start-server",
        )
    return LinkLostError(
        f"{serial} did not answer within {seconds:.0f} s",
        last_words(said),
        f"adb -s {shlex.quote(serial)} shell top -n 1; where that takes long too, reboot it",
    )


def _not_installed(why: str) -> MissingExtraError:
    return MissingExtraError("adb is not installed", why, _INSTALL)


def _cannot_run(program: str, why: str) -> MissingExtraError:
    return MissingExtraError(f"{program} cannot be run", why, _INSTALL)


def _text(printed: bytes | bytearray) -> str:
    """As text; a phone before Android 7 ends its lines as a terminal does."""
    return re.sub(r"\r+\n", "\n", printed.decode(errors="replace"))


def _check_serial(serial: str) -> str:
    if not serial or serial.startswith("-") or not serial.isprintable():
        raise InputError(
            f"no phone can be called {serial!r}", hint="a serial that adb devices -l shows"
        )
    return serial


def _check_path(path: str) -> str:
    """A path on the phone that adb and the shell there take for the same file."""
    if not path.startswith("/") or path.endswith("/") or not _can_be_sent(path):
        raise InputError(
            f"{path!r} is no path on a phone", hint="an absolute one: /data/local/tmp/lutier"
        )
    return path


def _check_command(command: Sequence[str]) -> Sequence[str]:
    if isinstance(command, str) or not command or not command[0]:
        raise InputError(f"{command!r} is no command", hint="a list of a program and its arguments")
    for word in command:
        if not _can_be_sent(word):
            raise InputError(f"{word!r} cannot be a word of a command")
    return command


def _can_be_sent(word: str) -> bool:
    """Whether a text can be an argument of a program: no NUL, no half characters."""
    try:
        return b"\0" not in os.fsencode(word)
    except UnicodeEncodeError:
        return False
