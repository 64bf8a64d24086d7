"""What routes ask for: settings and a database connection in a transaction."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy import Connection

from actsearch.settings import Settings
from actsearch.store import OptunaStorage


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


def _connection(request: Request) -> Iterator[Connection]:
    with request.app.state.engine.begin() as connection:
        yield connection


def _store(request: Request) -> OptunaStorage:
    storage: OptunaStorage = OptunaStorage(request.app.state.engine)
    return storage


Store = Annotated[OptunaStorage, Depends(_store)]
ServiceSettings = Annotated[Settings, Depends(_settings)]
# Committed before the answer is sent, so that whoever has the answer finds what it speaks of.
Transaction = Annotated[Connection, Depends(_connection, scope="function")]
