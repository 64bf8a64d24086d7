"""What routes ask for: settings and Optuna's view of the store. A connection: see `slots`."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from actsearch.settings import Settings
from actsearch.store import OptunaStorage


async def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


async def _store(request: Request) -> OptunaStorage:
    storage: OptunaStorage = OptunaStorage(request.app.state.engine)
    return storage


Store = Annotated[OptunaStorage, Depends(_store)]
ServiceSettings = Annotated[Settings, Depends(_settings)]
