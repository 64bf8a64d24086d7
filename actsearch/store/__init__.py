"""The trial store: PostgreSQL (embedded or yours), its schema, and Optuna's storage on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine

from actsearch.settings import Settings
from actsearch.store.embedded import database_url, describe
from actsearch.store.engine import connection_options, create_store_engine, libpq_url
from actsearch.store.migrate import require_current, upgrade

if TYPE_CHECKING:
    from actsearch.store.optuna_storage import OptunaStorage

__all__ = [
    "OptunaStorage",
    "connection_options",
    "create_store_engine",
    "database_url",
    "describe",
    "libpq_url",
    "open_store",
    "require_current",
    "upgrade",
]


def open_store(settings: Settings, connections: int = 15) -> Engine:
    """An engine on the settings' database, ready for use; the embedded one is started and brought up to date.

    Args:
        connections: at most, of which five are kept.

    Raises:
        StoreError: the database cannot be reached, or is not migrated.
    """
    url = database_url(settings)
    if settings.database_url is None:
        upgrade(url)
    engine = create_store_engine(url, max_overflow=connections - 5)
    require_current(engine)
    return engine


def __getattr__(name: str) -> Any:
    """Load `OptunaStorage` on first use: it brings Optuna with it."""
    if name == "OptunaStorage":
        from actsearch.store.optuna_storage import OptunaStorage

        return OptunaStorage
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
