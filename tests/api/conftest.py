"""The real application on a real database, asked in-process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from uuid import UUID

import pytest
import uvicorn
from fastapi import FastAPI
from sqlalchemy import Engine, text
from starlette.testclient import TestClient

from actsearch.schemas import ActivationSpec, FailureReason, JobState
from actsearch.settings import Settings
from actsearch.store import jobs, runs
from actsearch.store.runs import Holder
from actsearch.study.ledger import Claim, Finish, Proposal, Report
from actsearch_api.app import create_app
from actsearch_api.connections import Impatient

_HAND_OUT = """
    INSERT INTO procrastinate_jobs (queue_name, task_name, status, args)
    VALUES ('runners', 'run_job', 'doing', jsonb_build_object('job_id', CAST(:job AS text))) RETURNING id
"""
FAMILIES = ("relu", "elu", "gelu", "tanh")


@pytest.fixture
def app(engine: Engine) -> FastAPI:
    """The service as `actsearch serve` makes it."""
    return create_app(Settings(_env_file=None), engine)


@pytest.fixture
def http(app: FastAPI) -> Iterator[TestClient]:
    """A client of the service."""
    with TestClient(app, "http://localhost", raise_server_exceptions=False, follow_redirects=False) as client:
        yield client


@pytest.fixture
def address(app: FastAPI) -> Iterator[str]:
    """The service behind a real socket."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, http=Impatient, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


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
                runner = connection.execute(text(_HAND_OUT), {"job": job_id}).scalar_one()
                claimed = runs.claim_trials(connection, Holder(UUID(job_id), runner, 0, "worker"), len(values) - done)
                families = [FAMILIES[claim.number % len(FAMILIES)] for claim in claimed]
                runs.propose(
                    connection,
                    [
                        Proposal(claim, family, {"network": ActivationSpec(family=family)})
                        for claim, family in zip(claimed, families, strict=True)
                    ],
                )
                runs.start(connection, claimed)
                runs.report(connection, [Report(claim, 1, {"validation_accuracy": 0.5}) for claim in claimed])
                own = values[done : done + len(claimed)]
                runs.finish(connection, [_ending(claim, value) for claim, value in zip(claimed, own, strict=True)])
            done += len(claimed)

    return work


def _ending(claim: Claim, value: float | None) -> Finish:
    if value is None:
        return Finish(claim, "failed", reason=FailureReason.diverged, detail="the loss is nan")
    return Finish(claim, "complete", [value], {"validation_accuracy": value})
