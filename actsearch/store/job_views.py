"""Jobs as clients see them: one, or lists."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from actsearch.errors import NotFound
from actsearch.schemas import (
    BestTrial,
    ConfirmationProgress,
    Direction,
    Job,
    JobField,
    JobRequest,
    JobState,
    JobSummary,
    ObjectiveInfo,
    Page,
    Progress,
    StopRule,
    Trial,
    Verdict,
)
from actsearch.store.cursors import Keyset
from actsearch.store.filters import Column, Fields
from actsearch.store.queue import ALIVE
from actsearch.store.searching import JOB_COLUMNS, Scope, Tie, find, search_of
from actsearch.store.trials import finished_trials

# Finished trials are counted as they finish; those under way are few.
_SEEN = f"""
    j.id, j.study_id, j.name, j.labels, j.owner, j.state, j.reason, j.stopped_by, j.architecture, j.task, j.metric,
    j.direction, j.budget_trials, j.created_at, j.started_at, j.finished_at, j.verdict ->> 'words' AS words,
    coalesce(k.complete, 0) AS complete, coalesce(k.pruned, 0) AS pruned, coalesce(k.failed, 0) AS failed,
    (SELECT count(*) FROM trials t WHERE t.study_id = j.study_id AND t.state = 'running') AS running,
    (SELECT count(*) FROM trials t WHERE t.study_id = j.study_id AND t.state = 'waiting') AS waiting,
    confirming.planned, confirming.over, confirming.under_way, first.trial_id AS best,
    (SELECT count(*) FROM ({ALIVE}) online WHERE cardinality(online.problems) < cardinality(online.devices)) AS online
"""  # noqa: S608 - a constant of ours
_FIELDS: Mapping[JobField, str] = {
    "request": "j.request",
    "verdict": "j.verdict",
    "notes": "coalesce((SELECT s.user_attrs -> 'notes' FROM studies s WHERE s.id = j.study_id), '[]') AS notes",
}
_FROM = """
    FROM jobs j LEFT JOIN tallies k ON k.study_id = j.study_id
    LEFT JOIN LATERAL (
        SELECT a.trial_id FROM activation_tallies a WHERE a.study_id = j.study_id
        ORDER BY a.merit DESC, a.number LIMIT 1
    ) first ON true
    CROSS JOIN LATERAL (
        SELECT count(*) AS planned, count(*) FILTER (WHERE e.state IN ('complete', 'failed')) AS over,
               count(*) FILTER (WHERE e.state = 'running') AS under_way
        FROM evaluations e WHERE e.job_id = j.id
    ) confirming
"""


def get_job(connection: Connection, job_id: UUID, stall_timeout: float) -> Job:
    """A job and how far it is; raises NotFound."""
    columns = ", ".join([_SEEN, *_FIELDS.values()])
    query = f"SELECT {columns} {_FROM} WHERE j.id = :job"
    row = connection.execute(text(query), {"job": job_id, "stall_timeout": stall_timeout}).first()
    if row is None:
        raise NotFound("job", str(job_id))
    return Job(
        **_seen(row),
        request=JobRequest.model_validate(row.request),
        best=None if row.best is None else finished_trials(connection, [row.best])[0],
        verdict=None if row.verdict is None else Verdict.model_validate(row.verdict),
        notes=row.notes,
    )


def get_summary(connection: Connection, job_id: UUID, stall_timeout: float) -> JobSummary:
    """A job in short, as lists give it; raises NotFound."""
    values = {"job": job_id, "stall_timeout": stall_timeout}
    row = connection.execute(text(f"SELECT {_SEEN} {_FROM} WHERE j.id = :job"), values).first()
    if row is None:
        raise NotFound("job", str(job_id))
    return _summary(row, finished_trials(connection, [row.best])[0] if row.best is not None else None, ())


@dataclass(frozen=True)
class Owner:
    """Whose jobs: those of the client with this name; None for those that were submitted without a key."""

    name: str | None


_NUMBERS = {
    "priority": "j.priority",
    "parallelism": "j.parallelism",
    "trials": "j.budget_trials",
    "complete": "coalesce(k.complete, 0)",
    "pruned": "coalesce(k.pruned, 0)",
    "failed": "coalesce(k.failed, 0)",
    "finished": "coalesce(k.complete + k.pruned + k.failed, 0)",
    "value": "(SELECT t.value FROM trials t WHERE t.id = first.trial_id)",
    "seconds": "CAST(extract(epoch FROM j.finished_at - j.started_at) AS float8)",
}
_SEARCHED = Fields(
    {name: Column(f"j.{column}", kind) for name, (column, kind) in JOB_COLUMNS.items()}
    | {name: Column(sql, "number") for name, sql in _NUMBERS.items()}
    | {
        "state": Column("j.state", "text", tuple(JobState)),
        "stopped_by": Column("j.stopped_by", "text", tuple(StopRule)),
        "started_at": Column("j.started_at", "time"),
        "finished_at": Column("j.finished_at", "time"),
    },
    {"request": "j.request"},
)
_KEYS = Keyset("jobs", created_at=datetime, id=UUID)


def list_jobs(
    connection: Connection,
    stall_timeout: float,
    *,
    state: JobState | None = None,
    fields: Collection[JobField] = (),
    of: Owner | None = None,
    filter: str | None = None,  # noqa: A002 - as clients know it
    sort: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[JobSummary]:
    """Jobs, newest first unless `sort` says otherwise.

    Args:
        stall_timeout: seconds without a heartbeat after which a worker counts as gone.
        state: only jobs in this state.
        fields: what to give of each beside its summary.
        of: only jobs of this owner.
        filter: only jobs for which this holds: see `filters`.
        sort: a field, `-` for descending; then only jobs that have it.
        limit: at most this many.
        cursor: `next_cursor` of the page before.

    Raises:
        InvalidRequest: the cursor is not one that an earlier page of the same list gave; the filter or what it sorts by
            is none, or takes too long.
    """
    where = ["TRUE"]
    values: dict[str, Any] = {"stall_timeout": stall_timeout}
    if state is not None:
        where.append("j.state = :state")
        values["state"] = state
    if of is not None:
        # Not `IS NOT DISTINCT FROM`: no index serves that.
        where.append("j.owner IS NULL" if of.name is None else "j.owner = :owner")
        values["owner"] = of.name
    columns = ", ".join([_SEEN, *(_FIELDS[field] for field in _FIELDS if field in fields)])
    if filter is None and sort is None:
        values["limit"] = limit + 1
        if cursor is not None:
            where.append("(j.created_at, j.id) < (:created_at, :id)")
            values |= _KEYS.place(cursor)
        query = f"""SELECT {columns} {_FROM}
            WHERE {" AND ".join(where)} ORDER BY j.created_at DESC, j.id DESC LIMIT :limit"""
        rows, further = _KEYS.page(connection.execute(text(query), values).all(), limit)
    else:
        scope = Scope(_FROM, where, values, Tie("j.id", UUID), "jobs")
        rows, further = find(connection, scope, _SEARCHED, columns, search_of(_SEARCHED, filter, sort, limit, cursor))
    trials = finished_trials(connection, [row.best for row in rows if row.best is not None])
    best = {trial.job_id: trial for trial in trials}
    return Page[JobSummary](items=[_summary(row, best.get(row.id), fields) for row in rows], next_cursor=further)


def _summary(row: Row[Any], best: Trial | None, fields: Collection[JobField]) -> JobSummary:
    return JobSummary(
        **_seen(row),
        best=None if best is None else _short(best),
        request=JobRequest.model_validate(row.request) if "request" in fields else None,
        verdict=Verdict.model_validate(row.verdict) if "verdict" in fields and row.verdict is not None else None,
        notes=row.notes if "notes" in fields else None,
    )


def _short(trial: Trial) -> BestTrial:
    assert trial.value is not None  # noqa: S101 - only finite values are tallied
    return BestTrial(id=trial.id, number=trial.number, value=trial.value, family=trial.family)


def _seen(row: Row[Any]) -> dict[str, Any]:
    """What lists and single jobs have in common."""
    confirmation = ConfirmationProgress(planned=row.planned, finished=row.over, running=row.under_way)
    counts = {state: getattr(row, state) for state in ("complete", "pruned", "failed", "running", "waiting")}
    finished = row.complete + row.pruned + row.failed
    same = ("id", "name", "labels", "owner", "reason", "stopped_by", "architecture", "task", "words")
    times = ("created_at", "started_at", "finished_at")
    return {name: getattr(row, name) for name in (*same, *times)} | {
        "state": JobState(row.state),
        "objective": ObjectiveInfo(metric=row.metric, direction=Direction(row.direction)),
        "progress": Progress(budget=row.budget_trials, finished=finished, **counts),
        "confirmation": confirmation if row.planned else None,
        "workers_online": row.online,
        "dashboard": f"/dashboard/studies/{row.study_id}",
    }
