"""What the stores hold about the targets of some results: tables, rows, fitted models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from devices.errors import InputError, MissingError
from devices.target import Target
from latency_models.metadata import ModelMetadata
from latency_models.network import SumModel
from lutier.modelling import find_model
from lutier.plots.runs import Run
from lutier.settings import Settings
from lutier.storage import open_store
from profiler.storage.database import MeasurementStore
from profiler.storage.portable import PortableRow
from profiler.table import LatencyTable

STORE_FILE = "lutier.db"
Opening = Callable[[Settings], MeasurementStore]


@dataclass(frozen=True)
class Evidence:
    """What is known about one target beside the results. What is not known is absent.

    Attributes:
        target: as a string.
        table: the latency table, best the one that was searched with.
        rows: of that table, with the timed runs.
        failures: why by key of what could not be measured.
        models: fitted model and where it is from, by space.
        store: where it all is, without a password; empty where it is nowhere.
        notes: what is missing, or not as it was when the search ran; a sentence each.
    """

    target: str
    table: LatencyTable | None = None
    rows: tuple[PortableRow, ...] = ()
    failures: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, tuple[SumModel, ModelMetadata]] = field(default_factory=dict)
    store: str = ""
    notes: tuple[str, ...] = ()

    @cached_property
    def by_key(self) -> Mapping[str, PortableRow]:
        """The rows by their keys."""
        return {row.key: row for row in self.rows}


@dataclass(frozen=True)
class _Wanted:
    """What a search said of the table it was made with."""

    target: Target
    environment_ids: frozenset[str]
    digests: frozenset[str]
    spaces: tuple[str, ...]


def gather_evidence(
    runs: Sequence[Run],
    settings: Settings,
    folders: Sequence[Path] = (),
    db: str | None = None,
    opening: Opening = open_store,
) -> dict[str, Evidence]:
    """Find the tables and models that results were made with.

    Looked through are the database that was typed, if there is one, and only that; else a
    ``lutier.db`` in one of the folders, beside a result or in it, then the database of the
    settings. The first that holds the very table of the search counts, else the first that holds
    any of that target.

    Args:
        runs: the results.
        settings: which database is the usual one.
        folders: as they were typed.
        db: URL of the database that was typed.
        opening: how a store is opened.

    Returns:
        By target, in the order of the results; one for each, found or not.

    Raises:
        InputError: a database that cannot be read.
    """
    stores = [settings] if db else [*_beside(settings, runs, folders), settings]
    return {str(each.target): _find(each, stores, opening) for each in _wanted(runs)}


def _wanted(runs: Sequence[Run]) -> Iterator[_Wanted]:
    said: dict[str, list[tuple[str, str, str]]] = {}
    for run in runs:
        result, details = run.result, run.details
        said.setdefault(str(run.result.load_target()), []).append(
            (result.environment_id, details.table_digest, run.space.name)
        )
        for further in details.also:
            said.setdefault(str(Target.parse(further.target)), []).append(
                (further.environment_id, further.table_digest, run.space.name)
            )
    for target, facts in said.items():
        environments, digests, spaces = zip(*facts, strict=True)
        yield _Wanted(
            Target.parse(target),
            frozenset(filter(None, environments)),
            frozenset(filter(None, digests)),
            tuple(dict.fromkeys(spaces)),
        )


def _beside(settings: Settings, runs: Sequence[Run], folders: Sequence[Path]) -> list[Settings]:
    places = [*folders, *(place for run in runs for place in (run.folder, run.folder.parent))]
    files: dict[Path, Path] = {}
    for place in places:
        # As it was typed: who reads a page need not know where somebody's home is.
        files.setdefault((place / STORE_FILE).resolve(), place / STORE_FILE)
    return [
        settings.model_copy(update={"db": f"sqlite:///{file}"})
        for file in files.values()
        if file.is_file()
    ]


def _is_there(settings: Settings) -> bool:
    """Whether there is a database; looking for one must not make one."""
    try:
        url = make_url(settings.db_url)
    except ArgumentError:
        # Opening it says what is wrong.
        return True
    return url.get_backend_name() != "sqlite" or Path(url.database or "").is_file()


def _find(wanted: _Wanted, stores: Sequence[Settings], opening: Opening) -> Evidence:
    second: tuple[Settings, LatencyTable] | None = None
    looked = []
    for settings in stores:
        looked.append(settings.shown_db)
        if not _is_there(settings):
            continue
        with opening(settings) as store:
            tables = list(_tables(store, wanted))
        if tables and tables[0].digest in wanted.digests:
            return _known(settings, tables[0], wanted, opening)
        if tables and second is None:
            second = (settings, tables[0])
    if second is not None:
        return _known(*second, wanted, opening)
    note = (
        f"No latency table of {wanted.target} was found in {' or '.join(dict.fromkeys(looked))}."
        " What it would say is left out. Name the database of the search with --db URL."
    )
    return Evidence(str(wanted.target), notes=(note,))


def _tables(store: MeasurementStore, wanted: _Wanted) -> list[LatencyTable]:
    """The tables of the target, the likeliest to be the one of the search first."""
    ids = [each.id for each in reversed(store.environments(wanted.target))]
    tables = [LatencyTable.load(store, wanted.target, id_) for id_ in ids]
    return sorted(
        tables,
        key=lambda table: (
            table.digest not in wanted.digests,
            table.environment_id not in wanted.environment_ids,
        ),
    )


def _known(settings: Settings, table: LatencyTable, wanted: _Wanted, opening: Opening) -> Evidence:
    target = wanted.target
    with opening(settings) as store:
        rows = tuple(store.portable_rows(target, table.environment_id))
        failures = store.failures(target, table.environment_id)
    models = {}
    notes = []
    if wanted.digests - {table.digest}:
        notes.append(
            f"The latency table of {target} is not the one that every search here was made with:"
            " it was measured further or anew since, or in another database. Its figures are those"
            " of now."
        )
    if wanted.environment_ids - {table.environment_id}:
        notes.append(
            f"The latency table of {target} was measured in environment {table.environment_id},"
            f" networks found in {', '.join(sorted(wanted.environment_ids))}."
        )
    for space in wanted.spaces:
        try:
            models[space] = find_model(settings, table, target, space)
        except (MissingError, InputError) as error:
            notes.append(f"Predictions for networks that were held out are not shown: {error}.")
            continue
        if models[space][1].table_digest != table.digest:
            notes.append(
                f"The latency model of {space} on {target} was fitted before the table changed."
            )
    return Evidence(str(target), table, rows, failures, models, settings.shown_db, tuple(notes))
