"""What crashes cost: processes are killed for real, budgets stay exact, nothing is lost."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from actsearch import Client

Eventually = Callable[[Callable[[], bool], float], None]

# Long enough a trial that a kill always finds one in training.
SLOW = {
    "confirmation": "off",
    "task": "mnist1d",
    "architecture": {"name": "mlp", "parameters": {"depth": 2, "width": 32}},
    "training": {"epochs": 15},
    "space": {"families": ["relu", "gelu", "tanh"]},
    "cohort_size": 1,
    "pruner": "none",
}


def _finished(job: Any) -> int:
    finished: int = job.refresh().progress.finished
    return finished


def _in_training(job: Any) -> list[Any]:
    return [trial for trial in job.trials(state="running") if trial.worker]


def test_killing_the_device_process_costs_its_trials_one_retry(
    service: Any, client: Client, kill_device: Callable[[Any], None], eventually: Eventually
) -> None:
    worker = service.start_worker()
    job = client.submit(SLOW | {"budget": {"trials": 6}})
    eventually(lambda: _finished(job) >= 1 and bool(_in_training(job)), 90)

    kill_device(worker)

    done = job.wait(timeout=180)
    assert done.state == "completed", service.log_text()
    assert worker.poll() is None
    attempts = [trial.attempt for trial in job.trials()]
    assert sorted(attempts)[-1] == 2
    assert sum(attempts) == 6 + 1
    assert done.progress.finished == done.progress.complete == 6


@pytest.mark.parametrize("restarted", [True, False], ids=["its restart continues", "another worker continues"])
def test_killing_the_worker_loses_nothing(
    service: Any, client: Client, eventually: Eventually, restarted: bool
) -> None:
    worker = service.start_worker()
    if not restarted:
        service.start_worker()
    service.await_workers(1 if restarted else 2)
    job = client.submit(SLOW | {"budget": {"trials": 8}, "parallelism": 2})
    eventually(lambda: _finished(job) >= 1 and bool(_in_training(job)), 90)

    worker.send_signal(signal.SIGKILL)
    if restarted:
        service.start_worker()

    done = job.wait(timeout=180)
    assert done.state == "completed", service.log_text()
    assert done.progress.finished == done.progress.complete == 8
    assert max(trial.attempt for trial in job.trials()) <= 2


def test_sigterm_drains_and_costs_no_attempt(service: Any, client: Client, eventually: Eventually) -> None:
    worker = service.start_worker()
    job = client.submit(SLOW | {"budget": {"trials": 5}})
    eventually(lambda: bool(_in_training(job)), 90)

    worker.send_signal(signal.SIGTERM)

    assert worker.wait(timeout=60) == 0, service.log_text()
    after = job.refresh().progress
    assert after.running == 0
    service.start_worker()
    assert job.wait(timeout=180).state == "completed", service.log_text()
    assert [trial.attempt for trial in job.trials()] == [1] * 5


def test_cancel_takes_effect_within_a_rung(service: Any, client: Client, eventually: Eventually) -> None:
    service.start_worker()
    long = SLOW | {"training": {"epochs": 100_000}, "budget": {"trials": 4}}
    job = client.submit(long)
    eventually(lambda: bool(_in_training(job)), 90)

    job.cancel()

    eventually(lambda: job.refresh().progress.running == 0, 30)
    done = job.refresh()
    assert done.state == "cancelled"
    reasons = {trial.failure.reason for trial in job.trials(state="failed") if trial.failure}
    assert reasons == {"cancelled"}
    again = client.submit(SLOW | {"training": {"epochs": 1}, "budget": {"trials": 1}})
    assert again.wait(timeout=60).state == "completed", service.log_text()


def test_a_higher_priority_overtakes_at_the_next_slice(service: Any, client: Client, eventually: Eventually) -> None:
    service.start_worker(ACTSEARCH_TIME_SLICE="0.1")
    patient = client.submit(SLOW | {"budget": {"trials": 12}})
    eventually(lambda: bool(_in_training(patient)), 90)

    urgent = client.submit(SLOW | {"budget": {"trials": 2}, "priority": 10})

    assert urgent.wait(timeout=120).state == "completed", service.log_text()
    assert patient.refresh().state == "running"
    assert patient.wait(timeout=180).state == "completed", service.log_text()


def test_a_crash_of_postgresql_costs_no_try_and_ends_no_worker(
    service_on_own_postgres: Any, own_postgres: Any, eventually: Eventually
) -> None:
    service = service_on_own_postgres
    worker = service.start_worker()
    with Client(service.url) as client:
        job = client.submit(SLOW | {"budget": {"trials": 6}})
        eventually(lambda: _finished(job) >= 1 and bool(_in_training(job)), 90)
        before = {trial.id: trial.value for trial in job.trials(state="complete")}

        own_postgres.stop()
        eventually(lambda: "the database does not answer" in service.log_text(), 60)
        own_postgres.start()

        eventually(lambda: httpx.get(f"{service.url}/readyz").status_code == 200, 30)  # neither needs a restart
        done = job.wait(timeout=180)
        assert done.state == "completed", service.log_text()
        after = {trial.id: trial.value for trial in job.trials()}
        attempts = {trial.attempt for trial in job.trials()}
    assert done.progress.finished == done.progress.complete == 6
    assert before.items() <= after.items()
    assert attempts == {1}
    assert worker.poll() is None
    assert "Traceback" not in service.log_text()


def test_a_killed_device_process_changes_nothing_of_a_seeded_search(
    service: Any, client: Client, kill_device: Callable[[Any], None], eventually: Eventually
) -> None:
    request = SLOW | {
        "architecture": {"name": "mlp", "parameters": {"depth": 1}},
        "space": SLOW["space"]
        | {
            "training": {"learning_rate": {"low": 1e-3, "high": 1e-1, "log": True}},
            "architecture": {"width": {"choices": [16, 24]}},
        },
        "budget": {"trials": 24},
        "sampler": {"name": "tpe", "n_startup_trials": 4},
        "pruner": "hyperband",
        "cohort_size": 8,
        "seed": 7,
    }
    worker = service.start_worker()
    undisturbed = client.submit(request)
    assert undisturbed.wait(timeout=180).state == "completed", service.log_text()
    job = client.submit(request)
    eventually(lambda: _finished(job) >= 8 and bool(_in_training(job)), 90)

    kill_device(worker)

    assert job.wait(timeout=180).state == "completed", service.log_text()
    assert max(trial.attempt for trial in job.trials()) == 2
    found = [[(trial.parameters, trial.state, trial.value) for trial in one.trials()] for one in (undisturbed, job)]
    assert found[0] == found[1]
