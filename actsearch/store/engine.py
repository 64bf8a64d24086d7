"""SQLAlchemy engines for the store."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import InvalidatePoolError

from actsearch.store.encoding import decode, encode

SEARCH_PATH = "public,procrastinate"
"""Our tables live in `public`, the queue's in `procrastinate`; every connection sees both."""

TRUSTED_IDLE = 1.0
"""Seconds that a connection may have been idle and still be used without asking whether it is alive."""

_OPTIONS = f"-csearch_path={SEARCH_PATH}"


def create_store_engine(
    url: str, *, pool_size: int = 5, max_overflow: int = 10, longest_pause: float | None = None
) -> Engine:
    """An engine whose connections see our tables and the queue's.

    JSON columns carry NaN and infinities (see `encoding`). Connections lost while idle are replaced unnoticed.

    Args:
        url: as `embedded.database_url` gives it.
        pool_size, max_overflow: connections kept, and allowed beyond for a while.
        longest_pause: seconds after which PostgreSQL ends a transaction in which nothing happens, so that the locks of
            a process that was stopped do not last as long as it; None for never.
    """
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=max_overflow,
        json_serializer=encode,
        json_deserializer=decode,
        connect_args={"options": connection_options(longest_pause)},
    )
    _check_idle_connections(engine)
    return engine


def connection_options(longest_pause: float | None = None) -> str:
    """The `options` of a connection, as libpq has them.

    Args:
        longest_pause: as for `create_store_engine`.
    """
    if longest_pause is None:
        return _OPTIONS
    return f"{_OPTIONS} -cidle_in_transaction_session_timeout={int(longest_pause * 1000)}"


def _check_idle_connections(engine: Engine) -> None:
    """Like `pool_pre_ping`, but without its round trip at each use: only what was idle for a while is asked."""

    @event.listens_for(engine, "checkin")
    def _put_back(_: Any, record: Any) -> None:
        record.info["idle_since"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _take(connection: Any, record: Any, _: Any) -> None:
        now = time.monotonic()
        if now - record.info.get("idle_since", now) < TRUSTED_IDLE:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error


def libpq_url(url: str) -> str:
    """`url` for libpq clients (psycopg, Procrastinate), with the same search path."""
    plain = make_url(url).set(drivername="postgresql").update_query_dict({"options": _OPTIONS})
    return plain.render_as_string(hide_password=False)
