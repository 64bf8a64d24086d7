"""API keys; whose a job is and whose a key of a submission."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("secret_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("digest", name="uq_api_keys_digest"),
    )
    op.add_column("jobs", sa.Column("owner", sa.Text(), nullable=True))
    op.add_column("submissions", sa.Column("owner", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.drop_constraint("pk_submissions", "submissions", type_="primary")
    op.create_primary_key("pk_submissions", "submissions", ["owner", "key"])


def downgrade() -> None:
    op.execute("DELETE FROM submissions WHERE owner <> ''")
    op.drop_constraint("pk_submissions", "submissions", type_="primary")
    op.drop_column("submissions", "owner")
    op.create_primary_key("pk_submissions", "submissions", ["key"])
    op.drop_column("jobs", "owner")
    op.drop_table("api_keys")
