"""The queue: Procrastinate's own schema, in a PostgreSQL schema of its own."""

from __future__ import annotations

from alembic import op
from procrastinate.schema import SchemaManager

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE SCHEMA IF NOT EXISTS procrastinate")
    op.execute("SET LOCAL search_path TO procrastinate")
    # Straight to the driver, without parameters: the script has many statements and literal percent signs and colons.
    cursor = op.get_bind().connection.cursor()
    cursor.execute(SchemaManager.get_schema())
    cursor.close()
    op.execute("SET LOCAL search_path TO public, procrastinate")


def downgrade() -> None:
    op.execute("DROP SCHEMA procrastinate CASCADE")
