"""`/healthz` and `/readyz`."""

from __future__ import annotations

from functools import partial
from typing import Literal

import structlog
from fastapi import APIRouter, Request

from actsearch.errors import StoreError
from actsearch.schemas import Schema
from actsearch.store import require_current
from actsearch_api.callers import asks_for_keys
from actsearch_api.problems import documented
from actsearch_api.slots import Slots

log = structlog.get_logger()
router = APIRouter(tags=["health"])


class Health(Schema):
    """The answer when all is well."""

    status: Literal["ok"] = "ok"


@router.get("/healthz")
async def healthz() -> Health:
    """The process is up: neither a thread nor the database is waited for."""
    return Health()


@router.get("/readyz", responses=documented(503))
async def readyz(request: Request) -> Health:
    """The database answers and has the current schema: requests can be served."""
    slots: Slots = request.app.state.slots
    try:
        await slots.run(partial(require_current, request.app.state.engine))
    except StoreError as error:
        if not asks_for_keys(request.app.state.settings):
            raise
        log.error("not ready", error=str(error))  # noqa: TRY400 - the message says it all
        raise StoreError("the database cannot be used; the server's log says why") from error
    return Health()
