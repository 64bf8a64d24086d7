"""Stop rules in a runner: the search ends early, says why, and is confirmed all the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine

from actsearch.schemas import Job, JobRequest
from actsearch.store import job_views, jobs
from actsearch.study import prepare

REQUEST = {
    "task": "breast_cancer",
    "architecture": {"name": "mlp", "parameters": {"depth": 1, "width": 8}},
    "space": {"families": ["relu", "elu", "tanh"]},
    "training": {"epochs": 1, "batch_size": 128},
    "cohort_size": 4,
    "sampler": "random",
}


@pytest.mark.parametrize(
    ("budget", "rule"),
    [
        ({"target": 0.05}, "target"),
        ({"patience": 3}, "patience"),
        ({"seconds": 1e-3}, "seconds"),
        ({"device_seconds": 1e-6}, "device_seconds"),
        ({"regret_bound": 100.0}, "regret_bound"),
        ({"trials": 3}, "trials"),
    ],
)
def test_the_limit_that_is_reached_first_ends_the_search(
    engine: Engine, run: Callable[..., bool], budget: dict[str, Any], rule: str
) -> None:
    wanted = REQUEST | {"budget": {"trials": 60} | budget, "confirmation": "off"}
    prepared = prepare(JobRequest.model_validate(wanted))
    with engine.begin() as connection:
        job = jobs.create_job(
            connection,
            prepared.request,
            prepared.objective,
            prepared.baseline_activations,
            prepared.baseline_parameters,
        )

    run(job)

    with engine.connect() as connection:
        done: Job = job_views.get_job(connection, job, 30)
    assert done.stopped_by == rule
    assert done.progress.finished == done.progress.budget < 60
    assert done.request.budget.trials == wanted["budget"]["trials"]
    assert done.state == ("completed" if done.progress.complete else "failed")
