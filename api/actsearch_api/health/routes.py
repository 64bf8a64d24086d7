"""`/healthz` and `/readyz`."""

from __future__ import annotations

from functools import partial
from typing import Literal

from fastapi import APIRouter, Request

from actsearch.schemas import Schema
from actsearch.store import require_current
from actsearch_api.problems import documented
from actsearch_api.slots import Slots

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
    await slots.run(partial(require_current, request.app.state.engine))
    return Health()
