"""Rankings of a job's complete trials: by trial and by family. Ties share a rank and stand in order of trial number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from actsearch.errors import NotFound
from actsearch.schemas import (
    ActivationRanking,
    Direction,
    FamilyRanking,
    Interval,
    ObjectiveInfo,
    RankedActivation,
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
    values = [row.value for row in rows]
    noise = seed_noise(connection, job_id, objective.metric)
    places = zip(competition_ranks(values), _ties(values, noise), rows, strict=True)
    return TrialRanking(
        job_id=job_id,
        objective=objective,
        noise=noise,
        baseline=_ranked_baseline(connection, study, objective.direction, noise),
        entries=[RankedTrial(rank=rank, tied_with_first=tied, trial=to_trial(row)) for rank, tied, row in places],
    )


def _ranked_baseline(
    connection: Connection, study: int, direction: Direction, noise: float | None
) -> RankedTrial | None:
    query = f"""SELECT {COLUMNS},
            (SELECT t3.value FROM trials t3 WHERE t3.study_id = t.study_id AND {_RANKED.replace("t.", "t3.")}
             ORDER BY t3.value {_ORDER[direction]} LIMIT 1) AS first,
            (SELECT count(*) FROM trials t2 WHERE t2.study_id = t.study_id AND {_RANKED.replace("t.", "t2.")}
             AND t2.value {_BETTER[direction]} t.value) AS better
        FROM trials t JOIN jobs j USING (study_id)
        WHERE t.study_id = :study AND t.is_baseline AND {_RANKED}
        ORDER BY t.value {_ORDER[direction]}, t.number LIMIT 1"""  # noqa: S608
    row = connection.execute(text(query), {"study": study}).first()
    if row is None:
        return None
    tied = _ties([row.first, row.value], noise)[1]
    return RankedTrial(rank=row.better + 1, tied_with_first=tied, trial=to_trial(row))


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
    """Families by their best complete trial, with mean, its interval and how often the baseline's best was beaten.

    Raises:
        NotFound: no such job.
    """
    study, objective, baseline = _ranked_job(connection, job_id)
    order, better = _ORDER[objective.direction], _BETTER[objective.direction]
    query = f"""
        WITH best AS (
            SELECT DISTINCT ON (t.family) {COLUMNS} FROM trials t JOIN jobs j USING (study_id)
            WHERE t.study_id = :study AND {_RANKED} AND t.family IS NOT NULL
            ORDER BY t.family, t.value {order}, t.number),
        bar AS (
            SELECT t.value FROM trials t WHERE t.study_id = :study AND t.is_baseline AND {_RANKED}
            ORDER BY t.value {order} LIMIT 1),
        spread AS (
            SELECT t.family, count(*) AS trials, avg(t.value) AS mean, stddev_samp(t.value) AS sd,
                   count(*) FILTER (WHERE t.value {better} bar.value) AS wins, bool_or(bar.value IS NOT NULL) AS has_bar
            FROM trials t LEFT JOIN bar ON TRUE WHERE t.study_id = :study AND {_RANKED} GROUP BY t.family)
        SELECT best.*, spread.trials, spread.mean, spread.sd, spread.wins, spread.has_bar
        FROM best JOIN spread USING (family)
        ORDER BY best.value {order}, best.number"""  # noqa: S608
    rows = connection.execute(text(query), {"study": study}).all()
    noise = seed_noise(connection, job_id, objective.metric)
    values = [row.value for row in rows]
    places = zip(competition_ranks(values), _ties(values, noise), rows, strict=True)
    entries = [_ranked_family(rank, tied, row, baseline) for rank, tied, row in places]
    return FamilyRanking(
        job_id=job_id,
        objective=objective,
        noise=noise,
        baseline=next((entry for entry in entries if entry.is_baseline), None),
        entries=entries[:limit],
    )


def _ranked_family(rank: int, tied: bool | None, row: Row[Any], baseline: str) -> RankedFamily:
    return RankedFamily(
        rank=rank,
        tied_with_first=tied,
        family=row.family,
        trials=row.trials,
        best=row.value,
        mean=row.mean,
        sd=row.sd,
        interval=_interval(row.mean, row.sd, row.trials),
        wins=row.wins if row.has_bar else None,
        best_trial=to_trial(row),
        is_baseline=row.family == baseline,
    )


def _interval(mean: float, sd: float | None, count: int) -> Interval | None:
    """95% of a mean, by Student's t."""
    if sd is None:
        return None
    from scipy import stats

    half = float(stats.t.ppf(0.975, count - 1)) * sd / math.sqrt(count)
    return Interval(low=mean - half, high=mean + half)


def rank_activations(connection: Connection, job_id: UUID, limit: int) -> ActivationRanking:
    """Activations by their best complete trial; what was trained with the same one is merged, replicates told beside.

    Raises:
        NotFound: no such job.
    """
    study, objective, _ = _ranked_job(connection, job_id)
    order = _ORDER[objective.direction]
    # Trial 0 writes the baseline down once for all sites, the sampler by group: one activation all the same.
    key = "CASE WHEN t.is_baseline THEN '{}' ELSE t.activations END"
    query = f"""
        WITH best AS (
            SELECT DISTINCT ON ({key}) {key} AS key, {COLUMNS} FROM trials t JOIN jobs j USING (study_id)
            WHERE t.study_id = :study AND {_RANKED} ORDER BY {key}, t.value {order}, t.number),
        spread AS (
            SELECT {key} AS key, count(*) AS trials, avg(t.value) AS mean, stddev_samp(t.value) AS sd
            FROM trials t WHERE t.study_id = :study AND {_RANKED} GROUP BY 1),
        again AS (
            SELECT {key} AS key, count(*) AS replicates, avg(CAST(e.metrics ->> :metric AS float8)) AS confirmed
            FROM evaluations e JOIN trials t ON t.id = e.trial_id
            WHERE e.job_id = :job AND e.state = 'complete' AND NOT e.twin GROUP BY 1)
        SELECT best.*, spread.trials, spread.mean, spread.sd, coalesce(again.replicates, 0) AS replicates,
               again.confirmed
        FROM best JOIN spread USING (key) LEFT JOIN again USING (key)
        ORDER BY best.value {order}, best.number"""  # noqa: S608
    values = {"study": study, "job": job_id, "metric": f"validation_{objective.metric}"}
    rows = connection.execute(text(query), values).all()
    noise = seed_noise(connection, job_id, objective.metric)
    bests = [row.value for row in rows]
    places = zip(competition_ranks(bests), _ties(bests, noise), rows, strict=True)
    entries = [_ranked_activation(rank, tied, row) for rank, tied, row in places]
    return ActivationRanking(
        job_id=job_id,
        objective=objective,
        noise=noise,
        baseline=next((entry for entry in entries if entry.is_baseline), None),
        entries=entries[:limit],
    )


def _ranked_activation(rank: int, tied: bool | None, row: Row[Any]) -> RankedActivation:
    trial = to_trial(row)
    return RankedActivation(
        rank=rank,
        tied_with_first=tied,
        family=row.family or "",
        activations=trial.activations,
        trials=row.trials,
        best=row.value,
        mean=row.mean,
        sd=row.sd,
        replicates=row.replicates,
        confirmed=row.confirmed,
        best_trial=trial,
        is_baseline=row.is_baseline,
    )


_NOISE = """
    SELECT sqrt(sum(spread.variance * (spread.runs - 1)) / nullif(sum(spread.runs - 1), 0)) FROM (
        SELECT count(*) AS runs, var_samp(CAST(metrics ->> :metric AS float8)) AS variance
        FROM evaluations WHERE job_id = :job AND state = 'complete'
        GROUP BY arm HAVING count(*) > 1) AS spread
"""


def seed_noise(connection: Connection, job_id: UUID, metric: str) -> float | None:
    """How far two runs that differ by their seed alone lie apart, at most, in 95 of 100 cases.

    From the standard deviation within the arms of confirmation; None where there are none.
    """
    values = {"job": job_id, "metric": f"validation_{metric}"}
    sd = connection.execute(text(_NOISE), values).scalar()
    return None if sd is None else 1.96 * math.sqrt(2) * float(sd)


def _ties(values: Sequence[float], noise: float | None) -> list[bool | None]:
    """For sorted values, whether each is within the noise of the first."""
    return [None if noise is None else abs(value - values[0]) <= noise for value in values]


def _ranked_job(connection: Connection, job_id: UUID) -> tuple[int, ObjectiveInfo, str]:
    """A job's study, objective and baseline family."""
    query = """SELECT study_id, metric, direction,
            (SELECT t.family FROM trials t WHERE t.study_id = j.study_id AND t.number = 0) AS baseline
        FROM jobs j WHERE id = :job"""
    row = connection.execute(text(query), {"job": job_id}).first()
    if row is None:
        raise NotFound("job", str(job_id))
    return row.study_id, ObjectiveInfo(metric=row.metric, direction=Direction(row.direction)), row.baseline


def competition_ranks(values: Sequence[Any]) -> list[int]:
    """Ranks of sorted values, equal ones sharing theirs: 1, 2, 2, 4."""
    ranks: list[int] = []
    for place, value in enumerate(values, start=1):
        ranks.append(ranks[-1] if place > 1 and value == values[place - 2] else place)
    return ranks
