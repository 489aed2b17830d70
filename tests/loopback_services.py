"""What a simulated phone does for its host: runs shell commands, and takes and gives files."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import stat
import struct
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Protocol

from loopback_faults import LINK, PUSH, SHELL, Fault, Faults
from loopback_link import Stream, StreamClosedError
from loopback_phone import SANDBOX

_CHUNK = 64 * 1024
_STDIN, _STDOUT, _STDERR, _EXIT, _CLOSE_STDIN = range(5)
"""Packets of the shell protocol."""
_PACKET = struct.Struct("<BI")
_SYNC = struct.Struct("<4sI")
_STAT_V1 = struct.Struct("<4sIII")
_STAT_V2 = struct.Struct("<4sIQQIIIIQqqq")
_MAPPED = (SANDBOX, "/sys/devices/system/cpu", "/sys/class/thermal")


class Device(Protocol):
    """What the services ask of the phone."""

    root: Path
    faults: Faults
    commands: list[str]
    pushed: list[str]

    def begin(self, fault: Fault) -> None:
        """Start a fault of the link."""

    def before(self, command: str) -> None:
        """Do what was to be done before this command."""

    def environment(self) -> dict[str, str]:
        """Variables of its commands."""

    def died(self, token: str) -> bool:
        """Whether a stand-in has died as it was told to."""


class Process:
    """A command that the phone runs."""

    def __init__(self, popen: subprocess.Popen[bytes], root: Path, *, merged: bool) -> None:
        self._popen = popen
        self._merged = merged
        self._root = str(root).encode()
        self._queue: asyncio.Queue[tuple[int, bytes] | None] = asyncio.Queue()
        self._transports: list[asyncio.BaseTransport] = []
        self._stdin: asyncio.WriteTransport | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def start(
        cls, command: str, root: Path, environment: Mapping[str, str], *, merged: bool
    ) -> Process:
        """Start a command.

        Args:
            command: with paths as they are on the phone; empty for a shell that reads its commands.
            root: folder that is the phone's ``/``.
            environment: its variables.
            merged: whether stdout and stderr are one.
        """
        for path in _MAPPED:
            command = command.replace(path, f"{root}{path}")
        popen = subprocess.Popen(
            ["/bin/sh", "-c", command] if command else ["/bin/sh"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merged else subprocess.PIPE,
            cwd=root,
            env=environment,
            start_new_session=True,
        )
        process = cls(popen, root, merged=merged)
        loop = asyncio.get_running_loop()
        process._stdin, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, popen.stdin)
        process._transports.append(process._stdin)
        for channel, pipe in ((_STDOUT, popen.stdout), (_STDERR, popen.stderr)):
            if pipe is not None:
                await process._listen(channel, pipe)
        return process

    async def _listen(self, channel: int, pipe: IO[bytes]) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), pipe
        )
        self._transports.append(transport)
        self._tasks.append(loop.create_task(self._read(channel, reader)))

    async def _read(self, channel: int, reader: asyncio.StreamReader) -> None:
        held = b""
        while data := await reader.read(_CHUNK):
            text = (held + data).replace(self._root, b"")
            # The path may go on in what comes next.
            ends = (n for n in range(len(self._root) - 1, 0, -1) if text.endswith(self._root[:n]))
            size = len(text) - next(ends, 0)
            text, held = text[:size], text[size:]
            if text:
                self._queue.put_nowait((channel, text))
        if held:
            self._queue.put_nowait((channel, held))
        self._queue.put_nowait(None)

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """What it prints, as it comes: channel and text."""
        left = len(self._tasks)
        while left:
            item = await self._queue.get()
            if item is None:
                left -= 1
            else:
                yield item

    async def status(self) -> int:
        """What it ends with, once it has: 128 and the signal where one has killed it."""
        while (code := self._popen.poll()) is None:
            await asyncio.sleep(0.002)
        return code if code >= 0 else 128 - code

    def write(self, data: bytes) -> None:
        """Give it input; empty at the end of it."""
        if self._stdin is None or self._stdin.is_closing():
            return
        if data:
            self._stdin.write(data)
        else:
            self._stdin.close()

    def close(self) -> None:
        """Listen no more; where it still runs, it hears that the host is gone.

        With the shell protocol only the shell hears it, not what the shell has started.
        """
        if self._popen.poll() is None:
            (os.killpg if self._merged else os.kill)(self._popen.pid, signal.SIGHUP)
            self._tasks.append(asyncio.get_running_loop().create_task(self._reap()))
        for transport in self._transports:
            transport.close()

    async def _reap(self) -> None:
        await self.status()


async def shell(device: Device, stream: Stream, command: str, *, v2: bool, cooked: bool) -> None:
    """Run a shell command.

    Args:
        device: the phone.
        stream: where its output goes.
        command: with paths as they are on the phone.
        v2: whether stdout, stderr and the status are told apart.
        cooked: whether lines end with CR LF, as on a terminal.
    """
    device.commands.append(command)
    device.before(command)
    faults = device.faults.strike(SHELL | LINK, command)
    for kind in LINK & faults.keys():
        device.begin(faults[kind])
        return
    if "slow" in faults:
        await asyncio.sleep(faults["slow"].seconds)
        if stream.closed:
            return
    environment = device.environment()
    token = ""
    if "killed" in faults:
        token = f"{faults['killed'].status - 128} {len(device.commands)}"
        environment["LUTIER_STAND_IN_DIES"] = token

    async def say(channel: int, data: bytes) -> None:
        if v2:
            await stream.write(_PACKET.pack(channel, len(data)) + data)
        else:
            await stream.write(data.replace(b"\n", b"\r\n") if cooked else data)

    process = await Process.start(command, device.root, environment, merged=not v2)
    listening = asyncio.create_task(_listen(stream, process, v2=v2))
    try:
        if faults.keys() & {"drop-shell", "killed", "cut"}:
            drop = faults.get("drop-shell")
            items, ended = await _collect(process, drop.seconds if drop else None)
            status = await process.status() if ended else 0
            if "killed" in faults and not device.died(token):
                items, status = _half(items), faults["killed"].status
            elif "cut" in faults or (drop and ended):
                items = _half(items)
                status = 0
            for channel, data in items:
                await say(channel, data)
            if drop:
                stream.link.drop()
                return
        else:
            async for channel, data in process.output():
                await say(channel, data)
            status = await process.status()
        if v2:
            await say(_EXIT, bytes([status]))
    finally:
        listening.cancel()
        process.close()


async def _listen(stream: Stream, process: Process, *, v2: bool) -> None:
    """Hand a process its input, and let go of it when the host does."""
    try:
        while True:
            if not v2:
                process.write(await stream.read(_CHUNK))
                continue
            kind, size = _PACKET.unpack(await stream.read_exactly(_PACKET.size))
            data = await stream.read_exactly(size)
            if kind == _STDIN and data:
                process.write(data)
            elif kind == _CLOSE_STDIN:
                process.write(b"")
    except StreamClosedError:
        process.close()


async def _collect(process: Process, seconds: float | None) -> tuple[list[tuple[int, bytes]], bool]:
    """What a process prints until so long after its first output, and whether it ended by then."""
    items: list[tuple[int, bytes]] = []
    try:
        async with asyncio.timeout(None) as limit:
            async for item in process.output():
                if seconds is not None and not items:
                    limit.reschedule(asyncio.get_running_loop().time() + seconds)
                items.append(item)
    except TimeoutError:
        return items, False
    return items, True


def _half(items: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """The first half of what was printed, up to the middle of a line."""
    everything = b"".join(data for _, data in items)
    left = len(everything[: len(everything) // 2].rstrip(b"\n"))
    halved = []
    for channel, data in items:
        if left > 0:
            halved.append((channel, data[:left]))
        left -= len(data)
    return halved


async def sync(device: Device, stream: Stream) -> None:
    """Take and give files until the host quits."""
    while True:
        kind, size = _SYNC.unpack(await stream.read_exactly(_SYNC.size))
        name = (await stream.read_exactly(size)).decode(errors="surrogateescape")
        path = device.root / name.lstrip("/")
        if kind == b"STAT":
            await stream.write(_stat_v1(path))
        elif kind in (b"STA2", b"LST2"):
            await stream.write(_stat_v2(kind, path))
        elif kind == b"LIST":
            await _list(stream, path)
        elif kind == b"SEND":
            name, _, mode = name.rpartition(",")
            await _take(device, stream, name, int(mode))
        elif kind == b"RECV":
            await _give(stream, path)
        else:
            if kind != b"QUIT":
                await _fail(stream, f"unknown command {kind.decode(errors='replace')}")
            return


def _stat_v1(path: Path) -> bytes:
    try:
        found = path.lstat()
    except OSError:
        return _STAT_V1.pack(b"STAT", 0, 0, 0)
    return _STAT_V1.pack(b"STAT", found.st_mode, found.st_size & 0xFFFFFFFF, int(found.st_mtime))


def _stat_v2(kind: bytes, path: Path) -> bytes:
    try:
        found = path.stat() if kind == b"STA2" else path.lstat()
    except OSError as error:
        return _STAT_V2.pack(kind, error.errno or 5, *[0] * 10)
    times = (int(found.st_atime), int(found.st_mtime), int(found.st_ctime))
    # An inode may be larger than the phone's; owner and group are those of the shell.
    return _STAT_V2.pack(
        kind, 0, found.st_dev, found.st_ino, found.st_mode, found.st_nlink, 2000, 2000,
        found.st_size, *times,
    )  # fmt: skip


async def _list(stream: Stream, folder: Path) -> None:
    answer = b""
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            name = os.fsencode(path.name)
            answer += b"DENT" + _stat_v1(path)[4:] + struct.pack("<I", len(name)) + name
    await stream.write(answer + b"DONE" + bytes(16))


async def _give(stream: Stream, path: Path) -> None:
    try:
        data = path.read_bytes()
    except OSError as error:
        await _fail(stream, f"open failed: {error.strerror}")
        return
    for start in range(0, len(data), _CHUNK):
        chunk = data[start : start + _CHUNK]
        await stream.write(_SYNC.pack(b"DATA", len(chunk)) + chunk)
    await stream.write(_SYNC.pack(b"DONE", 0))


async def _take(device: Device, stream: Stream, name: str, mode: int) -> None:
    device.pushed.append(name)
    faults = device.faults.strike(PUSH | LINK, name)
    for kind in LINK & faults.keys():
        device.begin(faults[kind])
        return
    path = device.root / name.lstrip("/")
    # What fails leaves nothing behind, and a program that runs cannot be written to.
    with suppress(OSError):
        path.unlink()
    data = bytearray()
    while True:
        # After the last of it comes a size that is the time of the file's last change.
        kind, size = _SYNC.unpack(await stream.read_exactly(_SYNC.size))
        if kind == b"DONE":
            break
        data += await stream.read_exactly(size)
        if "drop-push" in faults:
            stream.link.drop()
            return
    if "full-disk" in faults:
        await _fail(stream, f"write failed: {os.strerror(errno.ENOSPC)}")
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(stat.S_IMODE(mode))
        os.utime(path, (size, size))
    except OSError as error:
        await _fail(stream, f"write failed: {error.strerror}")
    else:
        await stream.write(_SYNC.pack(b"OKAY", 0))


async def _fail(stream: Stream, why: str) -> None:
    await stream.write(_SYNC.pack(b"FAIL", len(why.encode())) + why.encode())
