"""Each stop rule through the whole system: the job ends by it, and says which one it was."""

from __future__ import annotations

from typing import Any

from actsearch import Client

SMALL = {
    "task": "breast_cancer",
    "architecture": {"name": "mlp", "parameters": {"depth": 1, "width": 8}},
    "space": {"families": ["relu", "elu", "tanh"]},
    "training": {"epochs": 1, "batch_size": 128},
    "cohort_size": 4,
    "sampler": "random",
    "confirmation": "off",
    "parallelism": 1,
}
BUDGETS: dict[str, dict[str, Any]] = {
    "trials": {"trials": 5},
    "seconds": {"seconds": 0.001},
    "device_seconds": {"device_seconds": 1e-6},
    "target": {"target": 0.05},
    "patience": {"patience": 3},
    "regret_bound": {"regret_bound": 100.0},
}


def test_each_limit_ends_a_job_that_names_it(service: Any, client: Client) -> None:
    service.start_worker()
    jobs = {rule: client.submit(SMALL | {"budget": {"trials": 200} | budget}) for rule, budget in BUDGETS.items()}

    done = {rule: job.wait(timeout=180) for rule, job in jobs.items()}

    assert {rule: job.stopped_by for rule, job in done.items()} == {rule: rule for rule in BUDGETS}, service.log_text()
    assert all(job.progress.finished == job.progress.budget < 200 for job in done.values())
