"""Rankings of a job's complete trials: by trial and by family. Ties share a rank and stand in order of trial number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from actsearch.errors import NotFound
from actsearch.schemas import (
    ActivationRanking,
    Direction,
    FamilyRanking,
    FamilyWithout,
    Interval,
    ObjectiveInfo,
    RankedActivation,
    RankedFamily,
    RankedTrial,
    SeedSpread,
    Trial,
    TrialRanking,
)
from actsearch.schemas.metrics import within_range
from actsearch.store.trials import COLUMNS, finished_trials, to_trial

_NARROW = "t.id AS internal_id, t.number, t.value, t.family, t.is_baseline"
# NaN compares greater than infinity in PostgreSQL, so this leaves the finite ones.
_RANKED = "t.state = 'complete' AND t.value > '-Infinity' AND t.value < 'Infinity'"
_ORDER = {Direction.maximize: "DESC", Direction.minimize: "ASC"}


def rank_trials(connection: Connection, job_id: UUID, limit: int) -> TrialRanking:
    """The best `limit` complete trials and the rank of trial 0, the baseline.

    Raises:
        NotFound: no such job.
    """
    study, objective, _ = _ranked_job(connection, job_id)
    order = _ORDER[objective.direction]
    query = f"""SELECT {_NARROW} FROM trials t JOIN jobs j USING (study_id)
        WHERE t.study_id = :study AND {_RANKED} ORDER BY t.value {order}, t.number LIMIT :limit"""  # noqa: S608
    rows = connection.execute(text(query), {"study": study, "limit": limit}).all()
    values = [row.value for row in rows]
    noise = seed_noise(connection, job_id, objective.metric)
    shown = _trials_of(connection, job_id, rows)
    places = zip(competition_ranks(values), _ties(values, noise), shown, strict=True)
    return TrialRanking(
        job_id=job_id,
        objective=objective,
        noise=noise,
        baseline=_ranked_baseline(connection, job_id, study, noise),
        entries=[RankedTrial(rank=rank, tied_with_first=tied, trial=trial) for rank, tied, trial in places],
    )


def _trials_of(connection: Connection, job_id: UUID, rows: Sequence[Row[Any]]) -> list[Trial]:
    """The rows' trials.

    Raises:
        NotFound: the job was deleted meanwhile.
    """
    found = finished_trials(connection, [row.internal_id for row in rows])
    if len(found) < len(rows):
        raise NotFound("job", str(job_id))
    return found


def _ranked_baseline(connection: Connection, job_id: UUID, study: int, noise: float | None) -> RankedTrial | None:
    query = f"""
        WITH kept AS (SELECT * FROM family_tallies WHERE study_id = :study)
        SELECT {_NARROW}, (SELECT sum(wins) FROM kept) AS better, abs(k.merit - (SELECT max(merit) FROM kept)) AS behind
        FROM kept k JOIN trials t ON t.id = k.trial_id JOIN jobs j ON j.study_id = t.study_id
        WHERE k.is_baseline ORDER BY k.merit DESC, k.number LIMIT 1"""  # noqa: S608 - constants of ours
    row = connection.execute(text(query), {"study": study}).first()
    if row is None:
        return None
    tied = None if noise is None else row.behind <= noise
    [trial] = _trials_of(connection, job_id, [row])
    return RankedTrial(rank=row.better + 1, tied_with_first=tied, trial=trial)


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


# The baseline's own trials may share their family with others.
_FAMILIES = f"""
    WITH kept AS (
        SELECT * FROM family_tallies WHERE study_id = :study AND family <> ''
    ), merged AS (
        SELECT family, sum(trials) AS trials, sum(mean * (trials / total)) AS mean,
               sum(wins) AS wins, max(merit) AS merit,
               (array_agg(number ORDER BY merit DESC, number))[1] AS number,
               (array_agg(trial_id ORDER BY merit DESC, number))[1] AS trial_id
        FROM (SELECT *, CAST(sum(trials) OVER (PARTITION BY family) AS float8) AS total FROM kept) shared
        GROUP BY family
    ), ranked AS (
        SELECT m.*, rank() OVER (ORDER BY m.merit DESC) AS rank, max(m.merit) OVER () - m.merit AS behind
        FROM merged m
    ), shown AS (
        (SELECT * FROM ranked ORDER BY merit DESC, number LIMIT :limit)
        UNION (SELECT * FROM ranked WHERE family = :baseline)
    )
    SELECT {_NARROW}, s.rank, s.behind, s.trials, s.mean, s.wins, k.bar IS NOT NULL AS has_bar,
           CASE WHEN s.trials > 1 THEN sqrt((
               SELECT sum(f.squares + f.trials * squared(f.mean - s.mean)) FROM kept f WHERE f.family = s.family
           ) / (s.trials - 1)) END AS sd
    FROM shown s JOIN trials t ON t.id = s.trial_id JOIN jobs j ON j.study_id = t.study_id
    JOIN tallies k ON k.study_id = t.study_id
    ORDER BY s.merit DESC, s.number
"""  # noqa: S608 - constants of ours


def rank_families(connection: Connection, job_id: UUID, limit: int) -> FamilyRanking:
    """Families by their best complete trial, with mean, its interval and how often the baseline's best was beaten.

    Raises:
        NotFound: no such job.
    """
    study, objective, baseline = _ranked_job(connection, job_id)
    values = {"study": study, "limit": limit, "baseline": baseline}
    rows = connection.execute(text(_FAMILIES), values).all()
    noise = seed_noise(connection, job_id, objective.metric)
    trials = _trials_of(connection, job_id, rows)
    found = zip(rows, trials, strict=True)
    entries = [_ranked_family(row, trial, baseline, noise, objective.metric) for row, trial in found]
    return FamilyRanking(
        job_id=job_id,
        objective=objective,
        noise=noise,
        baseline=next((entry for entry in entries if entry.is_baseline), None),
        entries=entries[:limit],
        without=_families_without(connection, study),
    )


# Names one after another by the index of families, which costs as many steps as there are names.
_WITHOUT = """
    WITH RECURSIVE names AS (
        (SELECT family, md5(family) AS key FROM trials WHERE study_id = :study AND family IS NOT NULL
         ORDER BY md5(family) LIMIT 1)
        UNION ALL
        SELECT next.family, next.key FROM names CROSS JOIN LATERAL (
            SELECT t.family, md5(t.family) AS key FROM trials t WHERE t.study_id = :study AND md5(t.family) > names.key
            ORDER BY md5(t.family) LIMIT 1) next
    ), missing AS (
        SELECT family, key FROM (SELECT * FROM names LIMIT :names) n WHERE family <> '' AND NOT EXISTS (
            SELECT 1 FROM family_tallies f WHERE f.study_id = :study AND f.family = n.family)
    )
    SELECT m.family, coalesce(t.failure_reason, CASE t.state WHEN 'complete' THEN 'not_finite' ELSE t.state END)
           AS outcome, count(*) AS trials, min(t.number) AS first,
           (array_agg(t.failure_detail ORDER BY t.number))[1] AS detail
    FROM missing m CROSS JOIN LATERAL (
        SELECT * FROM trials t WHERE t.study_id = :study AND md5(t.family) = m.key ORDER BY t.number LIMIT :trials) t
    GROUP BY 1, 2 ORDER BY m.family, count(*) DESC, outcome
"""
_NAMES, _LOOKED_AT, _TOLD = 2000, 20, 1000


def _families_without(connection: Connection, study: int) -> list[FamilyWithout]:
    """Families that were tried without a complete trial, and why."""
    values = {"study": study, "names": _NAMES, "trials": _LOOKED_AT}
    rows = connection.execute(text(_WITHOUT), values).all()
    found = {family: list(group) for family, group in groupby(rows, key=lambda row: row.family)}
    return [_family_without(family, group) for family, group in list(found.items())[:_TOLD]]


def _family_without(family: str, rows: Sequence[Row[Any]]) -> FamilyWithout:
    outcomes = {row.outcome: row.trials for row in rows}
    details = [row.detail for row in sorted(rows, key=lambda row: row.first) if row.detail]
    told = ", ".join(f"{count} {outcome.replace('_', ' ')}" for outcome, count in outcomes.items())
    return FamilyWithout(
        family=family,
        trials=sum(outcomes.values()),
        outcomes=outcomes,
        detail=details[0] if details else None,
        words=f"no complete trial: {told}" + (f" ({details[0]})" if details else ""),
    )


def _ranked_family(row: Row[Any], trial: Trial, baseline: str, noise: float | None, metric: str) -> RankedFamily:
    return RankedFamily(
        rank=row.rank,
        tied_with_first=_tied(row, noise),
        family=row.family,
        trials=row.trials,
        best=row.value,
        mean=row.mean,
        sd=row.sd,
        interval=_interval(row.mean, row.sd, row.trials, metric),
        wins=row.wins if row.has_bar else None,
        best_trial=trial,
        is_baseline=row.family == baseline,
    )


def _interval(mean: float, sd: float | None, count: int, metric: str) -> Interval | None:
    """95% of a mean, by Student's t, within the metric's range."""
    if sd is None:
        return None
    half = _quantile(count - 1) * sd / math.sqrt(count)
    low, high = within_range(metric, mean, mean - half, mean + half)
    return Interval(low=low, high=high)


@lru_cache(1000)
def _quantile(freedom: int) -> float:
    """Of Student's t, which 2.5% exceed."""
    from scipy import stats

    return float(stats.t.ppf(0.975, freedom))


_ACTIVATIONS = f"""
    WITH shown AS (
        (SELECT * FROM activation_tallies WHERE study_id = :study ORDER BY merit DESC, number LIMIT :limit)
        UNION (SELECT * FROM activation_tallies WHERE study_id = :study AND key = activation_key(true, '{{}}'))
    ), again AS (
        SELECT activation_key(t.is_baseline, t.activations) AS key, count(*) AS replicates,
               avg(CAST(e.metrics ->> :metric AS float8)) AS confirmed
        FROM evaluations e JOIN trials t ON t.id = e.trial_id
        WHERE e.job_id = :job AND e.state = 'complete' AND NOT e.twin GROUP BY 1
    ), arms AS (
        SELECT activation_key(t.is_baseline, t.activations) AS key,
               (array_agg(arm #> '{{results,validation}}' ORDER BY t.number))[1] AS spread
        FROM jobs j CROSS JOIN jsonb_array_elements(
            j.verdict -> 'finalists' || jsonb_build_array(j.verdict -> 'baseline')) arm
        JOIN trials t ON t.study_id = j.study_id AND t.number = CAST(arm ->> 'trial' AS int)
        WHERE j.id = :job GROUP BY 1)
    SELECT {_NARROW}, s.trials, s.mean, sqrt(s.squares / nullif(s.trials - 1, 0)) AS sd,
           coalesce(again.replicates, 0) AS replicates, again.confirmed, arms.spread,
           max(s.merit) OVER () - s.merit AS behind,
           CASE WHEN t.is_baseline THEN (
               SELECT count(*) + 1 FROM activation_tallies a WHERE a.study_id = :study AND a.merit > s.merit
           ) ELSE rank() OVER (ORDER BY s.merit DESC) END AS rank
    FROM shown s JOIN trials t ON t.id = s.trial_id JOIN jobs j ON j.study_id = t.study_id LEFT JOIN again USING (key)
    LEFT JOIN arms USING (key)
    ORDER BY s.merit DESC, s.number
"""  # noqa: S608 - constants of ours


def rank_activations(connection: Connection, job_id: UUID, limit: int) -> ActivationRanking:
    """Activations by their best complete trial; what was trained with the same one is merged, replicates told beside.

    Raises:
        NotFound: no such job.
    """
    study, objective, _ = _ranked_job(connection, job_id)
    values = {"study": study, "job": job_id, "metric": f"validation_{objective.metric}", "limit": limit}
    rows = connection.execute(text(_ACTIVATIONS), values).all()
    noise = seed_noise(connection, job_id, objective.metric)
    trials = _trials_of(connection, job_id, rows)
    entries = [_ranked_activation(row, trial, noise) for row, trial in zip(rows, trials, strict=True)]
    return ActivationRanking(
        job_id=job_id,
        objective=objective,
        noise=noise,
        baseline=next((entry for entry in entries if entry.is_baseline), None),
        entries=entries[:limit],
    )


def _ranked_activation(row: Row[Any], trial: Trial, noise: float | None) -> RankedActivation:
    return RankedActivation(
        rank=row.rank,
        tied_with_first=_tied(row, noise),
        family=row.family or "",
        activations=trial.activations,
        trials=row.trials,
        best=row.value,
        mean=row.mean,
        sd=row.sd,
        replicates=row.replicates,
        confirmed=row.confirmed,
        spread=None if row.spread is None else SeedSpread.model_validate(row.spread),
        best_trial=trial,
        is_baseline=row.is_baseline,
    )


def _tied(row: Row[Any], noise: float | None) -> bool | None:
    return None if noise is None else row.behind <= noise


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
