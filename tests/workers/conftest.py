"""Jobs run without a service around them: slices of a runner, one after another, in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine

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
            )

    return create


@pytest.fixture
def work(engine: Engine) -> Callable[..., list[Trial]]:
    """Work on a job until it is done, in slices of so many seconds; its trials in order of number."""

    def run(job_id: UUID, seconds: float = 600) -> list[Trial]:
        order = Run(job_id, runner=1, lease=0, worker="test", seconds=seconds, attempts=3)
        while run_slice(engine, order, "cpu", Control()):
            pass
        with engine.connect() as connection:
            return trials.list_trials(connection, job_id, limit=1000).items

    return run
