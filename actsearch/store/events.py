"""What happened to a job, for those who look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field
from sqlalchemy import Connection, Row, text

from actsearch.errors import NotFound
from actsearch.schemas import Event, Page
from actsearch.store.cursors import Keyset

_KEYS = Keyset("events", id=Annotated[int, Field(ge=0, lt=2**63)])
_LIST = """
    SELECT id, kind, created_at, data FROM events WHERE job_id = :job AND id > :id ORDER BY id LIMIT :limit
"""


def list_events(connection: Connection, job_id: UUID, *, limit: int = 100, cursor: str | None = None) -> Page[Event]:
    """A job's events, in order.

    Raises:
        NotFound: no such job.
        InvalidRequest: the cursor is not one that an earlier page gave.
    """
    if connection.execute(text("SELECT 1 FROM jobs WHERE id = :job"), {"job": job_id}).first() is None:
        raise NotFound("job", str(job_id))
    after = {"id": 0} if cursor is None else _KEYS.place(cursor)
    rows = connection.execute(text(_LIST), {"job": job_id, "limit": limit + 1, **after}).all()
    kept, further = _KEYS.page(rows, limit)
    return Page[Event](items=_events(kept), next_cursor=further)


def events_after(connection: Connection, job_id: UUID, last: int, limit: int = 100) -> list[Event]:
    """The first events of a job with an id above `last`, in order.

    Whoever writes one has the job's row locked (`jobs.lock`), so that none with a smaller id comes later.
    """
    return _events(connection.execute(text(_LIST), {"job": job_id, "id": last, "limit": limit}).all())


def _events(rows: Sequence[Row[Any]]) -> list[Event]:
    return [
        Event(
            id=row.id,
            kind=row.kind,
            at=row.created_at,
            by=row.data.get("by"),
            data={name: value for name, value in row.data.items() if name != "by"},
        )
        for row in rows
    ]
