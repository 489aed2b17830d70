"""Shelf: latency tables that were read, kept until they change."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import pandas as pd

from devices.errors import MissingTableError
from devices.target import Target
from lutier.tables import TableName
from profiler.diff import TableDiff, diff_tables
from profiler.storage.reader import StoreReader
from profiler.table import COLUMNS, LatencyTable

T = TypeVar("T")


class Kept(Generic[T]):
    """The last few values that were worked out. Safe among threads.

    Args:
        most: how many are kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[Hashable, T] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of a key, worked out where it is not kept."""
        # One at a time: who asks twice for the same large table waits for the first answer.
        with self._lock:
            if key not in self._values:
                self._values[key] = make()
                if len(self._values) > self._most:
                    self._values.popitem(last=False)
            self._values.move_to_end(key)
            return self._values[key]


class Shelf:
    """The tables of a store.

    Args:
        store: where they are.
    """

    def __init__(self, store: StoreReader) -> None:
        self.store = store
        self._tables: Kept[LatencyTable] = Kept(4)
        self._diffs: Kept[TableDiff] = Kept(4)

    def find(self, text: str) -> tuple[Target, LatencyTable]:
        """The table that ``TARGET@ENVIRONMENT_ID`` names; of a target alone the latest.

        It has no rows where nothing but failures is stored.

        Raises:
            InputError: not a target.
            MissingTableError: no such table.
        """
        name = TableName.parse(text)
        if name.environment_id is None:
            environment_id = self._latest(name.target)
        else:
            environment_id = name.environment_id
        stamp = self.store.stamp(name.target, environment_id)
        if stamp[0] == 0:
            return name.target, self._without_rows(name.target, environment_id)
        key = (str(name.target), environment_id, stamp)
        table = self._tables.get(
            key, lambda: LatencyTable.load(self.store, name.target, environment_id)
        )
        return name.target, table

    def _latest(self, target: Target) -> str:
        for facts in self.store.overview():
            if facts.target == str(target):
                return facts.environment.id
        raise MissingTableError(
            f"no latency table of {target}",
            "nothing was measured on it",
            f"lutier profile {target.flags} --space SPACE",
        )

    def _without_rows(self, target: Target, environment_id: str) -> LatencyTable:
        for facts in self.store.overview():
            if (facts.target, facts.environment.id) == (str(target), environment_id):
                frame = pd.DataFrame([], columns=list(COLUMNS))
                return LatencyTable(str(target), facts.environment, frame)
        raise MissingTableError(
            f"no latency table of {target} in environment {environment_id}",
            "nothing was measured on it there",
        )

    def diff(self, first: LatencyTable, second: LatencyTable) -> TableDiff:
        """What differs between two tables.

        Raises:
            MissingEntryError: they have no row in common.
        """
        return self._diffs.get((first.digest, second.digest), lambda: diff_tables(first, second))


def name_of(target: str, environment_id: str) -> str:
    """What :meth:`Shelf.find` reads."""
    return f"{target}@{environment_id}"
