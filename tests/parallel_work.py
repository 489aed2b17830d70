"""Work that is done by other processes, which import it by name."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from devices.errors import DatasetError


def square(number: int) -> int:
    return number**2


def threads(_: int) -> int:
    import torch

    return torch.get_num_threads()


def refuse(number: int) -> int:
    raise DatasetError(f"{number} is not wanted", "it is odd", "another")


class Unreadable(Exception):  # noqa: N818  # stands for any exception that pickle cannot make again
    def __init__(self, one: str, two: str) -> None:
        super().__init__(one + two)


def raise_unreadable(_: int) -> int:
    raise Unreadable("cannot be", " read")


@dataclass(frozen=True)
class Fatal:
    """Squares numbers; the process that gets ``victim`` first, or always, is killed.

    Attributes:
        folder: where it is kept who died, and who worked.
    """

    folder: Path
    victim: int
    always: bool = False

    def __call__(self, number: int) -> int:
        (self.folder / f"worker-{os.getpid()}").touch()
        died = self.folder / "died"
        if number == self.victim and (self.always or not died.exists()):
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return number**2


@dataclass(frozen=True)
class Noted:
    """Says in a file that it began and, when told to end, that it was."""

    folder: Path

    def __call__(self, number: int) -> int:
        def end(*_: object) -> None:
            (self.folder / f"ended-{os.getpid()}").touch()
            os._exit(0)

        signal.signal(signal.SIGTERM, end)
        (self.folder / f"began-{os.getpid()}").touch()
        time.sleep(60)
        return number
