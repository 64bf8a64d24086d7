"""Pages of trials sorted by value, whatever their state."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_trials_study_id_value",
        "trials",
        ["study_id", "value", "number"],
        postgresql_where=sa.text("value IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_trials_study_id_value")
