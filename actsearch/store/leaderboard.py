"""What the completed jobs of an architecture and a task say of families: verdicts, and the bests of searches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, text

from actsearch.schemas import ActivationSpec, Verdict
from actsearch.schemas.rankings import SearchGain, VerdictOfJob

LATEST = 200
"""Jobs that count: the latest of the pair."""

JOBS = """
    SELECT id, study_id, direction, metric, verdict FROM jobs
    WHERE architecture = :architecture AND task = :task AND state = 'completed'
    ORDER BY created_at DESC, id DESC LIMIT :limit
"""

# Each family's best, and the baseline's, of searches; infinities and NaN do not count.
BESTS = """
    SELECT DISTINCT ON (j.id, t.is_baseline, t.family) j.id AS job_id, t.is_baseline, t.family, t.activations,
           t.number, CASE WHEN j.direction = 'maximize' THEN t.value ELSE -t.value END AS merit
    FROM jobs j JOIN trials t ON t.study_id = j.study_id
    WHERE j.id = ANY(:jobs) AND t.state = 'complete' AND t.value > '-Infinity' AND t.value < 'Infinity'
        AND t.family IS NOT NULL
    ORDER BY j.id, t.is_baseline, t.family, merit DESC, t.number
"""


@dataclass(frozen=True)
class JobsOfPair:
    """The latest completed jobs of a pair: how many, their verdicts, and what their searches gained."""

    count: int
    verdicts: list[VerdictOfJob]
    searches: list[SearchGain]


def jobs_of_pair(connection: Connection, architecture: str, task: str) -> JobsOfPair:
    """What the latest completed jobs of an architecture and a task found."""
    values = {"architecture": architecture, "task": task, "limit": LATEST}
    jobs = connection.execute(text(JOBS), values).all()
    verdicts = [VerdictOfJob(job_id=job.id, verdict=Verdict.model_validate(job.verdict)) for job in jobs if job.verdict]
    return JobsOfPair(len(jobs), verdicts, _of_searches(connection, {job.id: job.metric for job in jobs}))


def _of_searches(connection: Connection, metrics: Mapping[UUID, str]) -> list[SearchGain]:
    rows = connection.execute(text(BESTS), {"jobs": list(metrics)}).all()
    bars = {row.job_id: row.merit for row in rows if row.is_baseline}
    return [
        SearchGain(
            job_id=row.job_id,
            metric=metrics[row.job_id],
            family=row.family,
            activations={key: ActivationSpec.model_validate(spec) for key, spec in row.activations.items()},
            trial=row.number,
            gain=row.merit - bars[row.job_id],
        )
        for row in rows
        if not row.is_baseline and row.job_id in bars
    ]
