"""Trials and evaluations live alike: cohorts that are claimed again as such, and whose fault a crash was."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0007"
down_revision = "0006_worker_problems"
branch_labels = None
depends_on = None

RUNS = ("trials", "evaluations")


def upgrade() -> None:
    for runs in RUNS:
        op.add_column(runs, sa.Column("together", sa.Integer()))
        op.add_column(runs, sa.Column("most_together", sa.Integer()))
        op.add_column(runs, sa.Column("faults", sa.Integer(), nullable=False, server_default=sa.text("0")))
        op.add_column(runs, sa.Column("released", sa.Integer(), nullable=False, server_default=sa.text("0")))
    op.add_column("trials", sa.Column("cohort", sa.Integer()))
    op.execute("UPDATE trials SET cohort = number WHERE number > 0 AND state IN ('waiting', 'running')")
    op.add_column("evaluations", sa.Column("curve", JSONB(), nullable=False, server_default=sa.text("'{}'")))
    op.add_column("evaluations", sa.Column("value", sa.Double()))
    op.add_column("evaluations", sa.Column("values", ARRAY(sa.Double())))
    op.add_column("evaluations", sa.Column("study_id", sa.Integer()))
    op.execute("UPDATE evaluations e SET study_id = j.study_id FROM jobs j WHERE j.id = e.job_id")
    op.alter_column("evaluations", "study_id", nullable=False)
    for runs in RUNS:
        op.create_index(f"ix_{runs}_waiting", runs, ["study_id"], postgresql_where=sa.text("state = 'waiting'"))


def downgrade() -> None:
    for runs in RUNS:
        op.drop_index(f"ix_{runs}_waiting", runs)
    for column in ("study_id", "values", "value", "curve"):
        op.drop_column("evaluations", column)
    op.drop_column("trials", "cohort")
    for runs in RUNS:
        for column in ("released", "faults", "most_together", "together"):
            op.drop_column(runs, column)
