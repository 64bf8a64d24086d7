"""The real application on a real database, asked in-process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine
from starlette.testclient import TestClient

from actsearch.schemas import FailureReason, JobState
from actsearch.settings import Settings
from actsearch.store import claims, jobs
from actsearch_api.app import create_app

FAMILIES = ("relu", "elu", "gelu", "tanh")


@pytest.fixture
def app(engine: Engine) -> FastAPI:
    """The service as `actsearch serve` makes it."""
    return create_app(Settings(_env_file=None), engine)


@pytest.fixture
def http(app: FastAPI) -> Iterator[TestClient]:
    """A client of the service."""
    with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as client:
        yield client


@pytest.fixture
def submit(http: TestClient) -> Callable[..., dict[str, Any]]:
    """Submit a small job; returns it as the API answers."""

    def post(**changes: Any) -> dict[str, Any]:
        answer = http.post("/v1/jobs", json={"task": "digits", "budget": {"trials": 12}} | changes)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    return post


@pytest.fixture
def finish(engine: Engine) -> Callable[[str, Sequence[float | None]], None]:
    """Finish trials of a job with these values as a runner does; None fails one."""

    def work(job_id: str, values: Sequence[float | None]) -> None:
        with engine.begin() as connection:
            if jobs.get_state(connection, UUID(job_id)) == JobState.queued:
                jobs.transition(connection, UUID(job_id), JobState.running)
        done = 0
        while done < len(values):
            with engine.begin() as connection:
                claimed = claims.claim(connection, UUID(job_id), 1, "worker", len(values) - done)
                families = [FAMILIES[claim.number % len(FAMILIES)] for claim in claimed]
                claims.propose(
                    connection,
                    [
                        claims.Proposal(claim, family, {"network": {"family": family, "parameters": {}}})
                        for claim, family in zip(claimed, families, strict=True)
                    ],
                )
                claims.report(connection, [claims.Report(claim, 1, {"validation_accuracy": 0.5}) for claim in claimed])
                own = values[done : done + len(claimed)]
                claims.finish(connection, [_ending(claim, value) for claim, value in zip(claimed, own, strict=True)])
            done += len(claimed)

    return work


def _ending(claim: claims.Claim, value: float | None) -> claims.Finish:
    if value is None:
        return claims.Finish(claim, "failed", reason=FailureReason.diverged, detail="the loss is nan")
    return claims.Finish(claim, "complete", value, {"validation_accuracy": value})
