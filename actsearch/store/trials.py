"""Trials, as clients see them: one by id, or a job's, filtered and sorted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

from cachetools import LRUCache
from sqlalchemy import Connection, Engine, Row, text

from actsearch.errors import NotFound
from actsearch.schemas import ActivationSpec, CurvePoint, Failure, FailureReason, Page, Trial, TrialState
from actsearch.store import points
from actsearch.store.cursors import Keyset, Long, Whole
from actsearch.store.filters import Column, Fields
from actsearch.store.searching import JOB_COLUMNS, Scope, Tie, find, search_of

COLUMNS = """t.id AS internal_id, t.uid, j.id AS job_id, t.number, t.state, t.value, t.is_baseline, t.family,
    t.activations, t.params, t.metrics, t.failure_reason, t.failure_detail, t.attempt, t.worker, t.started_at,
    t.finished_at, t.user_attrs ->> 'warm_start' AS warm_start"""

_FIELDS = Fields(
    {
        "number": Column("t.number", "number"),
        "state": Column("t.state", "text", tuple(TrialState)),
        "value": Column("t.value", "number"),
        "family": Column("t.family", "text"),
        "is_baseline": Column("t.is_baseline", "bool"),
        "failure": Column("t.failure_reason", "text", tuple(FailureReason)),
        "attempt": Column("t.attempt", "number"),
        "worker": Column("t.worker", "text"),
        "seconds": Column("CAST(extract(epoch FROM t.finished_at - t.started_at) AS float8)", "number"),
        "started_at": Column("t.started_at", "time"),
        "finished_at": Column("t.finished_at", "time"),
    }
    | {f"job.{name}": Column(f"j.{column}", kind) for name, (column, kind) in JOB_COLUMNS.items()},
    {"metrics": "t.metrics", "params": "t.params"},
)

# Keys, where the next page begins, and the order: by trial number, or by value with ties in order of number.
_ORDERS: Mapping[str, tuple[Keyset, str, str]] = {
    "number": (Keyset("trials/number", number=Whole), "t.number > :number", "t.number"),
    "-number": (Keyset("trials/-number", number=Whole), "t.number < :number", "t.number DESC"),
    "value": (
        Keyset("trials/value", value=float, number=Whole),
        "t.value >= :value AND (t.value > :value OR t.number > :number)",
        "t.value, t.number",
    ),
    "-value": (
        Keyset("trials/-value", value=float, number=Whole),
        "t.value <= :value AND (t.value < :value OR t.number > :number)",
        "t.value DESC, t.number",
    ),
}


def get_trial(connection: Connection, trial_id: UUID) -> Trial:
    """A trial with its learning curve.

    Raises:
        NotFound: no such trial.
    """
    query = f"SELECT {COLUMNS} FROM trials t JOIN jobs j USING (study_id) WHERE t.uid = :uid"  # noqa: S608
    row = connection.execute(text(query), {"uid": trial_id}).first()
    if row is None:
        raise NotFound("trial", str(trial_id))
    return to_trial(row, points.curves(connection, [row.internal_id])[row.internal_id])


def list_trials(
    connection: Connection,
    job_id: UUID,
    *,
    state: TrialState | None = None,
    family: str | None = None,
    filter: str | None = None,  # noqa: A002 - as clients know it
    sort: str = "number",
    limit: int = 100,
    cursor: str | None = None,
) -> Page[Trial]:
    """A job's trials without their curves; sorted by anything but the number, only those that have it.

    Args:
        state: only those in this state.
        family: only those of this family.
        filter: only those for which this holds: see `filters`.
        sort: a field, `-` for descending.
        limit: at most this many.
        cursor: `next_cursor` of the page before.

    Raises:
        NotFound: no such job.
        InvalidRequest: the cursor is not one that an earlier page of the same list gave; the filter or what it sorts by
            is none, takes too long, or names a metric or parameter that no trial has.
    """
    is_searched = filter is not None or sort not in _ORDERS
    search = search_of(_FIELDS, filter, sort, limit, cursor) if is_searched else None
    study = connection.execute(text("SELECT study_id FROM jobs WHERE id = :job"), {"job": job_id}).scalar()
    if study is None:
        raise NotFound("job", str(job_id))
    where = ["t.study_id = :study"]
    values: dict[str, Any] = {"study": study}
    if state is not None:
        where.append("t.state = :state")
        values["state"] = state
    if family is not None:
        where.append("md5(t.family) = md5(:family) AND t.family = :family")  # long ones fit no index
        values["family"] = family
    if search is not None:
        scope = Scope(_FROM, where, values, Tie("t.number", Whole), "trials")
        rows, further = find(connection, scope, _FIELDS, _BRIEF, search)
        return Page[Trial](items=_read(connection, rows), next_cursor=further)
    keys, after, order = _ORDERS[sort]
    values["limit"] = limit + 1
    if "value" in sort:
        where.append("t.value IS NOT NULL")
    if cursor is not None:
        where.append(after)
        values |= keys.place(cursor)
    query = f"SELECT {_BRIEF} {_FROM} WHERE {' AND '.join(where)} ORDER BY {order} LIMIT :limit"
    rows, further = keys.page(connection.execute(text(query), values).all(), limit)
    return Page[Trial](items=_read(connection, rows), next_cursor=further)


def search_trials(
    connection: Connection,
    *,
    filter: str | None = None,  # noqa: A002 - as clients know it
    sort: str | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> Page[Trial]:
    """Trials of all jobs, without their curves, the newest first unless `sort` says otherwise; see `list_trials`.

    Raises:
        InvalidRequest: as there.
    """
    scope = Scope(_FROM, ["TRUE"], {}, Tie("t.id", Long), "trials of all jobs")
    rows, further = find(connection, scope, _FIELDS, _BRIEF, search_of(_FIELDS, filter, sort, limit, cursor))
    return Page[Trial](items=_read(connection, rows), next_cursor=further)


_FROM = "FROM trials t JOIN jobs j USING (study_id)"
_BRIEF = "t.id AS internal_id, t.number, t.value, t.state"
_FINAL = {TrialState.complete, TrialState.pruned, TrialState.failed}


def _read(connection: Connection, rows: Sequence[Row[Any]]) -> list[Trial]:
    """The trials of rows of `_BRIEF`, in their order."""
    over = finished_trials(connection, [row.internal_id for row in rows if row.state in _FINAL])
    going = [row.internal_id for row in rows if row.state not in _FINAL]
    if not going:
        return over
    query = f"SELECT {COLUMNS} {_FROM} WHERE t.id = ANY(:ids)"
    read = {row.internal_id: to_trial(row) for row in connection.execute(text(query), {"ids": going})}
    remaining = iter(over)
    return [read[row.internal_id] if row.internal_id in read else next(remaining) for row in rows]


# Trials that are over never change: those that were read are kept, by database, and are shared by who asks for them.
_KEPT = 20_000
_kept: WeakKeyDictionary[Engine, LRUCache[int, Trial]] = WeakKeyDictionary()
_keeping = Lock()


def finished_trials(connection: Connection, ids: Sequence[int]) -> list[Trial]:
    """Trials that are over, by internal id, without their curves; not to be changed by who gets them."""
    with _keeping:
        kept = _kept.setdefault(connection.engine, LRUCache(_KEPT))
        found = {one: kept[one] for one in ids if one in kept}
    missing = [one for one in ids if one not in found]
    if missing:
        query = f"SELECT {COLUMNS} FROM trials t JOIN jobs j USING (study_id) WHERE t.id = ANY(:ids)"  # noqa: S608
        read = {row.internal_id: to_trial(row) for row in connection.execute(text(query), {"ids": missing})}
        with _keeping:
            kept.update(read)
        found |= read
    return [found[one] for one in ids if one in found]


def to_trial(row: Row[Any], curve: points.Curve | None = None) -> Trial:
    """A row of `COLUMNS` as clients see it."""
    failure = None
    if row.failure_reason is not None:
        failure = Failure(reason=FailureReason(row.failure_reason), detail=row.failure_detail or "")
    return Trial(
        id=row.uid,
        job_id=row.job_id,
        number=row.number,
        state=TrialState(row.state),
        value=finite(row.value),
        is_baseline=row.is_baseline,
        family=row.family,
        activations={key: ActivationSpec.model_validate(spec) for key, spec in row.activations.items()},
        parameters=row.params,
        metrics=finite(row.metrics),
        curve=_curve(curve or {}),
        failure=failure,
        warm_start=row.warm_start,
        attempt=row.attempt,
        worker=row.worker,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


def _curve(curve: points.Curve) -> list[CurvePoint]:
    return [CurvePoint(epoch=epoch, metrics=finite(curve[epoch])) for epoch in sorted(curve)]


def finite(value: Any) -> Any:
    """`value` with null for NaN and infinities, which JSON cannot say."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return value
