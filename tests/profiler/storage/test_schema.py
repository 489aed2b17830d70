"""The schema that the migrations make is the schema that the models describe."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import profiler.storage
from profiler.storage.database import MeasurementStore
from profiler.storage.schema import Base
from profiler.storage.versions import SCHEMA_VERSIONS

MIGRATIONS = Path(profiler.storage.__file__).parent / "migrations"


def test_the_migrations_make_what_the_models_describe(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'lutier.db'}"
    MeasurementStore(url).close()
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, Base.metadata) == []
        assert context.get_current_revision() == SCHEMA_VERSIONS[-1]
    engine.dispose()


def test_constraints_are_the_same_too(tmp_path: Path) -> None:
    # Autogeneration does not compare primary keys, and SQLite's foreign keys only in part.
    MeasurementStore(f"sqlite:///{tmp_path / 'migrated.db'}").close()
    migrated = sa.create_engine(f"sqlite:///{tmp_path / 'migrated.db'}")
    described = sa.create_engine(f"sqlite:///{tmp_path / 'described.db'}")
    Base.metadata.create_all(described)
    for table in Base.metadata.tables:
        facts = [
            (
                inspector.get_pk_constraint(table)["constrained_columns"],
                sorted(str(key["referred_table"]) for key in inspector.get_foreign_keys(table)),
                inspector.get_unique_constraints(table),
                inspector.get_indexes(table),
                {column["name"]: column["nullable"] for column in inspector.get_columns(table)},
            )
            for inspector in map(sa.inspect, (migrated, described))
        ]
        assert facts[0] == facts[1]
    migrated.dispose()
    described.dispose()


def test_every_migration_is_known_by_its_version() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    scripts = ScriptDirectory.from_config(config)
    revisions = [script.revision for script in scripts.walk_revisions()]
    assert tuple(reversed(revisions)) == SCHEMA_VERSIONS
    assert sorted(SCHEMA_VERSIONS) == list(SCHEMA_VERSIONS)


def test_the_migrations_can_be_taken_back(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'lutier.db'}"
    MeasurementStore(url).close()
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    assert set(sa.inspect(engine).get_table_names()) == {"alembic_version"}
    engine.dispose()
