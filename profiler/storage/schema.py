"""The tables of the store.

A measurement is one op or network on one target in one environment under one protocol. Its visits
are committed one by one while it is being measured; when the protocol is satisfied the summary is
filled in. Both are facts, so is a failure; nothing is ever overwritten by a guess.

Roles: ``op``; ``network``; ``carrier``, a network that ops are measured beside; ``call``, the
smallest model there is, which shows what a call of the runtime costs; ``kernel``, a node of a
runtime's own graph, or the file without any (:mod:`profiler.kernels`). ``ops`` are the keys of the
ops, or kernels, that a network is made of, joined by spaces.

Workers and claims are no facts: they say who is measuring what just now, and are gone afterwards.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    Boolean,
    DateTime,
    Double,
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

MEASURING, DONE, FAILED = "measuring", "done", "failed"


class Base(DeclarativeBase):
    """Metadata of all tables."""

    # Said here, since SQLAlchemy 2.0 and 2.1 make different columns of a float.
    type_annotation_map: ClassVar[dict[Any, Any]] = {float: Double}


class EnvironmentRow(Base):
    """The facts of a machine."""

    __tablename__ = "environments"

    id: Mapped[str] = mapped_column(String(12), primary_key=True)
    facts: Mapped[dict[str, str]] = mapped_column(JSON)
    first_seen: Mapped[datetime] = mapped_column(DateTime)


class ProtocolRow(Base):
    """The settings of a protocol."""

    __tablename__ = "protocols"

    id: Mapped[str] = mapped_column(String(12), primary_key=True)
    settings: Mapped[dict[str, Any]] = mapped_column(JSON)


class MeasurementRow(Base):
    """One op or network on one target in one environment under one protocol."""

    __tablename__ = "measurements"
    __table_args__ = (
        UniqueConstraint("target", "environment_id", "protocol_id", "key", name="measured_once"),
        Index("measurements_of_target", "target", "environment_id", "status"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    target: Mapped[str] = mapped_column(String(500))
    environment_id: Mapped[str] = mapped_column(ForeignKey("environments.id"))
    protocol_id: Mapped[str] = mapped_column(ForeignKey("protocols.id"))
    key: Mapped[str] = mapped_column(String(500))
    role: Mapped[str] = mapped_column(String(10))
    status: Mapped[str] = mapped_column(String(10))
    started_at: Mapped[datetime] = mapped_column(DateTime)
    finished_at: Mapped[datetime | None] = mapped_column(DateTime)
    artifact_sha256: Mapped[str | None] = mapped_column(String(64))
    failure: Mapped[str | None] = mapped_column(String(2000))
    median_ms: Mapped[float | None]
    ci_low_ms: Mapped[float | None]
    ci_high_ms: Mapped[float | None]
    spread: Mapped[float | None]
    split_half: Mapped[float | None]
    visits: Mapped[int | None]
    runs: Mapped[int | None]
    exponent: Mapped[float | None]
    nominal_ms: Mapped[float | None]
    findings: Mapped[str | None] = mapped_column(String(200))
    ops: Mapped[str | None] = mapped_column(Text)


class VisitRow(Base):
    """The timed runs of one visit."""

    __tablename__ = "visits"

    measurement_id: Mapped[int] = mapped_column(ForeignKey("measurements.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    samples_ms: Mapped[list[float]] = mapped_column(JSON)
    measured_at: Mapped[datetime] = mapped_column(DateTime)
    reference_ms: Mapped[list[float] | None] = mapped_column(JSON(none_as_null=True))


class WorkerRow(Base):
    """A process that is profiling. Past ``expires_at`` without a sign of life it counts as dead."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    target: Mapped[str] = mapped_column(String(500))
    environment_id: Mapped[str] = mapped_column(String(12))
    protocol_id: Mapped[str] = mapped_column(String(12))
    host: Mapped[str] = mapped_column(String(255))
    process: Mapped[str] = mapped_column(String(200))
    is_waiting: Mapped[bool] = mapped_column(Boolean)
    expires_at: Mapped[datetime] = mapped_column(DateTime)


class ClaimRow(Base):
    """A measurement that one worker has to itself, as long as this row is there."""

    __tablename__ = "claims"
    __table_args__ = (Index("claims_of_worker", "worker_id"),)

    measurement_id: Mapped[int] = mapped_column(ForeignKey("measurements.id"), primary_key=True)
    worker_id: Mapped[str] = mapped_column(ForeignKey("workers.id"))
