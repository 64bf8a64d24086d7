"""What PostgreSQL does that is nobody's fault; told once by us, not by each library with a traceback of its own."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import psycopg
from sqlalchemy.exc import TimeoutError as PoolTimeout

_GONE = ("08", "57P")
"""Classes of SQLSTATE: connection exceptions, and a server that shuts down or crashes."""

_INFRASTRUCTURE = ("08", "25", "40", "53", "55", "57", "58", "XX")
"""Classes of SQLSTATE that no request causes: connections, read-only servers, conflicts, a full disk, too many
connections, locks, shutdowns, input and output, corruption."""


def is_lost(error: BaseException | None) -> bool:
    """Whether an exception, or what it came from, says that the database cannot be reached."""
    return any(
        isinstance(one, psycopg.OperationalError) and (one.sqlstate or "08").startswith(_GONE) for one in causes(error)
    )


def is_infrastructure(error: BaseException) -> bool:
    """Whether an exception, or what it came from, is of the database's making: what was asked of it will do later."""
    return any(_is_infrastructure(one) for one in causes(error))


def _is_infrastructure(error: BaseException) -> bool:
    if isinstance(error, psycopg.Error):
        lost = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        return lost if error.sqlstate is None else error.sqlstate.startswith(_INFRASTRUCTURE)
    return isinstance(error, PoolTimeout)


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An exception, what it came from, what that came from ..."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def silence_libraries() -> None:
    """Leave out of the log what libraries say of a lost database; the worker says it in one line."""
    for handler in logging.getLogger().handlers:
        handler.addFilter(_says_something_else)


def _says_something_else(record: logging.LogRecord) -> bool:
    return record.name != "psycopg.pool" and not (record.exc_info and is_lost(record.exc_info[1]))
