"""Workers and what they claim, so that several can profile into one store."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "workers",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("target", sa.String(500), nullable=False),
        sa.Column("environment_id", sa.String(12), nullable=False),
        sa.Column("protocol_id", sa.String(12), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("process", sa.String(200), nullable=False),
        sa.Column("is_waiting", sa.Boolean, nullable=False),
        sa.Column("expires_at", sa.DateTime, nullable=False),
    )
    op.create_table(
        "claims",
        sa.Column("measurement_id", sa.Integer, sa.ForeignKey("measurements.id"), primary_key=True),
        sa.Column("worker_id", sa.String(32), sa.ForeignKey("workers.id"), nullable=False),
    )
    op.create_index("claims_of_worker", "claims", ["worker_id"])


def downgrade() -> None:
    op.drop_table("claims")
    op.drop_table("workers")
