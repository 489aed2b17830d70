"""Sharing: several processes profile into one store, and each op is measured by one of them.

A process claims a batch, measures it in common rounds, and takes the next. Alone it takes all there
is; among others it takes half of its share, so that whoever is quick takes more. Who comes late and
finds everything claimed waits, and is handed a part of what others have just begun. What a process
that died held is taken over with the visits it had stored.
"""

from __future__ import annotations

import logging
import math
import socket
import threading
import time
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Self

from devices.base import LoadedModel
from devices.environment import Environment
from devices.errors import DeviceError, MeasurementError, StoreError
from devices.target import Target
from profiler.events import Listener, Waiting
from profiler.jobs import Job
from profiler.processes import is_dead, this_process
from profiler.protocol import Protocol
from profiler.quality import Summary
from profiler.storage.claims import Wanted, Worker
from profiler.storage.database import MeasurementStore
from profiler.visit import Visit

CLAIM_SECONDS = 60.0
"""Without a sign of life for this long, a process counts as dead."""
MIN_BATCH = 8
"""Fewer models than this are not worth rounds of their own."""
_POLL_S = 0.2

_log = logging.getLogger(__name__)


def batch_size(free: int, workers: int) -> int:
    """How many of the free measurements to take: all alone, half of one's share among others."""
    return free if workers <= 1 else max(MIN_BATCH, math.ceil(free / (2 * workers)))


class Claims:
    """What this process has to itself in a store, while it profiles one target.

    Use it as a context manager: on the way out everything is let go, unless the store is gone; then
    it expires.

    Args:
        store: shared or not.
        target: what is measured on.
        environment: the machine's facts.
        protocol: how is measured.
        seconds: without a sign of life for this long, others may take over.
        retry_failed: whether what failed before is to be measured.
        alone: whether no other process may measure on the same device meanwhile.

    Raises, on the way in:
        DeviceError: another process measures on it.
    """

    def __init__(
        self,
        store: MeasurementStore,
        target: Target,
        environment: Environment,
        protocol: Protocol,
        *,
        seconds: float = CLAIM_SECONDS,
        retry_failed: bool = False,
        alone: bool = False,
    ) -> None:
        host, process = socket.gethostname(), this_process()
        self._worker = Worker(uuid.uuid4().hex, host, process, target, environment, protocol)
        self._store = store
        self._book = store.claim_book(self._worker, seconds)
        self._seconds = seconds
        self._retry_failed = retry_failed
        self._alone = alone
        self._held: dict[str, int] = {}
        self._ended = threading.Event()
        self._signs = threading.Thread(target=self._give_signs, name="lutier-claims", daemon=True)

    def __enter__(self) -> Self:
        processes = self._book.processes_on_device() if self._alone else {}
        dead = [worker_id for worker_id, process in processes.items() if is_dead(process)]
        hosts = self._book.sign_on(alone=self._alone, dead=dead)
        if hosts:
            raise DeviceError(
                f"{self._worker.target.device} is being measured by another process",
                f"on {', '.join(hosts)}; two at once would disturb each other",
                "the same command when that one has ended",
            )
        # Nobody else can see a database in memory, and no other thread of this process either.
        if not self._store.is_private:
            self._signs.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        if self._signs.is_alive():
            self._signs.join()
        try:
            self._book.sign_off()
        except StoreError as trouble:
            # What is being raised already says why; everything that was measured is stored.
            _log.warning("claims are left to expire: %s", trouble)

    def _give_signs(self) -> None:
        # In a thread, because loading or visiting one model may take longer than a claim lasts. It
        # works for a millisecond every quarter of that time.
        while not self._ended.wait(self._seconds / 4):
            try:
                self._book.renew()
            except StoreError as trouble:
                _log.warning("no sign of life given: %s", trouble)

    def take(self, jobs: Sequence[Job], most: int, on_event: Listener) -> list[Job]:
        """Claim the next batch; waits while others hold all that is left.

        Args:
            jobs: what is still wanted, the first first.
            most: how many to take at the most.
            on_event: told when there is nothing to do but to wait.

        Returns:
            The batch, in the same order; empty when all is measured, here or elsewhere.
        """
        wanted = [Wanted(job.key, job.role) for job in jobs]
        told: Waiting | None = None
        while True:
            taken = self._book.take(
                wanted,
                lambda free, workers: min(most, batch_size(free, workers)),
                dead=self._dead(),
                retry_failed=self._retry_failed,
            )
            self._held = dict(taken.ids)
            if taken.ids or not taken.held:
                return [job for job in jobs if job.key in taken.ids]
            waiting = Waiting(len(taken.held), taken.hosts)
            if waiting != told:
                on_event(waiting)
                told = waiting
            time.sleep(min(_POLL_S, self._seconds / 20))

    def _dead(self) -> list[str]:
        """Workers of this machine that were killed: nobody needs to wait for these to expire."""
        processes = self._book.processes()
        return [worker_id for worker_id, process in processes.items() if is_dead(process)]

    def holds(self, key: str) -> bool:
        """Whether a measurement is this process' own, as far as it knows."""
        return key in self._held

    def guard(self, key: str, model: LoadedModel) -> LoadedModel:
        """The same model, which stops being measured when it is no longer held."""
        return _Guarded(self, key, model)

    def add_visit(self, key: str, number: int, visit: Visit) -> None:
        """Store a visit. Where the measurement was taken over it is dropped: others made theirs."""
        self._kept(key, self._add_visit(key, number, visit))

    def _add_visit(self, key: str, number: int, visit: Visit) -> bool:
        if key not in self._held:
            return False
        return self._store.add_visit(self._held[key], number, visit, worker=self._worker.id)

    def finish(self, summaries: Mapping[str, Summary]) -> set[str]:
        """Fill in summaries; keys of the measurements that were still held."""
        held = {self._held[key]: key for key in summaries if key in self._held}
        ended = self._store.finish_all(
            {number: summaries[key] for number, key in held.items()}, worker=self._worker.id
        )
        return {key for number, key in held.items() if self._kept(key, number in ended)}

    def fail(self, key: str, reason: str) -> bool:
        """Record a failure; whether the measurement was still held."""
        held = key in self._held
        return self._kept(
            key, held and self._store.fail(self._held[key], reason, worker=self._worker.id)
        )

    def _kept(self, key: str, kept: bool) -> bool:
        if not kept and self._held.pop(key, None) is not None:
            _log.warning("another process has taken over %s", key)
        return kept

    def share(self, keys: Iterable[str]) -> None:
        """Hand a part of what has just begun to those who wait with empty hands.

        Args:
            keys: what is being measured, the last given away first.
        """
        held = [key for key in keys if key in self._held]
        if len(held) < 2 * MIN_BATCH:
            return
        waiting = self._book.waiting()
        if waiting:
            rest = max(MIN_BATCH, math.ceil(len(held) / (waiting + 1)))
            self._give_back(held[rest:])

    def _give_back(self, keys: Collection[str]) -> None:
        _log.info("%d handed over to others", len(keys))
        self._book.give_back([self._held[key] for key in keys])
        for key in keys:
            del self._held[key]


class _Guarded:
    """A loaded model of a measurement that may be handed or taken over."""

    def __init__(self, claims: Claims, key: str, model: LoadedModel) -> None:
        self._claims = claims
        self._key = key
        self._model = model

    def time_ms(self, *, warmup: int, runs: int) -> list[float]:
        if not self._claims.holds(self._key):
            raise MeasurementError(f"{self._key} is measured by another process")
        return self._model.time_ms(warmup=warmup, runs=runs)

    def close(self) -> None:
        self._model.close()
