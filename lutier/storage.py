"""Where things are kept: the store, and beside it the fitted models."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from sqlalchemy.engine import make_url

from devices.target import Target
from lutier.settings import Settings
from profiler.storage.database import MeasurementStore
from profiler.storage.reader import StoreReader


def open_store(settings: Settings) -> MeasurementStore:
    """The store that the settings name."""
    return MeasurementStore(settings.db_url)


def open_reader(settings: Settings) -> StoreReader:
    """The same store, to be looked at: nothing of it is changed, and none is made."""
    return StoreReader(settings.db_url)


def models_folder(settings: Settings) -> Path:
    """Folder of the models fitted to this store's measurements.

    Beside a SQLite file, so that the two travel together; in ``home`` for a server.
    """
    url = make_url(settings.db_url)
    if url.get_backend_name() == "sqlite" and url.database:
        file = Path(url.database)
        return file.with_name(f"{file.stem}-models")
    digest = hashlib.sha256(settings.db_url.encode()).hexdigest()[:12]
    return settings.home / "models" / digest


def model_folder(settings: Settings, target: Target, space: str) -> Path:
    """Folder of the model of one target and space."""
    return models_folder(settings) / _slug(str(target)) / _slug(space)


def _slug(text: str) -> str:
    """A folder name that can be read, and that no other text has."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9.=-]+', '_', text)[-60:]}-{digest}"
