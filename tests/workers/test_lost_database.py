"""Which errors mean that PostgreSQL is gone."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors

from actsearch_workers.lost_database import is_lost


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (psycopg.OperationalError("connection failed"), True),
        (errors.AdminShutdown(), True),
        (errors.ConnectionFailure(), True),
        (errors.DeadlockDetected(), False),
        (errors.QueryCanceled(), False),
        (ValueError("nan"), False),
    ],
)
def test_only_a_connection_that_ended_counts(error: Exception, lost: bool) -> None:
    above = RuntimeError("somewhere above")
    above.__cause__ = error
    assert is_lost(above) is lost
