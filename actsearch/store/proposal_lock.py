"""Taking turns at proposing a job's trials: docs/decisions/0043-runners-propose-in-turn.md."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

_PATIENCE = "10s"
_TURN = "SELECT pg_advisory_xact_lock(hashtextextended(:job, 0))"
_LOCK_NOT_AVAILABLE = "55P03"


@contextmanager
def proposing(engine: Engine, job_id: UUID) -> Iterator[None]:
    """For the length of the block, no other runner of the job proposes; the turn ends with the process, too.

    Whoever waits ten seconds goes on without its turn: a machine that has gone silent must not stop the others.
    """
    with engine.begin() as connection:
        connection.execute(text(f"SET LOCAL lock_timeout = '{_PATIENCE}'"))
        # The lock is all that this transaction holds, and proposing may take long.
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        try:
            with connection.begin_nested():
                connection.execute(text(_TURN), {"job": str(job_id)})
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
                raise
        yield
