"""A search through the whole system: API, queue, two workers, database, SDK."""

from __future__ import annotations

from typing import Any

from actsearch import Client

SMALL = {
    "confirmation": "off",
    "task": "digits",
    "architecture": {"name": "mlp", "parameters": {"depth": 2, "width": 16}},
    "training": {"epochs": 3},
}


def test_two_workers_spend_exactly_the_budget_of_one_job(service: Any, client: Client) -> None:
    service.start_worker()
    service.start_worker()
    service.await_workers(2)
    families = ["relu", "leaky_relu", "elu", "gelu", "tanh"]
    job = client.submit(
        SMALL | {"space": {"families": families}, "budget": {"trials": 23}, "parallelism": 2, "cohort_size": 2}
    )

    done = job.wait(timeout=180)

    assert done.state == "completed", service.log_text()
    assert done.progress.finished == done.progress.budget == 23
    trials = list(job.trials())
    assert sorted(trial.number for trial in trials) == list(range(23))
    assert len({trial.worker for trial in trials}) == 2
    assert all(trial.attempt == 1 for trial in trials)


def test_ranking_has_the_baseline_and_is_ordered(service: Any, client: Client) -> None:
    service.start_worker()
    job = client.submit(SMALL | {"space": {"families": ["gelu", "tanh", "elu"]}, "budget": {"trials": 8}})
    assert job.wait(timeout=120).state == "completed", service.log_text()

    by_trial, by_family = job.ranking(by="trial"), job.ranking(by="family")

    values = [entry.trial.value for entry in by_trial.entries]
    assert values == sorted(values, reverse=True)
    assert by_trial.baseline.trial.number == 0
    assert by_trial.baseline.trial.activations["network"].family == "relu"
    assert by_family.baseline.family == "relu"
    assert {entry.family for entry in by_family.entries} >= {"relu"}
    best = job.best()
    assert best.value == values[0] > 0.5  # chance is 0.1
    assert [point.epoch for point in client.trial(best.id).curve] == [1, 2, 3]
    assert best.metrics["test_accuracy"] > 0.5


def test_functions_written_out_and_made_up_are_searched_like_families(service: Any, client: Client) -> None:
    service.start_worker()
    written = {"expression": "x*sigmoid(b*x)", "parameters": {"b": {"low": 0.5, "high": 3}}}
    job = client.submit(
        SMALL
        | {
            "space": {"families": [{"name": "expression", **written}, {"name": "grammar", "depth": 1}]},
            "baseline": {"family": "expression", "expression": "max(x,0)"},
            "budget": {"trials": 12},
            "sampler": "random",
        }
    )
    assert job.wait(timeout=180).state == "completed", service.log_text()

    ranking = job.ranking(by="family")

    assert ranking.baseline.family == "max(x, 0)"
    trials = list(job.trials())
    labels = {trial.activations["network"].label for trial in trials}
    assert "x * sigmoid(b * x)" in labels
    assert len(labels) > 4
    assert {trial.family for trial in trials} == labels
    assert {entry.family for entry in ranking.entries} <= labels


def test_a_job_waits_for_a_worker_and_says_so(service: Any, client: Client) -> None:
    job = client.submit(SMALL | {"budget": {"trials": 2}})
    waiting = job.refresh()
    assert (waiting.state, waiting.workers_online) == ("queued", 0)

    service.start_worker()

    assert job.wait(timeout=120).state == "completed", service.log_text()
    assert job.refresh().workers_online == 1


def test_one_seed_gives_one_search_whatever_the_devices(service: Any, client: Client) -> None:
    service.start("worker", "--devices", "cpu,cpu", ACTSEARCH_TIME_SLICE="1")
    request = SMALL | {
        "space": {"training": {"learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}}},
        "budget": {"trials": 14},
        "pruner": "hyperband",
        "seed": 7,
    }
    jobs = [client.submit(request), client.submit(request)]  # together, so that time slices interleave them

    results = []
    for job in jobs:
        assert job.wait(timeout=180).state == "completed", service.log_text()
        trials = sorted(job.trials(), key=lambda trial: trial.number)
        results.append([(t.state, t.family, t.parameters, t.value) for t in trials])

    assert results[0] == results[1]


def test_a_trial_that_diverges_fails_with_a_reason_and_the_job_goes_on(service: Any, client: Client) -> None:
    service.start_worker()
    job = client.submit(
        SMALL
        | {
            "space": {"training": {"learning_rate": {"choices": [1e-3, 900.0]}}, "families": ["relu", "gelu"]},
            "training": {"epochs": 4, "optimizer": "sgd"},
            "budget": {"trials": 10},
            "sampler": "random",
        }
    )

    done = job.wait(timeout=120)

    assert done.state == "completed", service.log_text()
    failed = list(job.trials(state="failed"))
    assert failed
    assert {trial.failure.reason for trial in failed if trial.failure} == {"diverged"}
    assert all(trial.parameters["training.learning_rate"] == 900.0 for trial in failed)
    assert done.progress.finished == 10
