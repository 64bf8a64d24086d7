"""`/v1/workers`."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter
from sqlalchemy import Connection

from actsearch.schemas import Page, WorkerInfo
from actsearch.store.queue import live_workers
from actsearch_api.dependencies import ServiceSettings
from actsearch_api.problems import documented
from actsearch_api.serving import reading

router = APIRouter(prefix="/v1/workers", tags=["workers"])


@router.get("", responses=documented(503))
@reading
def list_workers(connection: Connection, settings: ServiceSettings) -> Page[WorkerInfo]:
    """Workers with a fresh heartbeat, and their devices."""
    alive = live_workers(connection, settings.stall_timeout)
    return Page[WorkerInfo](items=[WorkerInfo(**asdict(worker)) for worker in alive])
