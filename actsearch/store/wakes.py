"""Notices of the database that something of a job changed; what, is read from the tables."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from psycopg import AsyncConnection
from sqlalchemy import Connection, Engine, text

from actsearch.errors import NotFound

_CHANNEL = "actsearch_jobs"


@asynccontextmanager
async def listening(engine: Engine) -> AsyncIterator[AsyncIterator[int]]:
    """Ids of the studies of which something changed, from now on; on a connection apart.

    Raises:
        psycopg.OperationalError: the database cannot be reached, or no longer.
    """
    arguments, keywords = engine.dialect.create_connect_args(engine.url)
    connection = await AsyncConnection.connect(*arguments, **keywords, autocommit=True)
    async with connection:
        await connection.execute(f"LISTEN {_CHANNEL}")
        yield (int(notice.payload) async for notice in connection.notifies())


def study_of(connection: Connection, job_id: UUID) -> int:
    """Id of a job's study, by which notices name it; raises NotFound."""
    study: int | None = connection.execute(text("SELECT study_id FROM jobs WHERE id = :job"), {"job": job_id}).scalar()
    if study is None:
        raise NotFound("job", str(job_id))
    return study
