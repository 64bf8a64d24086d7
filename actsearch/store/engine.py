"""SQLAlchemy engines for the store."""

from __future__ import annotations

from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import make_url

from actsearch.store.encoding import decode, encode

SEARCH_PATH = "public,procrastinate"
"""Our tables live in `public`, the queue's in `procrastinate`; every connection sees both."""

_OPTIONS = f"-csearch_path={SEARCH_PATH}"


def create_store_engine(url: str, *, pool_size: int = 5, max_overflow: int = 10) -> Engine:
    """An engine whose connections see our tables and the queue's.

    JSON columns carry NaN and infinities (see `encoding`). Connections lost while idle are replaced unnoticed.

    Args:
        url: as `embedded.database_url` gives it.
        pool_size, max_overflow: connections kept, and allowed beyond for a while.
    """
    return create_engine(
        url,
        pool_size=pool_size,
        max_overflow=max_overflow,
        pool_pre_ping=True,
        json_serializer=encode,
        json_deserializer=decode,
        connect_args={"options": _OPTIONS},
    )


def libpq_url(url: str) -> str:
    """`url` for libpq clients (psycopg, Procrastinate), with the same search path."""
    plain = make_url(url).set(drivername="postgresql").update_query_dict({"options": _OPTIONS})
    return plain.render_as_string(hide_password=False)
