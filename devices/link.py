"""Link: a process that is asked in lines and answers in lines, each by a deadline."""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, Literal

from devices.errors import DeviceError
from devices.wire import MAX_LINE_BYTES

_PART = 65536
_KEPT_OF_STDERR = 8192
_ENDING_SECONDS = 5.0


@dataclass(frozen=True)
class Ending:
    """How a link came to its end, for whoever has to explain it.

    Attributes:
        doing: what it was asked for.
        cause: ``ended``: the process did; ``timeout``: no answer came in time; ``closed``: it had
            ended before; ``flood``: an answer longer than a line may be.
        status: exit status of the process, negative for a signal of this machine; ``None`` where
            it had to be killed.
        said: the last of what came on standard error.
        seconds: how long the answer was waited for.
    """

    doing: str
    cause: Literal["ended", "timeout", "closed", "flood"]
    status: int | None
    said: str
    seconds: float


class Link:
    """A child process with a line going in and a line coming out.

    Nothing here waits without a deadline. After the first trouble, Ctrl-C included, the process is
    killed: what it would say next could be the answer to an earlier question.

    Args:
        arguments: program and arguments; no shell reads them.
        explain: makes the error of an ending.
    """

    def __init__(self, arguments: Sequence[str], explain: Callable[[Ending], DeviceError]) -> None:
        self._explain = explain
        # A session of its own: Ctrl-C in the terminal is for this process to handle.
        self._process = subprocess.Popen(  # noqa: S603 - a list, not a line for a shell
            list(arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        self._stdin, self._stdout, self._stderr = (
            _unblocked(pipe)
            for pipe in (self._process.stdin, self._process.stdout, self._process.stderr)
        )
        self._unread = bytearray()
        self._said = bytearray()
        self._is_open = True
        self._status: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether it can still be asked."""
        return self._is_open

    @property
    def pid(self) -> int:
        """Of the process on this machine."""
        return self._process.pid

    def ask(self, request: bytes, *, seconds: float, doing: str) -> bytes:
        """Send a line, if it is not empty, and wait for the next that comes.

        Args:
            request: with its newline.
            seconds: to wait at the most.
            doing: what is asked for, for the error.

        Raises:
            DeviceError: no line came, made by ``explain``.
        """
        if not self._is_open:
            raise self._explain(Ending(doing, "closed", self._status, self.said, 0.0))
        start = time.monotonic()
        try:
            answer = self._exchange(memoryview(request), start + seconds)
        except BaseException:
            self._kill()
            raise
        if isinstance(answer, bytes):
            return answer
        if answer == "ended":
            self._end()
        else:
            self._kill()
        waited = time.monotonic() - start
        raise self._explain(Ending(doing, answer, self._status, self.said, waited))

    @property
    def said(self) -> str:
        """The last of what came on standard error."""
        return self._said.decode(errors="replace")

    def hear(self, text: bytes) -> None:
        """Count a line that came as an answer among what came on standard error."""
        self._said += text

    def close(self) -> None:
        """Let the process end by itself, and end it where it does not. Closing twice is fine."""
        if self._is_open:
            self._end()

    def _exchange(
        self, to_send: memoryview, deadline: float
    ) -> bytes | Literal["ended", "timeout", "flood"]:
        searched = 0
        with selectors.DefaultSelector() as selector:
            selector.register(self._stdout, selectors.EVENT_READ)
            selector.register(self._stderr, selectors.EVENT_READ)
            if to_send:
                selector.register(self._stdin, selectors.EVENT_WRITE)
            while True:
                newline = self._unread.find(b"\n", searched)
                if newline >= 0 and not to_send:
                    line = bytes(self._unread[: newline + 1])
                    del self._unread[: newline + 1]
                    return line
                searched = len(self._unread) if newline < 0 else newline
                if len(self._unread) > MAX_LINE_BYTES:
                    return "flood"
                left = deadline - time.monotonic()
                if left <= 0:
                    return "timeout"
                for key, _ in selector.select(left):
                    if key.fileobj is self._stdin:
                        to_send = self._send(to_send)
                        if not to_send:
                            selector.unregister(self._stdin)
                        continue
                    part = os.read(key.fd, _PART)
                    if key.fileobj is self._stderr:
                        self._keep_said(part)
                    else:
                        self._unread += part
                    if not part:
                        if key.fileobj is self._stdout:
                            return "ended"
                        selector.unregister(key.fileobj)

    def _send(self, to_send: memoryview) -> memoryview:
        try:
            return to_send[os.write(self._stdin.fileno(), to_send[:_PART]) :]
        except BrokenPipeError:
            # It ended. Its output says so next, and its error output why.
            return memoryview(b"")

    def _keep_said(self, part: bytes) -> None:
        self._said += part
        del self._said[:-_KEPT_OF_STDERR]

    def _end(self) -> None:
        """Close its input, and kill it where it does not end soon after."""
        self._is_open = False
        self._stdin.close()
        try:
            self._status = self._process.wait(_ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            self._kill()
        else:
            self._drain()

    def _kill(self) -> None:
        self._is_open = False
        self._process.kill()
        self._process.wait()
        self._stdin.close()
        self._drain()

    def _drain(self) -> None:
        """Keep what is left on standard error, without waiting for more, and close the pipes."""
        try:
            while part := os.read(self._stderr.fileno(), _PART):
                self._keep_said(part)
        except BlockingIOError:
            # Another process of its kind still holds the pipe.
            pass
        self._stdout.close()
        self._stderr.close()


def _unblocked(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise DeviceError("a process was started without its pipes")
    os.set_blocking(pipe.fileno(), False)
    return pipe
