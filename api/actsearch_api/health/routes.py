"""`/healthz` and `/readyz`."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request

from actsearch.schemas import Schema
from actsearch.store import require_current
from actsearch_api.problems import documented

router = APIRouter(tags=["health"])


class Health(Schema):
    """The answer when all is well."""

    status: Literal["ok"] = "ok"


@router.get("/healthz")
def healthz() -> Health:
    """The process is up."""
    return Health()


@router.get("/readyz", responses=documented(503))
def readyz(request: Request) -> Health:
    """The database answers and has the current schema: requests can be served."""
    require_current(request.app.state.engine)
    return Health()
