"""A farm: the same profile on every phone that is attached, each by a process of its own."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO

from devices.adb import Adb
from devices.adb_text import Attached
from devices.errors import InputError
from devices.phone_list import find_phone
from devices.phone_name import KIND, alias


@dataclass(frozen=True)
class Outcome:
    """How the profile of one phone ended.

    Attributes:
        device: the phone, by its alias.
        status: exit code of its process.
        output: what it printed on standard output.
    """

    device: str
    status: int
    output: str


def phones() -> tuple[Attached, ...]:
    """Every phone that is ready; one that is attached twice is there once.

    Raises:
        InputError: none is.
    """
    attached = Adb.find().devices()
    ready = [each for each in attached if each.state == "device"]
    if not ready:
        find_phone(ready, "")
    chosen = {alias(each.serial): find_phone(ready, alias(each.serial)) for each in ready}
    return tuple(chosen.values())


def profile_all(words: Sequence[str], say: Callable[[str], None]) -> list[Outcome]:
    """Profile every phone that is ready, at the same time.

    Args:
        words: ``lutier profile`` and its flags, but for the device.
        say: told what each process says on standard error, a line each.

    Raises:
        InputError: no phone is ready.
    """
    found = phones()
    processes = [
        subprocess.Popen(  # noqa: S603 - a list, not a line for a shell
            [sys.executable, "-m", "lutier", *words, "--device", f"{KIND}:{phone.serial}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for phone in found
    ]
    outputs: list[list[str]] = [[] for _ in found]
    threads = []
    try:
        for phone, process, output in zip(found, processes, outputs, strict=True):
            name = phone.model or alias(phone.serial)
            for pipe, take in (
                (process.stdout, output.append),
                (process.stderr, _named(name, say)),
            ):
                thread = threading.Thread(target=_read, args=(pipe, take), daemon=True)
                thread.start()
                threads.append(thread)
        for process in processes:
            process.wait()
    except BaseException:
        # They had the Ctrl-C too, and store what they have; this only makes sure that they end.
        for process in processes:
            process.terminate()
        raise
    for thread in threads:
        thread.join()
    return [
        Outcome(f"{KIND}:{alias(phone.serial)}", process.returncode, "".join(output))
        for phone, process, output in zip(found, processes, outputs, strict=True)
    ]


def _named(name: str, say: Callable[[str], None]) -> Callable[[str], None]:
    return lambda line: say(f"{name}: {line.rstrip()}")


def _read(pipe: IO[str] | None, take: Callable[[str], None]) -> None:
    for line in pipe or ():
        take(line)


def worst(outcomes: Sequence[Outcome]) -> int:
    """The exit code for all: that of the first phone that did not end with 0."""
    if not outcomes:
        raise InputError("no phone was measured")
    return next((each.status for each in outcomes if each.status != 0), 0)
