"""Counts and bests of studies, kept as trials finish, in the transaction that finishes them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# `merit` is the first objective turned so that larger is better.
TALLY = r"""
CREATE FUNCTION tally(finished bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    one record;
BEGIN
    IF finished IS NULL THEN
        RETURN;
    END IF;
    -- Two transactions that finish trials of one study take turns from here on, and of several studies in one order.
    INSERT INTO tallies (study_id)
        SELECT DISTINCT study_id FROM trials WHERE id = ANY(finished) ORDER BY study_id
        ON CONFLICT DO NOTHING;
    PERFORM 1 FROM tallies WHERE study_id IN (SELECT study_id FROM trials WHERE id = ANY(finished))
        ORDER BY study_id FOR UPDATE;

    UPDATE tallies k SET complete = k.complete + n.complete, pruned = k.pruned + n.pruned,
        failed = k.failed + n.failed, device_seconds = k.device_seconds + n.seconds
    FROM (SELECT study_id, count(*) FILTER (WHERE state = 'complete') AS complete,
                 count(*) FILTER (WHERE state = 'pruned') AS pruned, count(*) FILTER (WHERE state = 'failed') AS failed,
                 coalesce(sum(CASE WHEN jsonb_typeof(metrics -> 'seconds') = 'number'
                                   THEN CAST(metrics ->> 'seconds' AS float8) END), 0) AS seconds
          FROM trials WHERE id = ANY(finished) GROUP BY study_id) n
    WHERE n.study_id = k.study_id;

    INSERT INTO family_tallies AS k
        (study_id, key, is_baseline, family, trials, mean, squares, wins, merit, number, trial_id)
    SELECT study_id, md5(coalesce(family, ''))::uuid, is_baseline, coalesce(family, ''), count(*), avg(mild),
           coalesce(var_pop(mild), 0) * count(*), count(*) FILTER (WHERE merit > bar), max(merit),
           (array_agg(number ORDER BY merit DESC, number))[1], (array_agg(id ORDER BY merit DESC, number))[1]
    FROM ranked_trials(finished) GROUP BY study_id, family, is_baseline
    ON CONFLICT (study_id, key, is_baseline) DO UPDATE SET
        trials = k.trials + excluded.trials,
        mean = k.mean + (excluded.mean - k.mean) * excluded.trials / (k.trials + excluded.trials),
        squares = k.squares + excluded.squares
            + squared(excluded.mean - k.mean) * k.trials / (k.trials + excluded.trials) * excluded.trials,
        wins = k.wins + excluded.wins,
        merit = CASE WHEN (excluded.merit, -excluded.number) > (k.merit, -k.number)
            THEN excluded.merit ELSE k.merit END,
        number = CASE WHEN (excluded.merit, -excluded.number) > (k.merit, -k.number)
            THEN excluded.number ELSE k.number END,
        trial_id = CASE WHEN (excluded.merit, -excluded.number) > (k.merit, -k.number)
            THEN excluded.trial_id ELSE k.trial_id END;

    INSERT INTO activation_tallies AS k (study_id, key, trials, mean, squares, merit, number, trial_id)
    SELECT study_id, activation_key(is_baseline, activations), count(*), avg(mild),
           coalesce(var_pop(mild), 0) * count(*), max(merit),
           (array_agg(number ORDER BY merit DESC, number))[1], (array_agg(id ORDER BY merit DESC, number))[1]
    FROM ranked_trials(finished) GROUP BY 1, 2
    ON CONFLICT (study_id, key) DO UPDATE SET
        trials = k.trials + excluded.trials,
        mean = k.mean + (excluded.mean - k.mean) * excluded.trials / (k.trials + excluded.trials),
        squares = k.squares + excluded.squares
            + squared(excluded.mean - k.mean) * k.trials / (k.trials + excluded.trials) * excluded.trials,
        merit = CASE WHEN (excluded.merit, -excluded.number) > (k.merit, -k.number)
            THEN excluded.merit ELSE k.merit END,
        number = CASE WHEN (excluded.merit, -excluded.number) > (k.merit, -k.number)
            THEN excluded.number ELSE k.number END,
        trial_id = CASE WHEN (excluded.merit, -excluded.number) > (k.merit, -k.number)
            THEN excluded.trial_id ELSE k.trial_id END;

    -- Where the baseline has become better, what beats it is counted again: among the few that still do.
    FOR one IN
        SELECT k.study_id, max(f.merit) AS bar, s.directions[1] = 'maximize' AS up
        FROM tallies k JOIN studies s ON s.id = k.study_id
        JOIN family_tallies f ON f.study_id = k.study_id AND f.is_baseline
        WHERE k.study_id IN (SELECT study_id FROM trials WHERE id = ANY(finished))
        GROUP BY k.study_id, k.bar, s.directions HAVING k.bar IS NULL OR max(f.merit) > k.bar
    LOOP
        UPDATE tallies SET bar = one.bar WHERE study_id = one.study_id;
        UPDATE family_tallies f SET wins = coalesce(n.wins, 0)
        FROM family_tallies g LEFT JOIN (
            SELECT md5(coalesce(t.family, ''))::uuid AS key, t.is_baseline, count(*) AS wins FROM trials t
            WHERE t.study_id = one.study_id AND t.state = 'complete' AND t.value > '-Infinity' AND t.value < 'Infinity'
                AND (one.up AND t.value > one.bar OR NOT one.up AND t.value < -one.bar)
            GROUP BY 1, 2) n USING (key, is_baseline)
        WHERE f.study_id = one.study_id AND g.study_id = f.study_id AND g.key = f.key AND g.is_baseline = f.is_baseline;
    END LOOP;
END $$;
"""

# PostgreSQL answers with an error where a product is too large or too small for a float, and that would fail the
# transaction that finishes a trial: in means and spreads, values beyond 1e150 count as 1e150, those below 1e-150 as 0.
MILD = r"""
CREATE FUNCTION mild(value float8) RETURNS float8 LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN abs(value) < 1e-150 THEN 0 ELSE greatest(least(value, 1e150), -1e150) END
$$;
"""

SQUARED = r"""
CREATE FUNCTION squared(value float8) RETURNS float8 LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN abs(value) < 1e-150 THEN 0 ELSE value * value END
$$;
"""

RANKED = r"""
CREATE FUNCTION ranked_trials(finished bigint[])
RETURNS TABLE (id bigint, study_id int, number int, family text, is_baseline bool, activations jsonb,
               merit float8, mild float8, bar float8)
LANGUAGE sql VOLATILE AS $$
    SELECT t.id, t.study_id, t.number, t.family, t.is_baseline, t.activations,
           CASE WHEN s.directions[1] = 'maximize' THEN t.value ELSE -t.value END,
           mild(t.value), k.bar
    FROM trials t JOIN studies s ON s.id = t.study_id JOIN tallies k ON k.study_id = t.study_id
    WHERE t.id = ANY(finished) AND t.state = 'complete' AND t.value > '-Infinity' AND t.value < 'Infinity'
$$;
"""

# Trial 0 writes the baseline down once for all sites, the sampler by group: one activation all the same.
KEY = r"""
CREATE FUNCTION activation_key(is_baseline bool, activations jsonb) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT CAST(md5(CASE WHEN is_baseline THEN 'baseline' ELSE CAST(activations AS text) END) AS uuid)
$$;
"""

TRIGGERS = (
    """
    CREATE FUNCTION tally_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM tally((SELECT array_agg(id) FROM fresh WHERE state IN ('complete', 'pruned', 'failed')));
        RETURN NULL;
    END $$;
    """,
    """
    CREATE FUNCTION tally_updated() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM tally((SELECT array_agg(fresh.id) FROM fresh JOIN stale ON stale.id = fresh.id
                       WHERE fresh.state IN ('complete', 'pruned', 'failed')
                           AND stale.state IN ('waiting', 'running')));
        RETURN NULL;
    END $$;
    """,
    """
    CREATE TRIGGER tally_inserted AFTER INSERT ON trials REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION tally_inserted();
    """,
    """
    CREATE TRIGGER tally_updated AFTER UPDATE ON trials REFERENCING OLD TABLE AS stale NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION tally_updated();
    """,
)


def upgrade() -> None:
    op.create_table(
        "tallies",
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("complete", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("pruned", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("failed", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("device_seconds", sa.Double(), server_default=sa.text("0"), nullable=False),
        sa.Column("bar", sa.Double()),
        sa.PrimaryKeyConstraint("study_id", name="pk_tallies"),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_tallies_study_id", ondelete="CASCADE"),
    )
    op.create_table(
        "family_tallies",
        *_group(),
        sa.Column("is_baseline", sa.Boolean(), nullable=False),
        sa.Column("family", sa.Text(), nullable=False),
        sa.Column("wins", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("study_id", "key", "is_baseline", name="pk_family_tallies"),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_family_tallies_study_id", ondelete="CASCADE"),
    )
    op.create_table(
        "activation_tallies",
        *_group(),
        sa.PrimaryKeyConstraint("study_id", "key", name="pk_activation_tallies"),
        sa.ForeignKeyConstraint(
            ["study_id"], ["studies.id"], name="fk_activation_tallies_study_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_activation_tallies_study_id_merit", "activation_tallies", ["study_id", "merit", "number"])
    for statement in (MILD, SQUARED, RANKED, KEY, TALLY, *TRIGGERS):
        op.execute(statement)
    ended = "state IN ('complete', 'pruned', 'failed')"
    op.execute(f"SELECT tally(array_agg(id)) FROM trials WHERE {ended} GROUP BY study_id")  # noqa: S608 - a constant
    op.drop_index("ix_trials_study_id_state", "trials")
    op.create_index("ix_trials_study_id_state", "trials", ["study_id", "state", "number"])
    op.drop_index("ix_trials_study_id_value_complete", "trials")
    op.create_index(
        "ix_trials_study_id_state_value",
        "trials",
        ["study_id", "state", "value", "number"],
        postgresql_where=sa.text("value IS NOT NULL"),
    )
    op.create_index("ix_trials_study_id_family", "trials", ["study_id", sa.text("md5(family)"), "number"])
    op.create_index(
        "ix_trials_study_id_family_value",
        "trials",
        ["study_id", sa.text("md5(family)"), "value", "number"],
        postgresql_where=sa.text("value IS NOT NULL"),
    )
    op.drop_index("ix_jobs_architecture_task", "jobs")
    op.create_index("ix_jobs_architecture_task", "jobs", ["architecture", "task", "created_at", "id"])


def _group() -> list[sa.Column[object]]:
    """What is known of complete trials with a finite value that have something in common."""
    return [
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.Uuid(), nullable=False),
        sa.Column("trials", sa.Integer(), nullable=False),
        sa.Column("mean", sa.Double(), nullable=False),
        sa.Column("squares", sa.Double(), nullable=False),
        sa.Column("merit", sa.Double(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("trial_id", sa.BigInteger(), nullable=False),
    ]


def downgrade() -> None:
    op.drop_index("ix_jobs_architecture_task", "jobs")
    op.create_index("ix_jobs_architecture_task", "jobs", ["architecture", "task"])
    op.drop_index("ix_trials_study_id_family_value", "trials")
    op.drop_index("ix_trials_study_id_state_value", "trials")
    op.create_index(
        "ix_trials_study_id_value_complete",
        "trials",
        ["study_id", "value", "number"],
        postgresql_where=sa.text("state = 'complete'"),
    )
    op.drop_index("ix_trials_study_id_family", "trials")
    op.drop_index("ix_trials_study_id_state", "trials")
    op.create_index("ix_trials_study_id_state", "trials", ["study_id", "state"])
    for name in ("tally_inserted", "tally_updated"):
        op.execute(f"DROP TRIGGER {name} ON trials")
        op.execute(f"DROP FUNCTION {name}")
    for name in ("tally", "ranked_trials", "activation_key", "squared", "mild"):
        op.execute(f"DROP FUNCTION {name}")
    for table in ("activation_tallies", "family_tallies", "tallies"):
        op.drop_table(table)
