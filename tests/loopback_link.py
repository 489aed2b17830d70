"""One connection of the adb protocol as a phone holds it: its messages, and the streams within."""

from __future__ import annotations

import asyncio
import itertools
import struct
from collections.abc import Coroutine
from typing import Protocol

_HEADER = struct.Struct("<4s5I")
_CNXN, _AUTH, _OPEN, _OKAY, _WRTE, _CLSE = b"CNXN", b"AUTH", b"OPEN", b"OKAY", b"WRTE", b"CLSE"
_TOKEN, _SIGNATURE = 1, 2
"""Sorts of AUTH: what the phone wants signed, and that, signed."""
NO_CHECKSUMS = 0x01000001
"""Version of the protocol from which messages carry no checksum."""


class StreamClosedError(Exception):
    """The other side closed the stream, or the link is gone."""


class Device(Protocol):
    """What a link asks of the phone that it leads to."""

    version: int
    payload: int
    banner: bytes

    def seconds_left(self, kind: str) -> float:
        """How long a fault of the link still lasts."""

    def accepts(self, service: str) -> bool:
        """Whether a service is opened."""

    async def serve(self, stream: Stream, service: str) -> None:
        """Do what a service does, until it is done."""


class Stream:
    """One stream of a link.

    Args:
        link: that it is of.
        number: that the phone gave it.
        remote: number that the other side gave it.
    """

    def __init__(self, link: Link, number: int, remote: int) -> None:
        self.link = link
        self.number = number
        self.remote = remote
        self.closed = False
        self._buffer = bytearray()
        self._arrived = asyncio.Event()
        self._acknowledged = asyncio.Event()
        self._writing = asyncio.Lock()

    async def write(self, data: bytes) -> None:
        """Send data, and wait until the other side has it: one message is on its way at a time."""
        async with self._writing:
            for start in range(0, len(data), self.link.payload):
                self._check()
                self._acknowledged.clear()
                chunk = data[start : start + self.link.payload]
                await self.link.send(_WRTE, self.number, self.remote, chunk)
                await self._acknowledged.wait()
                self._check()

    async def read(self, most: int) -> bytes:
        """What has arrived, at least one byte."""
        while not self._buffer:
            self._check()
            self._arrived.clear()
            await self._arrived.wait()
        data = bytes(self._buffer[:most])
        del self._buffer[:most]
        return data

    async def read_exactly(self, size: int) -> bytes:
        """So many bytes, from however many messages."""
        data = b""
        while len(data) < size:
            data += await self.read(size - len(data))
        return data

    async def close(self) -> None:
        """Close it from this side, unless it is closed."""
        if not self.closed:
            self.shut()
            await self.link.send(_CLSE, self.number, self.remote)

    def arrive(self, data: bytes) -> None:
        """Take what the other side sent."""
        self._buffer += data
        self._arrived.set()

    def acknowledge(self) -> None:
        """Learn that the other side has what was sent."""
        self._acknowledged.set()

    def shut(self) -> None:
        """Let nothing more through, and whoever waits know."""
        self.closed = True
        self._arrived.set()
        self._acknowledged.set()

    def _check(self) -> None:
        if self.closed:
            raise StreamClosedError


class Link:
    """One connection.

    Args:
        device: the phone.
        reader: from the other side.
        writer: to it.
    """

    def __init__(
        self, device: Device, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.payload = device.payload
        self._device = device
        self._reader = reader
        self._writer = writer
        self._checksums = True
        self._streams: dict[int, Stream] = {}
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Answer the other side until it is gone."""
        try:
            while True:
                header = await self._reader.readexactly(_HEADER.size)
                command, first, second, size, checksum, magic = _HEADER.unpack(header)
                data = await self._reader.readexactly(size)
                if magic != int.from_bytes(command, "little") ^ 0xFFFFFFFF:
                    return
                # A host that comes back greets without one, as it has learnt that it may.
                if self._checksums and checksum not in (0, sum(data)):
                    return
                await self._answer(command, first, second, data)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self.drop()

    async def send(self, command: bytes, first: int, second: int, data: bytes = b"") -> None:
        """Send a message."""
        checksum = sum(data) if self._checksums else 0
        magic = int.from_bytes(command, "little") ^ 0xFFFFFFFF
        header = _HEADER.pack(command, first, second, len(data), checksum, magic)
        try:
            self._writer.write(header + data)
            await self._writer.drain()
        except ConnectionError as error:
            raise StreamClosedError from error

    def drop(self) -> None:
        """Break it off at once."""
        self._writer.transport.abort()
        for stream in self._streams.values():
            stream.shut()
        self._streams.clear()

    async def _answer(self, command: bytes, first: int, second: int, data: bytes) -> None:
        if command == _CNXN:
            await self._greet(first, second)
        elif command == _AUTH:
            # A key to be trusted from now on stays unanswered: somebody has to tap on the screen.
            if first == _SIGNATURE:
                await self.send(_AUTH, _TOKEN, 0, bytes(20))
        elif command == _OPEN:
            await self._open(first, data.rstrip(b"\0").decode(errors="surrogateescape"))
        elif stream := self._streams.get(second):
            if command == _WRTE:
                stream.arrive(data)
                await self.send(_OKAY, stream.number, stream.remote)
            elif command == _OKAY:
                stream.acknowledge()
            elif command == _CLSE:
                await stream.close()

    async def _greet(self, version: int, payload: int) -> None:
        self.payload = min(payload, self._device.payload)
        await asyncio.sleep(self._device.seconds_left("mute"))
        if seconds := self._device.seconds_left("unauthorized"):
            await self.send(_AUTH, _TOKEN, 0, bytes(20))
            self._start(self._welcome(version, seconds))
        else:
            await self._welcome(version, 0)

    async def _welcome(self, version: int, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.send(_CNXN, self._device.version, self._device.payload, self._device.banner)
        # Its own greeting still had one.
        self._checksums = min(version, self._device.version) < NO_CHECKSUMS

    async def _open(self, remote: int, service: str) -> None:
        if not self._device.accepts(service):
            await self.send(_CLSE, 0, remote)
            return
        stream = Stream(self, next(self._numbers), remote)
        self._streams[stream.number] = stream
        await self.send(_OKAY, stream.number, remote)
        self._start(self._serve(stream, service))

    async def _serve(self, stream: Stream, service: str) -> None:
        try:
            await self._device.serve(stream, service)
        finally:
            await stream.close()
            self._streams.pop(stream.number, None)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        async def guarded() -> None:
            try:
                await work
            except StreamClosedError:
                return

        task = asyncio.get_running_loop().create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
