"""PostgreSQL gone: told once by us, not by each library with a traceback of its own."""

from __future__ import annotations

import logging

import psycopg

_GONE = ("08", "57P")
"""Classes of SQLSTATE: connection exceptions, and a server that shuts down or crashes."""


def is_lost(error: BaseException | None) -> bool:
    """Whether an exception, or what it came from, says that the database cannot be reached."""
    while error is not None:
        if isinstance(error, psycopg.OperationalError) and (error.sqlstate or "08").startswith(_GONE):
            return True
        error = error.__cause__ or error.__context__
    return False


def silence_libraries() -> None:
    """Leave out of the log what libraries say of a lost database; a worker ends with a message of its own then."""
    for handler in logging.getLogger().handlers:
        handler.addFilter(_says_something_else)


def _says_something_else(record: logging.LogRecord) -> bool:
    return record.name != "psycopg.pool" and not (record.exc_info and is_lost(record.exc_info[1]))
