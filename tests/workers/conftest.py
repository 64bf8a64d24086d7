"""Jobs run without a service around them: slices of a runner, one after another, in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from actsearch.schemas import JobRequest, Trial
from actsearch.store import jobs, trials
from actsearch.study import prepare
from actsearch_workers.control import Control
from actsearch_workers.messages import Run
from actsearch_workers.runner import run_slice

SMALL = {
    "task": "digits",
    "architecture": {"name": "mlp", "parameters": {"depth": 1, "width": 4}},
    "training": {"epochs": 1, "batch_size": 256},
}

Search = Callable[..., list[Trial]]

_HAND_OUT = """
    INSERT INTO procrastinate_jobs (queue_name, task_name, status, args)
    VALUES ('runners', 'run_job', 'doing', CAST(:args AS jsonb)) RETURNING id
"""


@pytest.fixture
def submit(engine: Engine) -> Callable[..., UUID]:
    """Create a small job; what is given replaces parts of the request."""

    def create(**request: Any) -> UUID:
        prepared = prepare(JobRequest.model_validate(SMALL | request))
        with engine.begin() as connection:
            return jobs.create_job(
                connection,
                prepared.request,
                prepared.objective,
                prepared.baseline_activations,
                prepared.baseline_parameters,
                further_objectives=prepared.objectives[1:],
            )

    return create


@pytest.fixture
def hand_out(engine: Engine) -> Callable[..., Run]:
    """A runner task of a job, handed out to a worker, as an order to its device process."""

    def make(job_id: UUID, *, worker: str = "here", seconds: float = 600) -> Run:
        with engine.begin() as connection:
            runner = connection.execute(text(_HAND_OUT), {"args": json.dumps({"job_id": str(job_id)})}).scalar_one()
        return Run(job_id, runner, 0, worker, seconds, attempts=3)

    return make


@pytest.fixture
def run(engine: Engine, hand_out: Callable[..., Run]) -> Callable[..., bool]:
    """Work on a job for a time slice, from the task's fetching to its end; whether there is more to do."""

    def work(job_id: UUID, *, control: Control | None = None, **order: Any) -> bool:
        given = hand_out(job_id, **order)
        more = run_slice(engine, given, "cpu", control or Control())
        with engine.begin() as connection:
            connection.execute(text("DELETE FROM procrastinate_jobs WHERE id = :id"), {"id": given.runner})
        return more

    return work


@pytest.fixture
def work(engine: Engine, run: Callable[..., bool]) -> Callable[..., list[Trial]]:
    """Work on a job until it is done, in slices of so many seconds; its trials in order of number."""

    def go_on(job_id: UUID, seconds: float = 600) -> list[Trial]:
        while run(job_id, seconds=seconds):
            pass
        with engine.connect() as connection:
            return trials.list_trials(connection, job_id, limit=1000).items

    return go_on
