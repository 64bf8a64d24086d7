"""Trials, as clients see them: one by id, or a job's, filtered and sorted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any, Literal
from uuid import UUID
from weakref import WeakKeyDictionary

from cachetools import LRUCache
from sqlalchemy import Connection, Engine, Row, text

from actsearch.errors import NotFound
from actsearch.schemas import ActivationSpec, CurvePoint, Failure, FailureReason, Page, Trial, TrialState
from actsearch.store import points
from actsearch.store.cursors import Keyset, Whole

COLUMNS = """t.id AS internal_id, t.uid, j.id AS job_id, t.number, t.state, t.value, t.is_baseline, t.family,
    t.activations, t.params, t.metrics, t.failure_reason, t.failure_detail, t.attempt, t.worker, t.started_at,
    t.finished_at, t.user_attrs ->> 'warm_start' AS warm_start"""

Sort = Literal["number", "-number", "value", "-value"]

# Keys, where the next page begins, and the order: by trial number, or by value with ties in order of number.
_ORDERS: Mapping[Sort, tuple[Keyset, str, str]] = {
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
    sort: Sort = "number",
    limit: int = 100,
    cursor: str | None = None,
) -> Page[Trial]:
    """A job's trials without their curves; sorted by value, only those that have one.

    Raises:
        NotFound: no such job.
        InvalidRequest: the cursor is not one that an earlier page of the same list gave.
    """
    study = connection.execute(text("SELECT study_id FROM jobs WHERE id = :job"), {"job": job_id}).scalar()
    if study is None:
        raise NotFound("job", str(job_id))
    keys, after, order = _ORDERS[sort]
    where = ["t.study_id = :study", *(["t.value IS NOT NULL"] if "value" in sort else [])]
    values: dict[str, Any] = {"study": study, "limit": limit + 1}
    if state is not None:
        where.append("t.state = :state")
        values["state"] = state
    if family is not None:
        where.append("md5(t.family) = md5(:family) AND t.family = :family")  # long ones fit no index
        values["family"] = family
    if cursor is not None:
        where.append(after)
        values |= keys.place(cursor)
    is_final = "value" in sort or (state is not None and state not in (TrialState.waiting, TrialState.running))
    query = f"""SELECT {"t.id AS internal_id, t.number, t.value" if is_final else COLUMNS}
        FROM trials t JOIN jobs j USING (study_id)
        WHERE {" AND ".join(where)} ORDER BY {order} LIMIT :limit"""  # noqa: S608 - pieces are ours, values are bound
    rows, further = keys.page(connection.execute(text(query), values).all(), limit)
    found = finished_trials(connection, [row.internal_id for row in rows]) if is_final else map(to_trial, rows)
    return Page[Trial](items=list(found), next_cursor=further)


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
