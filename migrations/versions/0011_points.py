"""Learning curves are appended: a row a rung of those that train together, instead of JSON that is written anew."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

RUNS = ("trials", "evaluations")

# Runs that were claimed together, as far as that is known, count as trained together.
TOGETHER = {"trials": "coalesce(cohort, number)", "evaluations": "replicate"}

BACKFILL = (
    """CREATE TEMPORARY TABLE curves ON COMMIT DROP AS
    SELECT id, study_id, curve, dense_rank() OVER (ORDER BY study_id, {together}) AS training,
           row_number() OVER (PARTITION BY study_id, {together} ORDER BY id) - 1 AS place
    FROM {runs} WHERE curve <> '{{}}'""",
    """UPDATE curves c SET training = t.id FROM (
        SELECT training, nextval(pg_get_serial_sequence('trainings', 'id')) AS id
        FROM (SELECT DISTINCT training FROM curves) d) t WHERE t.training = c.training""",
    """INSERT INTO trainings (id, study_id, names)
    SELECT c.training, min(c.study_id), array_agg(DISTINCT n.name ORDER BY n.name)
    FROM curves c, jsonb_each(c.curve) e, jsonb_object_keys(e.value) n(name) GROUP BY c.training""",
    """INSERT INTO points (training, epoch, places, values)
    SELECT c.training, CAST(e.key AS int), array_agg(c.place ORDER BY c.place),
           array_agg(ARRAY(SELECT CAST(e.value ->> n.name AS float8)
                           FROM unnest(t.names) WITH ORDINALITY n(name, at) ORDER BY n.at) ORDER BY c.place)
    FROM curves c JOIN trainings t ON t.id = c.training, jsonb_each(c.curve) e
    GROUP BY c.training, CAST(e.key AS int) ORDER BY 1, 2""",
    "UPDATE {runs} r SET training = c.training, place = c.place FROM curves c WHERE c.id = r.id",
    "DROP TABLE curves",
)


def upgrade() -> None:
    op.create_table(
        "trainings",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("names", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_trainings"),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_trainings_study_id", ondelete="CASCADE"),
    )
    op.create_index("ix_trainings_study_id", "trainings", ["study_id"])
    op.create_table(
        "points",
        sa.Column("training", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("places", sa.ARRAY(sa.SmallInteger()), nullable=False),
        sa.Column("values", sa.ARRAY(sa.Double(), dimensions=2), nullable=False),
        sa.Column("told", sa.ARRAY(sa.Double())),
        sa.PrimaryKeyConstraint("training", "id", name="pk_points"),
        sa.ForeignKeyConstraint(["training"], ["trainings.id"], name="fk_points_training", ondelete="CASCADE"),
    )
    op.execute("ALTER TABLE points SET (toast_tuple_target = 8160)")  # floats do not compress, and chunks cost more
    for runs in RUNS:
        op.add_column(runs, sa.Column("training", sa.BigInteger()))
        op.add_column(runs, sa.Column("place", sa.SmallInteger()))
        op.execute(f"ALTER TABLE {runs} DISABLE TRIGGER USER")
        for statement in BACKFILL:
            op.execute(statement.format(runs=runs, together=TOGETHER[runs]))
        op.execute(f"ALTER TABLE {runs} ENABLE TRIGGER USER")
        op.drop_column(runs, "curve")


def downgrade() -> None:
    for runs in RUNS:
        op.add_column(runs, sa.Column("curve", JSONB(), nullable=False, server_default=sa.text("'{}'")))
        op.execute(f"ALTER TABLE {runs} DISABLE TRIGGER USER")
        op.execute(f"""
            UPDATE {runs} r SET curve = (
                SELECT coalesce(jsonb_object_agg(p.epoch, (
                    SELECT jsonb_object_agg(n.name, p.values[at.at][n.at])
                    FROM unnest(t.names) WITH ORDINALITY n(name, at)
                    WHERE p.values[at.at][n.at] IS NOT NULL)), '{{}}')
                FROM points p JOIN trainings t ON t.id = p.training, array_position(p.places, r.place) at(at)
                WHERE p.training = r.training AND at.at IS NOT NULL)
            WHERE training IS NOT NULL""")  # noqa: S608 - names of ours
        op.execute(f"ALTER TABLE {runs} ENABLE TRIGGER USER")
        op.drop_column(runs, "place")
        op.drop_column(runs, "training")
    op.drop_table("points")
    op.drop_table("trainings")
