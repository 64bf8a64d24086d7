"""Alembic's entry point: runs on the connection that `actsearch.store.migrate` gives, or on the settings' database."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from actsearch.settings import settings
from actsearch.store.embedded import database_url
from actsearch.store.engine import create_store_engine
from actsearch.store.migrate import is_ours
from actsearch.store.models import Base


def run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=Base.metadata, include_name=is_ours)
    with context.begin_transaction():
        context.run_migrations()


given: Connection | None = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    with create_store_engine(database_url(settings())).begin() as opened:
        run(opened)
