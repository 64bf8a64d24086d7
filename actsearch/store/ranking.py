"""Rankings of a job's complete trials: by trial and by family. Ties share a rank and stand in order of trial number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from actsearch.errors import NotFound
from actsearch.schemas import (
    Direction,
    FamilyRanking,
    ObjectiveInfo,
    RankedFamily,
    RankedTrial,
    Trial,
    TrialRanking,
)
from actsearch.store.trials import COLUMNS, to_trial

# NaN compares greater than infinity in PostgreSQL, so this leaves the finite ones.
_RANKED = "t.state = 'complete' AND t.value > '-Infinity' AND t.value < 'Infinity'"
_ORDER = {Direction.maximize: "DESC", Direction.minimize: "ASC"}
_BETTER = {Direction.maximize: ">", Direction.minimize: "<"}


def best_trials(connection: Connection, job_ids: Sequence[UUID]) -> dict[UUID, Trial]:
    """The best complete trial of each job that has one, by job."""
    parts = [
        f"""SELECT {COLUMNS} FROM jobs j CROSS JOIN LATERAL (
                SELECT * FROM trials t WHERE t.study_id = j.study_id AND {_RANKED}
                ORDER BY t.value {order}, t.number LIMIT 1) t
            WHERE j.id = ANY(:jobs) AND j.direction = '{direction}'"""  # noqa: S608 - constants of ours
        for direction, order in _ORDER.items()
    ]
    rows = connection.execute(text(" UNION ALL ".join(parts)), {"jobs": list(job_ids)})
    return {row.job_id: to_trial(row) for row in rows}


def rank_trials(connection: Connection, job_id: UUID, limit: int) -> TrialRanking:
    """The best `limit` complete trials and the rank of trial 0, the baseline.

    Raises:
        NotFound: no such job.
    """
    study, objective, _ = _ranked_job(connection, job_id)
    order = _ORDER[objective.direction]
    query = f"""SELECT {COLUMNS} FROM trials t JOIN jobs j USING (study_id)
        WHERE t.study_id = :study AND {_RANKED} ORDER BY t.value {order}, t.number LIMIT :limit"""  # noqa: S608
    rows = connection.execute(text(query), {"study": study, "limit": limit}).all()
    ranks = _competition_ranks([row.value for row in rows])
    return TrialRanking(
        job_id=job_id,
        objective=objective,
        baseline=_ranked_baseline(connection, study, objective.direction),
        entries=[RankedTrial(rank=rank, trial=to_trial(row)) for rank, row in zip(ranks, rows, strict=True)],
    )


def _ranked_baseline(connection: Connection, study: int, direction: Direction) -> RankedTrial | None:
    query = f"""SELECT {COLUMNS},
            (SELECT count(*) FROM trials t2 WHERE t2.study_id = t.study_id AND {_RANKED.replace("t.", "t2.")}
             AND t2.value {_BETTER[direction]} t.value) AS better
        FROM trials t JOIN jobs j USING (study_id)
        WHERE t.study_id = :study AND t.is_baseline AND {_RANKED}
        ORDER BY t.value {_ORDER[direction]}, t.number LIMIT 1"""  # noqa: S608
    row = connection.execute(text(query), {"study": study}).first()
    return None if row is None else RankedTrial(rank=row.better + 1, trial=to_trial(row))


_CANDIDATES = 1000


def candidates(connection: Connection, job_id: UUID, direction: Direction) -> list[Trial]:
    """Complete trials that do not compute the baseline, best first: each family's best, and the best 1000 of all."""
    order = _ORDER[direction]
    query = f"""
        WITH ranked AS (
            SELECT t.*, row_number() OVER (PARTITION BY t.family ORDER BY t.value {order}, t.number) AS in_family,
                   row_number() OVER (ORDER BY t.value {order}, t.number) AS in_all
            FROM trials t WHERE t.study_id = (SELECT study_id FROM jobs WHERE id = :job)
            AND NOT t.is_baseline AND {_RANKED})
        SELECT {COLUMNS} FROM ranked t JOIN jobs j USING (study_id)
        WHERE t.in_family = 1 OR t.in_all <= {_CANDIDATES} ORDER BY t.in_all"""  # noqa: S608
    return [to_trial(row) for row in connection.execute(text(query), {"job": job_id})]


def baseline_trial(connection: Connection, job_id: UUID, direction: Direction) -> Trial:
    """The best complete trial that computes the baseline; trial 0 where none completed."""
    query = f"""SELECT {COLUMNS} FROM trials t JOIN jobs j USING (study_id) WHERE j.id = :job AND t.is_baseline
        ORDER BY ({_RANKED}) IS TRUE DESC, CASE WHEN {_RANKED} THEN t.value END {_ORDER[direction]}, t.number
        LIMIT 1"""  # noqa: S608
    return to_trial(connection.execute(text(query), {"job": job_id}).one())


def rank_families(connection: Connection, job_id: UUID, limit: int) -> FamilyRanking:
    """Families by their best complete trial, with mean and standard deviation over their trials.

    Raises:
        NotFound: no such job.
    """
    study, objective, baseline = _ranked_job(connection, job_id)
    order = _ORDER[objective.direction]
    query = f"""
        WITH best AS (
            SELECT DISTINCT ON (t.family) {COLUMNS} FROM trials t JOIN jobs j USING (study_id)
            WHERE t.study_id = :study AND {_RANKED} AND t.family IS NOT NULL
            ORDER BY t.family, t.value {order}, t.number),
        spread AS (
            SELECT t.family, count(*) AS trials, avg(t.value) AS mean, stddev_samp(t.value) AS sd
            FROM trials t WHERE t.study_id = :study AND {_RANKED} GROUP BY t.family)
        SELECT best.*, spread.trials, spread.mean, spread.sd FROM best JOIN spread USING (family)
        ORDER BY best.value {order}, best.number"""  # noqa: S608
    rows = connection.execute(text(query), {"study": study}).all()
    ranks = _competition_ranks([row.value for row in rows])
    entries = [_ranked_family(rank, row, baseline) for rank, row in zip(ranks, rows, strict=True)]
    return FamilyRanking(
        job_id=job_id,
        objective=objective,
        baseline=next((entry for entry in entries if entry.is_baseline), None),
        entries=entries[:limit],
    )


def _ranked_family(rank: int, row: Row[Any], baseline: str) -> RankedFamily:
    return RankedFamily(
        rank=rank,
        family=row.family,
        trials=row.trials,
        best=row.value,
        mean=row.mean,
        sd=row.sd,
        best_trial=to_trial(row),
        is_baseline=row.family == baseline,
    )


def _ranked_job(connection: Connection, job_id: UUID) -> tuple[int, ObjectiveInfo, str]:
    """A job's study, objective and baseline family."""
    query = "SELECT study_id, metric, direction, request #>> '{baseline,family}' AS baseline FROM jobs WHERE id = :job"
    row = connection.execute(text(query), {"job": job_id}).first()
    if row is None:
        raise NotFound("job", str(job_id))
    return row.study_id, ObjectiveInfo(metric=row.metric, direction=Direction(row.direction)), row.baseline


def _competition_ranks(values: Sequence[float]) -> list[int]:
    """Ranks of sorted values, equal ones sharing theirs: 1, 2, 2, 4."""
    ranks: list[int] = []
    for place, value in enumerate(values, start=1):
        ranks.append(ranks[-1] if place > 1 and value == values[place - 2] else place)
    return ranks
