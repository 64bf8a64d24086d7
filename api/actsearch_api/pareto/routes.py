"""`/v1/jobs/{id}/pareto`."""

from __future__ import annotations

from fastapi import APIRouter
from sqlalchemy import Connection

from actsearch.schemas import ParetoFront
from actsearch.store import pareto
from actsearch_api.jobs.routes import JobId
from actsearch_api.problems import documented
from actsearch_api.serving import reading

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


@router.get("/{job_id}/pareto", responses=documented(404, 422, 503))
@reading
def get_front(job_id: JobId, connection: Connection) -> ParetoFront:
    """A job's complete trials that no other one beats in every objective, and how the hypervolume grew."""
    return pareto.pareto_front(connection, job_id)
