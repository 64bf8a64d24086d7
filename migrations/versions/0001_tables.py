"""The tables of actsearch: studies, trials, jobs, events, workers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "studies",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("directions", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("user_attrs", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("system_attrs", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("next_number", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_studies"),
        sa.UniqueConstraint("name", name="uq_studies_name"),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("queue_worker_id", sa.BigInteger()),
        sa.Column("devices", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("versions", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("stopped_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_workers"),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("architecture", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("parallelism", sa.Integer(), nullable=False),
        sa.Column("budget_trials", sa.Integer(), nullable=False),
        sa.Column("request", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True)),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_jobs_study_id"),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sa.UniqueConstraint("study_id", name="uq_jobs_study_id"),
    )
    op.create_index(
        "ix_jobs_active", "jobs", ["state"], postgresql_where=sa.text("state IN ('queued', 'running', 'confirming')")
    )
    op.create_index("ix_jobs_architecture_task", "jobs", ["architecture", "task"])
    op.create_index("ix_jobs_created_at", "jobs", ["created_at", "id"])
    op.create_table(
        "trials",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("uid", sa.Uuid(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("values", sa.ARRAY(sa.Double())),
        sa.Column("value", sa.Double()),
        sa.Column("family", sa.Text()),
        sa.Column("activations", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("params", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("distributions", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("intermediate", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("user_attrs", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("system_attrs", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("curve", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("metrics", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("failure_reason", sa.Text()),
        sa.Column("failure_detail", sa.Text()),
        sa.Column("attempt", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("is_baseline", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("runner", sa.BigInteger()),
        sa.Column("worker", sa.Text()),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True)),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_trials_study_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_trials"),
        sa.UniqueConstraint("uid", name="uq_trials_uid"),
    )
    op.create_index("ix_trials_running_runner", "trials", ["runner"], postgresql_where=sa.text("state = 'running'"))
    op.create_index("ix_trials_study_id_state", "trials", ["study_id", "state"])
    op.create_index(
        "ix_trials_study_id_value_complete",
        "trials",
        ["study_id", "value", "number"],
        postgresql_where=sa.text("state = 'complete'"),
    )
    op.create_index("uq_trials_study_id_number", "trials", ["study_id", "number"], unique=True)
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("data", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_events_job_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
    )
    op.create_index("ix_events_job_id_id", "events", ["job_id", "id"])


def downgrade() -> None:
    for table in ("events", "trials", "jobs", "workers", "studies"):
        op.drop_table(table)
