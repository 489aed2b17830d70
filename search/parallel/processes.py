"""Workers that are processes of this machine.

Each has one item at a time, so that it is known what a process was doing when it died: a new one
takes its place, and does that item again. Unlike ``concurrent.futures``, where one death breaks the
whole pool.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import tempfile
import threading
from collections import Counter, deque
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from devices.errors import InputError, LinkLostError
from search.parallel.base import LOSSES, Work

_PATIENCE_S = 20.0


@dataclass
class _Worker:
    process: Any
    link: Connection
    index: int = -1


class Processes:
    """As many processes, which leave Ctrl-C to the one that asks.

    Torch is not to be forked, so each is started afresh. They end when they are not needed any
    more, are told to by SIGTERM, or when the asking process dies.

    Args:
        count: of processes.
        threads: of torch in each.

    Raises:
        InputError: less than one of either.
    """

    in_process = False
    shares_files = True

    def __init__(self, count: int, threads: int = 1) -> None:
        if count < 1 or threads < 1:
            raise InputError(f"{count} workers of {threads} threads", "must be at least 1 of each")
        self.count = count
        self.threads = threads

    def results(self, work: Work, items: Sequence[Any]) -> Generator[tuple[int, Any], None, None]:
        """Index and result of each item, as they come."""
        if not items:
            return
        with tempfile.TemporaryDirectory(prefix="lutier-work-") as folder:
            # Handed over as a file: it may be large, and a process that starts does not read yet.
            file = Path(folder) / "work"
            file.write_bytes(pickle.dumps(work))
            yield from _Crew(self, file, items).results()


class _Crew:
    """The processes at work on one list of items."""

    def __init__(self, settings: Processes, file: Path, items: Sequence[Any]) -> None:
        self.settings = settings
        self.file = file
        self.items = items
        self.open = deque(range(len(items)))
        self.losses: Counter[int] = Counter()
        self.workers: dict[Connection, _Worker] = {}

    def results(self) -> Generator[tuple[int, Any], None, None]:
        left = len(self.items)
        try:
            while left:
                while self.open and len(self.workers) < self.settings.count:
                    self._start()
                for link in connection.wait(list(self.workers)):
                    worker = self.workers[link]  # type: ignore[index]  # no socket is waited for
                    answer = self._answer(worker)
                    if answer is None:
                        continue
                    done, value = answer
                    if not done:
                        raise value
                    left -= 1
                    index = worker.index
                    if self.open:
                        self._give(worker)
                    else:
                        self._dismiss(worker)
                    yield index, value
        finally:
            self._end()

    def _start(self) -> None:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=_serve, args=(theirs, str(self.file), self.settings.threads), daemon=True
        )
        process.start()
        theirs.close()
        worker = _Worker(process, ours)
        self.workers[ours] = worker
        self._give(worker)

    def _give(self, worker: _Worker) -> None:
        worker.index = self.open.popleft()
        # A process that is gone is found to be when its answer is waited for.
        with suppress(BrokenPipeError):
            worker.link.send_bytes(pickle.dumps(self.items[worker.index]))

    def _answer(self, worker: _Worker) -> tuple[bool, Any] | None:
        """What a worker says, or nothing where it was lost."""
        try:
            answer: tuple[bool, Any] = pickle.loads(worker.link.recv_bytes())  # noqa: S301  # of a process of our own
        except (EOFError, ConnectionResetError):
            self._lost(worker)
            return None
        return answer

    def _lost(self, worker: _Worker) -> None:
        worker.process.join()
        del self.workers[worker.link]
        worker.link.close()
        self.losses[worker.index] += 1
        if self.losses[worker.index] >= LOSSES:
            raise LinkLostError(
                f"{LOSSES} workers were lost over the same task, {self.items[worker.index]}"[:300],
                f"the last one ended with {_ending(worker.process.exitcode)}",
                "fewer --workers, where memory may have run out",
            )
        self.open.appendleft(worker.index)

    def _dismiss(self, worker: _Worker) -> None:
        del self.workers[worker.link]
        worker.link.close()
        worker.process.join(_PATIENCE_S)

    def _end(self) -> None:
        """End what is left; a training writes down how far it is first."""
        for worker in self.workers.values():
            worker.process.terminate()
        for worker in self.workers.values():
            worker.process.join(_PATIENCE_S)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.link.close()
        self.workers.clear()


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _serve(link: Connection, file: str, threads: int) -> None:
    """What a worker does: items as they are given, until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Read where torch is imported, most likely with the work.
    os.environ["OMP_NUM_THREADS"] = str(threads)
    work: Work = pickle.loads(Path(file).read_bytes())  # noqa: S301  # of a process of our own
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(threads)
    while True:
        try:
            item = pickle.loads(link.recv_bytes())  # noqa: S301
        except EOFError:
            return
        link.send_bytes(_done(work, item))


def _done(work: Work, item: Any) -> bytes:
    """A result, or what was raised, for the asking process to raise."""
    try:
        return pickle.dumps((True, work(item)))
    except Exception as error:  # noqa: BLE001  # raised by the asking process
        try:
            contents = pickle.dumps((False, error))
            pickle.loads(contents)  # noqa: S301  # some can be written, and not read
        except Exception:  # noqa: BLE001  # what it says is kept
            return pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}")))
        return contents


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
