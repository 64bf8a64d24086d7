"""Which limit of the budget ended a job's search."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("stopped_by", sa.Text()))


def downgrade() -> None:
    op.drop_column("jobs", "stopped_by")
