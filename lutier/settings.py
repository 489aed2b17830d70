"""Settings: from ``lutier.toml``, then the environment, then flags; the later wins."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from devices.errors import InputError, UnknownNameError
from devices.target import Target
from profiler.protocol import Protocol

FILE_NAME = "lutier.toml"
PREFIX = "LUTIER_"
RENEWAL = 4.0
"""Times what a load takes that its visits last: loading is a fifth of all time at the most."""


class Settings(BaseModel):
    """What can be set once instead of with every command; each field says what it does.

    Where a value has a unit, the field's ``json_schema_extra`` names it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    home: Path = Field(
        default_factory=lambda: platformdirs.user_data_path("lutier"),
        description="Folder of what is kept: the default database and the fitted models.",
    )
    db: str = Field(
        default="",
        description="URL of the database, sqlite:///FILE or postgresql://USER@HOST/DATABASE;"
        " where it is empty, lutier.db in home.",
    )
    seed: int = Field(default=0, ge=0, description="Seed of everything that is drawn at random.")
    networks: int = Field(
        default=60,
        ge=0,
        le=10_000,
        description="Whole networks that lutier profile measures among the ops.",
    )
    max_rounds: int = Field(
        default=300,
        ge=12,
        le=100_000,
        description="Rounds after which measuring ends, quiet or not.",
    )
    min_seconds: float = Field(
        default=3.0,
        ge=0,
        description="Measuring goes on at least this long.",
        json_schema_extra={"unit": "seconds"},
    )
    max_seconds: float = Field(
        default=120.0,
        ge=0,
        description="Measuring ends after this time, quiet or not.",
        json_schema_extra={"unit": "seconds"},
    )
    target_error: float = Field(
        default=0.01,
        gt=0,
        lt=1,
        description="Split-half error at which measuring ends early.",
        json_schema_extra={"unit": "share (0.01 is 1 %)"},
    )
    benchmark_model: Path | None = Field(
        default=None, description="The program that measures LiteRT on phones."
    )
    perf_test: Path | None = Field(
        default=None, description="The program that measures ONNX Runtime on phones."
    )
    android_patience: float = Field(
        default=120.0,
        ge=0,
        le=86_400,
        description="How long a phone that went away is waited for.",
        json_schema_extra={"unit": "seconds"},
    )

    @field_validator("benchmark_model", "perf_test", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return None if value == "" else value

    @property
    def programs(self) -> dict[str, Path]:
        """The program that measures on phones, by runtime."""
        named = {"litert": self.benchmark_model, "onnxruntime": self.perf_test}
        return {runtime: path.expanduser() for runtime, path in named.items() if path is not None}

    def protocol(self, target: Target) -> Protocol:
        """How things are timed on a target.

        On a phone each visit starts a program, which takes longer than most models: fewer visits,
        of more runs. LiteRT loads in a few milliseconds, and where it lays the weights of a network
        shows in its latency: models are loaded anew now and then.
        """
        kind = target.device.partition(":")[0]
        if kind == "android":
            return Protocol(
                warmup_runs=5,
                timed_runs=20,
                min_rounds=8,
                reference_every=8,
                max_rounds=self.max_rounds,
                max_seconds=self.max_seconds,
                target_error=self.target_error,
            )
        return Protocol(
            max_rounds=self.max_rounds,
            min_seconds=min(self.min_seconds, self.max_seconds),
            max_seconds=self.max_seconds,
            target_error=self.target_error,
            renewal=RENEWAL if target.runtime == "litert" and kind in {"cpu", "ssh"} else 0.0,
        )

    @property
    def db_url(self) -> str:
        """URL of the database, its password included."""
        return self.db or f"sqlite:///{self.home / 'lutier.db'}"

    @property
    def shown_db(self) -> str:
        """URL of the database to be shown: without its password."""
        scheme, separator, rest = self.db_url.partition("://")
        login, at, place = rest.rpartition("@")
        user, colon, _ = login.partition(":")
        return f"{scheme}{separator}{user}{':***' if colon else ''}{at}{place}"


def load_settings(
    flags: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] = os.environ,
    folder: Path | None = None,
) -> Settings:
    """Merge the settings file, the environment and the flags.

    Args:
        flags: what was typed; ``None`` values were not.
        environment: variables; those that start with ``LUTIER_`` and name a setting count.
        folder: where ``lutier.toml`` may lie; the current folder by default.

    Raises:
        UnknownNameError: a key in the file that is no setting, with the nearest.
        InputError: a file that is not TOML, or a value that cannot be used.
    """
    merged = read_settings_file(folder or Path.cwd())
    for name in Settings.model_fields:
        value = environment.get(PREFIX + name.upper())
        if value:
            merged[name] = value
    merged.update({key: value for key, value in (flags or {}).items() if value is not None})
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise InputError(f"setting {name}={first['input']!r}", first["msg"]) from error


def read_settings_file(folder: Path) -> dict[str, Any]:
    """What ``lutier.toml`` in a folder sets; nothing where there is none.

    Raises:
        UnknownNameError: a key that is no setting, with the nearest.
        InputError: a file that is not TOML.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        return {}
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}", str(error)) from error
    for key in found:
        if key not in Settings.model_fields:
            raise UnknownNameError.of(f"setting in {path}", key, Settings.model_fields)
    return found
