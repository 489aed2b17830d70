"""Ctrl-C and SIGTERM held back until work can be put down whole."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Inside, a first Ctrl-C or SIGTERM is only noted; afterwards it does what it would have done.

    A second one does so at once. Signals that were ignored stay ignored. Outside of the main thread
    nothing is held back, because Python gives signals to that one alone.

    Args:
        hold: whether to hold anything back.
    """

    def __init__(self, *, hold: bool = True) -> None:
        self.caught: int | None = None
        self._hold = hold and threading.current_thread() is threading.main_thread()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in _SIGNALS if self._hold else ():
            before = signal.getsignal(number)
            # None: a handler that Python did not set, and cannot set again.
            if before not in (None, signal.SIG_IGN):
                self._before[number] = before
                signal.signal(number, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        self.deliver()

    def deliver(self) -> None:
        """Let go: what was caught does now what it would have done."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
        if self.caught is not None:
            number, self.caught = self.caught, None
            signal.raise_signal(number)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.caught is not None:
            self.deliver()
        else:
            self.caught = number
