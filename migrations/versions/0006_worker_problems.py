"""Why devices of a worker take no work at present."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006_worker_problems"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("workers", sa.Column("problems", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False))


def downgrade() -> None:
    op.drop_column("workers", "problems")
