"""Jobs of a client that are not over, counted when it submits."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_jobs_owner_open",
        "jobs",
        ["owner"],
        postgresql_where=sa.text("state IN ('queued', 'running', 'paused', 'confirming')"),
    )


def downgrade() -> None:
    op.drop_index("ix_jobs_owner_open", "jobs")
