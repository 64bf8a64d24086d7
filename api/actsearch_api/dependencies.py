"""What routes ask for. A connection: see `slots`."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from actsearch.settings import Settings


async def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


ServiceSettings = Annotated[Settings, Depends(_settings)]
