"""How fast the machine was at a visit, what a network is made of, what is wrong with a figure."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("visits", sa.Column("reference_ms", sa.JSON))
    op.add_column("measurements", sa.Column("exponent", sa.Double))
    op.add_column("measurements", sa.Column("nominal_ms", sa.Double))
    op.add_column("measurements", sa.Column("findings", sa.String(200)))
    op.add_column("measurements", sa.Column("ops", sa.Text))


def downgrade() -> None:
    for name in ("ops", "findings", "nominal_ms", "exponent"):
        op.drop_column("measurements", name)
    op.drop_column("visits", "reference_ms")
