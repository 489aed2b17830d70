"""Ctrl-C waits for the end of a transaction."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def held_back() -> Iterator[None]:
    """Hold SIGINT back until the end, and a second one not.

    Where ``KeyboardInterrupt`` is raised between the beginning of a transaction and whatever is to
    end it, the transaction stays open, and the next one waits for it in vain. Only the main thread
    is ever interrupted; in others this does nothing.
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    pending: list[tuple[int, FrameType | None]] = []

    def remember(number: int, frame: FrameType | None) -> None:
        pending.append((number, frame))
        if len(pending) > 1:
            handler(number, frame)

    signal.signal(signal.SIGINT, remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if len(pending) == 1:
            handler(*pending[0])
