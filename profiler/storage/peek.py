"""A look into a SQLite store that opens nothing and waits for nobody, for Tab completion."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

_SCHEME = "sqlite:///"
_PATIENCE_S = 0.2


def peek_targets(url: str) -> list[str]:
    """Targets with finished measurements, sorted.

    Nothing where there is no such file, where it is not a store, or where the store is a server:
    this neither makes nor migrates one, as opening a
    :class:`~profiler.storage.database.MeasurementStore` does.
    """
    path = Path(url.removeprefix(_SCHEME).partition("?")[0])
    if not url.startswith(_SCHEME) or not path.is_file():
        return []
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", _PATIENCE_S, uri=True)
        ) as connection:
            rows = connection.execute(
                "SELECT DISTINCT target FROM measurements WHERE status = 'done' ORDER BY target"
            )
            return [str(target) for (target,) in rows]
    except sqlite3.Error:
        return []
