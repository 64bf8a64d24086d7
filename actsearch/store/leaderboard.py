"""What the completed jobs of an architecture and a task say of families: verdicts, and the bests of searches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from uuid import UUID
from weakref import WeakKeyDictionary

from cachetools import LRUCache
from sqlalchemy import Connection, Engine, text

from actsearch.schemas import ActivationSpec, Verdict
from actsearch.schemas.rankings import SearchGain, VerdictOfJob

LATEST = 200
"""Jobs that count: the latest of the pair."""

_LATEST = """FROM jobs
    WHERE architecture = :architecture AND task = :task AND state = 'completed'
    ORDER BY created_at DESC, id DESC LIMIT :limit
"""
JOBS = f"SELECT id, verdict {_LATEST}"

# Jobs that are over do not change: what these say changes when others are the latest.
WHICH = f"SELECT md5(string_agg(concat(id, ' ', finished_at), ',')) FROM (SELECT id, finished_at {_LATEST}) latest"  # noqa: S608 - a constant of ours

# Each family's best over the baseline's best, where it does not compute the baseline, over jobs.
GAINS = """
    WITH gains AS (
        SELECT j.id AS job_id, j.metric, f.family, f.trial_id, mild(f.merit) - mild(k.bar) AS gain
        FROM jobs j JOIN tallies k ON k.study_id = j.study_id JOIN family_tallies f ON f.study_id = j.study_id
        WHERE j.id = ANY(:jobs) AND k.bar IS NOT NULL AND NOT f.is_baseline AND f.family <> ''
    ), families AS (
        SELECT family, metric, count(*) AS jobs, avg(gain) AS gain,
               (array_agg(job_id ORDER BY gain DESC, job_id))[1] AS job_id,
               (array_agg(trial_id ORDER BY gain DESC, job_id))[1] AS trial_id
        FROM gains GROUP BY family, metric ORDER BY avg(gain) DESC, family LIMIT :limit
    )
    SELECT f.family, f.metric, f.jobs, f.gain, f.job_id, t.number, t.activations
    FROM families f JOIN trials t ON t.id = f.trial_id
"""


@dataclass(frozen=True)
class JobsOfPair:
    """The latest completed jobs of a pair: how many, their verdicts, and what their searches gained.

    Shared by all who ask for it, and not to be changed by them.
    """

    count: int
    verdicts: list[VerdictOfJob]
    searches: list[SearchGain]


# Few: one holds up to `LATEST` verdicts.
_KEPT = 8
_kept: WeakKeyDictionary[Engine, LRUCache[tuple[str, str, int, str | None], JobsOfPair]] = WeakKeyDictionary()
_keeping = Lock()


def jobs_of_pair(connection: Connection, architecture: str, task: str, limit: int) -> JobsOfPair:
    """What the latest completed jobs of an architecture and a task found.

    Args:
        limit: families wanted that no verdict speaks of, the best ones.
    """
    values = {"architecture": architecture, "task": task, "limit": LATEST}
    which = (architecture, task, limit, connection.execute(text(WHICH), values).scalar_one())
    with _keeping:
        kept = _kept.setdefault(connection.engine, LRUCache(_KEPT))
        if which in kept:
            return kept[which]
    jobs = connection.execute(text(JOBS), values).all()
    verdicts = [VerdictOfJob(job_id=job.id, verdict=Verdict.model_validate(job.verdict)) for job in jobs if job.verdict]
    spoken_of = sum(len(one.verdict.finalists) for one in verdicts)
    found = JobsOfPair(len(jobs), verdicts, _of_searches(connection, [job.id for job in jobs], limit + spoken_of))
    with _keeping:
        kept[which] = found
    return found


def _of_searches(connection: Connection, jobs: Sequence[UUID], limit: int) -> list[SearchGain]:
    rows = connection.execute(text(GAINS), {"jobs": list(jobs), "limit": limit})
    return [
        SearchGain(
            job_id=row.job_id,
            metric=row.metric,
            family=row.family,
            activations={key: ActivationSpec.model_validate(spec) for key, spec in row.activations.items()},
            trial=row.number,
            gain=row.gain,
            jobs=row.jobs,
        )
        for row in rows
    ]
