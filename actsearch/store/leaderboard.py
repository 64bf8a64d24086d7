"""Families across jobs: what each gained over the baseline of the same job, for one architecture and task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from actsearch.schemas import ActivationSpec, Leader, Leaderboard, Verdict
from actsearch.store.ranking import competition_ranks

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


def leaderboard(connection: Connection, architecture: str, task: str, limit: int) -> Leaderboard:
    """The leaderboard of an architecture and a task; empty where no job is completed."""
    values = {"architecture": architecture, "task": task, "limit": LATEST}
    jobs = connection.execute(text(JOBS), values).all()
    found = [leader for job in jobs if job.verdict for leader in _of_verdict(job.id, job.verdict)]
    found += _of_searches(connection, {job.id: job.metric for job in jobs})
    tried = Counter(family for family, _ in {(leader.family, leader.job_id) for leader in found})
    return Leaderboard(
        architecture=architecture, task=task, jobs=len(jobs), entries=_ranked(_best_of_each(found), tried)[:limit]
    )


def _of_verdict(job_id: UUID, stored: Any) -> Iterator[Leader]:
    verdict = Verdict.model_validate(stored)
    for finalist in verdict.finalists:
        if finalist.test is not None:
            yield Leader(
                rank=0,
                family=finalist.family,
                activations=finalist.activations,
                evidence="verdict",
                gain=finalist.test.difference,
                interval=finalist.test.interval,
                outcome=finalist.test.outcome,
                metric=verdict.metric,
                job_id=job_id,
                trial=finalist.trial,
                jobs=1,
            )


def _of_searches(connection: Connection, metrics: dict[UUID, str]) -> list[Leader]:
    rows = connection.execute(text(BESTS), {"jobs": list(metrics)}).all()
    bars = {row.job_id: row.merit for row in rows if row.is_baseline}
    return [
        Leader(
            rank=0,
            family=row.family,
            activations={key: ActivationSpec.model_validate(spec) for key, spec in row.activations.items()},
            evidence="search",
            gain=row.merit - bars[row.job_id],
            interval=None,
            outcome=None,
            metric=metrics[row.job_id],
            job_id=row.job_id,
            trial=row.number,
            jobs=1,
        )
        for row in rows
        if not row.is_baseline and row.job_id in bars
    ]


def _best_of_each(leaders: Iterable[Leader]) -> list[Leader]:
    """Each family's best entry; a verdict comes before any search."""
    best: dict[str, Leader] = {}
    for leader in sorted(leaders, key=_place):
        best.setdefault(leader.family, leader)
    return list(best.values())


def _place(leader: Leader) -> tuple[bool, float, str]:
    merit = leader.interval.low if leader.interval else leader.gain
    return leader.evidence != "verdict", -merit, leader.family


def _ranked(leaders: Sequence[Leader], tried: Counter[str]) -> list[Leader]:
    ranks = competition_ranks([_place(leader)[:2] for leader in leaders])
    return [
        leader.model_copy(update={"rank": rank, "jobs": tried[leader.family]})
        for rank, leader in zip(ranks, leaders, strict=True)
    ]
