"""Environments, protocols, measurements and visits."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "environments",
        sa.Column("id", sa.String(12), primary_key=True),
        sa.Column("facts", sa.JSON, nullable=False),
        sa.Column("first_seen", sa.DateTime, nullable=False),
    )
    op.create_table(
        "protocols",
        sa.Column("id", sa.String(12), primary_key=True),
        sa.Column("settings", sa.JSON, nullable=False),
    )
    op.create_table(
        "measurements",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("target", sa.String(500), nullable=False),
        sa.Column(
            "environment_id", sa.String(12), sa.ForeignKey("environments.id"), nullable=False
        ),
        sa.Column("protocol_id", sa.String(12), sa.ForeignKey("protocols.id"), nullable=False),
        sa.Column("key", sa.String(500), nullable=False),
        sa.Column("role", sa.String(10), nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("started_at", sa.DateTime, nullable=False),
        sa.Column("finished_at", sa.DateTime),
        sa.Column("artifact_sha256", sa.String(64)),
        sa.Column("failure", sa.String(2000)),
        sa.Column("median_ms", sa.Double),
        sa.Column("ci_low_ms", sa.Double),
        sa.Column("ci_high_ms", sa.Double),
        sa.Column("spread", sa.Double),
        sa.Column("split_half", sa.Double),
        sa.Column("visits", sa.Integer),
        sa.Column("runs", sa.Integer),
        sa.UniqueConstraint("target", "environment_id", "protocol_id", "key", name="measured_once"),
    )
    op.create_index(
        "measurements_of_target", "measurements", ["target", "environment_id", "status"]
    )
    op.create_table(
        "visits",
        sa.Column("measurement_id", sa.Integer, sa.ForeignKey("measurements.id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("samples_ms", sa.JSON, nullable=False),
        sa.Column("measured_at", sa.DateTime, nullable=False),
    )


def downgrade() -> None:
    for table in ("visits", "measurements", "protocols", "environments"):
        op.drop_table(table)
