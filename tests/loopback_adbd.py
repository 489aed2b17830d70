"""A simulated phone that the real adb reaches over loopback, and an adb server of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest
from loopback_faults import OPEN, Fault, Faults
from loopback_link import NO_CHECKSUMS, Link, Stream
from loopback_phone import SANDBOX, Phone, PhoneState
from loopback_services import shell, sync

if TYPE_CHECKING:
    from stand_in_benchmark_model import BenchmarkServer

HOST = "127.0.0.1"
MISSING = "needs adb: apt-get install adb, or pip install adbutils"
_MARK = "LUTIER_LOOPBACK_PHONE"
"""Variable that all processes of a phone have."""
_CALL_S = 30.0
_T = TypeVar("_T")


class LoopbackPhone:
    """A running phone, which listens on a port of 127.0.0.1.

    Args:
        phone: what it is.
        folder: that is its ``/``; made.
        benchmark: runs what its ``benchmark_model`` is asked to run.

    Attributes:
        serial: to call it by, once ``adb connect`` was given the same.
        sandbox: where its ``/data/local/tmp`` lies.
        state: what can change about it.
        commands: that its shell was given, the oldest first.
        pushed: paths of the files it was sent, the oldest first.
    """

    def __init__(
        self, phone: Phone, folder: Path, benchmark: BenchmarkServer | None = None
    ) -> None:
        self.phone = phone
        self.root = folder
        self.state = PhoneState(phone, folder)
        self.sandbox = self.state.path(SANDBOX)
        self.faults = Faults()
        self.commands: list[str] = []
        self.pushed: list[str] = []
        self.version = NO_CHECKSUMS - phone.old
        self.payload = 4096 if phone.old else 1024 * 1024
        self.banner = _banner(phone)
        self._benchmark = benchmark
        self._until: dict[str, float] = {}
        self._actions: list[tuple[str, Callable[[], object]]] = []
        self._links: set[Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        # Bound for as long as the phone lives: nobody else gets the port while nobody listens.
        self._port = _reusable_socket(0)
        self.serial = f"{HOST}:{self._port.getsockname()[1]}"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=self.serial)
        self._thread.start()
        self._wait_for(self._listen())

    def __enter__(self) -> LoopbackPhone:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def inject(self, fault: Fault) -> None:
        """Let something go wrong, now or when it is time."""
        if not fault.at_once:
            self.faults.add(fault)
        elif threading.current_thread() is self._thread:
            self.begin(fault)
        else:
            self._in_loop(lambda: self.begin(fault))

    def when(self, matching: str, action: Callable[[], object]) -> None:
        """Have something done, once, before a command runs that has this text in it."""
        self._actions.append((matching, action))

    def restart(self, seconds: float = 0.0) -> None:
        """Reboot: every link and program ends, faults do too, files and settings stay.

        Args:
            seconds: for which it then lets nobody in.
        """
        self.faults.clear()
        self._until.clear()
        if seconds:
            self._in_loop(lambda: self.begin(Fault("offline", seconds=seconds)))
        else:
            self._in_loop(self._drop_links)
        self._kill_programs()

    def close(self) -> None:
        """End it and all it has started."""
        if not self._thread.is_alive():
            return
        self._wait_for(self._end())
        self._kill_programs()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CALL_S)
        self._loop.close()
        self._port.close()

    # What links and services ask of it; all in its own thread.

    def seconds_left(self, kind: str) -> float:
        """How long a fault of the link still lasts."""
        return max(0.0, self._until.get(kind, 0.0) - time.monotonic())

    def accepts(self, service: str) -> bool:
        """Whether a service is opened."""
        if self.faults.strike(OPEN, service):
            return False
        name = service.partition(":")[0].split(",")
        if name[0] == "shell":
            return "v2" not in name or not self.phone.old
        return name[0] in ("exec", "sync")

    async def serve(self, stream: Stream, service: str) -> None:
        """Do what a service does, until it is done."""
        name, _, command = service.partition(":")
        if name == "sync":
            await sync(self, stream)
        else:
            v2 = "v2" in name.split(",")
            await shell(self, stream, command, v2=v2, cooked=name == "shell")

    def begin(self, fault: Fault) -> None:
        """Start a fault of the link."""
        self._until[fault.kind] = time.monotonic() + fault.seconds
        if fault.kind == "offline" and self._server is not None:
            self._server.close()
            self._server = None
            task = self._loop.create_task(self._listen(fault.seconds))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._drop_links()

    def before(self, command: str) -> None:
        """Do what was to be done before this command."""
        due = [pair for pair in self._actions if pair[0] in command]
        for pair in due:
            self._actions.remove(pair)
            pair[1]()

    def environment(self) -> dict[str, str]:
        """Variables of its commands."""
        stand_in = {} if self._benchmark is None else {"LUTIER_STAND_IN": self._benchmark.address}
        return {
            "PATH": f"{self.root}/system/bin:{os.environ.get('PATH', os.defpath)}",
            "HOME": "/",
            "LC_ALL": "C",
            "TMPDIR": str(self.sandbox),
            _MARK: str(self.root),
            **stand_in,
        }

    def died(self, token: str) -> bool:
        """Whether a stand-in has died as it was told to."""
        return self._benchmark is not None and token in self._benchmark.deaths

    async def _listen(self, after: float = 0.0) -> None:
        await asyncio.sleep(after)
        listening = _reusable_socket(self._port.getsockname()[1])
        self._server = await asyncio.start_server(self._take, sock=listening)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = Link(self, reader, writer)
        self._links.add(link)
        try:
            await link.run()
        except asyncio.CancelledError:
            # The phone ends; a server of Python 3.11 would complain.
            return
        finally:
            self._links.discard(link)

    def _drop_links(self) -> None:
        for link in list(self._links):
            link.drop()

    def _kill_programs(self) -> None:
        mark = f"{_MARK}={self.root}".encode()
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    os.kill(int(folder.name), signal.SIGKILL)
            except OSError:
                # It has ended, or is another user's.
                continue

    async def _end(self) -> None:
        if self._server is not None:
            self._server.close()
        self._drop_links()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # Transports close in the next turn.
        await asyncio.sleep(0)

    def _in_loop(self, call: Callable[[], object]) -> None:
        async def run() -> None:
            call()

        self._wait_for(run())

    def _wait_for(self, work: Coroutine[None, None, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_CALL_S)


def _banner(phone: Phone) -> bytes:
    facts = [
        f"ro.product.name={phone.product}",
        f"ro.product.model={phone.model}",
        f"ro.product.device={phone.product}",
    ]
    if phone.features:
        facts.append(f"features={','.join(phone.features)}")
    return ("device::" + ";".join(facts)).encode()


def _reusable_socket(port: int) -> socket.socket:
    """A socket that is bound to a port of 127.0.0.1 which others like it may be bound to, too."""
    # Named TCP by its number, or asyncio would not turn off the waiting for more to send.
    opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    opened.bind((HOST, port))
    return opened


@dataclass(frozen=True)
class AdbServer:
    """A running adb server.

    Attributes:
        program: of adb.
        port: that the server listens on.
        variables: with which adb finds this server, and no other phones.
    """

    program: Path
    port: int
    variables: dict[str, str]

    def environment(self) -> dict[str, str]:
        """The variables of this process, and those of the server."""
        other = ("ADB_", "ANDROID_")
        own = {name: value for name, value in os.environ.items() if not name.startswith(other)}
        return own | self.variables

    def run(self, *arguments: str, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run adb, whatever it ends with."""
        return subprocess.run(
            [self.program, *arguments],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )

    def connect(self, phone: LoopbackPhone) -> str:
        """Connect a phone, and wait until it is there; its serial."""
        said = self.run("connect", phone.serial).stdout
        self.await_state(phone, "device", said)
        return phone.serial

    def await_state(self, phone: LoopbackPhone, state: str, said: str = "") -> None:
        """Wait until adb calls a phone ``device``, ``offline`` or ``unauthorized``."""
        deadline = time.monotonic() + 20
        while f"{phone.serial}\t{state}\n" not in (listed := self.run("devices").stdout):
            if time.monotonic() > deadline:
                pytest.fail(f"{phone.serial} does not become {state}: {said} {listed}")
            time.sleep(0.05)


def find_adb() -> Path | None:
    """The adb of the system, or else the one that adbutils brings."""
    found = shutil.which("adb")
    if found is None:
        try:
            import adbutils
        except ImportError:
            return None
        found = adbutils.adb_path()
    return Path(found)


@contextmanager
def adb_server(folder: Path) -> Iterator[AdbServer]:
    """Run an adb server of its own until the end of the block; a named skip where there is no adb.

    Args:
        folder: for its keys and its log; made.
    """
    program = find_adb()
    if program is None:
        pytest.skip(MISSING)
    folder.mkdir(parents=True)
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = int(probe.getsockname()[1])
    variables = {
        "ANDROID_ADB_SERVER_PORT": str(port),
        "HOME": str(folder),
        "ANDROID_USER_HOME": str(folder / ".android"),
        "TMPDIR": str(folder),
        "ADB_MDNS": "0",
        "ADB_MDNS_OPENSCREEN": "0",
        # Without it a machine that has no USB is looked at for seconds.
        "ADB_LIBUSB": "0",
        # Below the first port of an emulator: none is looked for.
        "ADB_LOCAL_TRANSPORT_MAX_PORT": "5554",
    }
    server = AdbServer(program, port, variables)
    # Phones on USB are not for tests; versions that cannot be told so start the other way.
    started = server.run("--one-device", "none", "start-server")
    if started.returncode != 0:
        started = server.run("start-server")
    if started.returncode != 0:
        pytest.fail(f"no adb server: {started.stdout}{started.stderr}")
    try:
        yield server
    finally:
        server.run("kill-server")
