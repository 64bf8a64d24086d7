"""Those who follow a job are woken when something of it changed: what changed is read from the tables."""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_OF_STUDY = """
CREATE FUNCTION wake_of_study() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('actsearch_jobs', NEW.study_id::text);
    RETURN NULL;
END $$
"""
_OF_TRAINING = """
CREATE FUNCTION wake_of_training() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('actsearch_jobs', study_id::text) FROM trainings WHERE id = NEW.training;
    RETURN NULL;
END $$
"""
_OF_JOB = """
CREATE FUNCTION wake_of_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('actsearch_jobs', study_id::text) FROM jobs WHERE id = NEW.job_id;
    RETURN NULL;
END $$
"""
# Once a transaction and job, however many rows: PostgreSQL sends equal notices of a transaction as one.
_TRIGGERS = {
    ("tallies", "INSERT OR UPDATE"): "wake_of_study",
    ("evaluations", "INSERT OR UPDATE OF state"): "wake_of_study",
    ("points", "INSERT"): "wake_of_training",
    ("events", "INSERT"): "wake_of_job",
}


def upgrade() -> None:
    for function in (_OF_STUDY, _OF_TRAINING, _OF_JOB):
        op.execute(function)
    for (table, when), function in _TRIGGERS.items():
        op.execute(f"CREATE TRIGGER wake AFTER {when} ON {table} FOR EACH ROW EXECUTE FUNCTION {function}()")


def downgrade() -> None:
    for table, _ in _TRIGGERS:
        op.execute(f"DROP TRIGGER wake ON {table}")
    for function in set(_TRIGGERS.values()):
        op.execute(f"DROP FUNCTION {function}()")
