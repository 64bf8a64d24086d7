"""One request with a seed, submitted to the service and searched in this process: one and the same search.

And the same through crashes: whenever a runner dies, its successor goes on as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any
from uuid import UUID

import pytest
import torch
from sqlalchemy import Engine, event, text

from actsearch.inprocess.ledger import MemoryLedger, Run
from actsearch.schemas import JobRequest, Verdict
from actsearch.store import evaluations, job_views, points, runs
from actsearch.study import prepare
from actsearch.study.running.rounds import work as work_in_memory
from actsearch.study.running.search import NoControl, Search
from actsearch.study.running.trainer import Trainer
from actsearch.tasks import get_task, load
from actsearch.training.stack import StackedTrials
from actsearch_workers.control import Control
from actsearch_workers.messages import Run as Order
from actsearch_workers.runner import run_slice

Submit = Callable[..., UUID]
Work = Callable[..., list[Any]]

SMALL: dict[str, Any] = {
    "task": "digits",
    "architecture": {"name": "mlp", "parameters": {"depth": 1, "width": 4}},
    "training": {"epochs": 3, "batch_size": 512},
    "seed": 5,
    "confirmation": "off",
}
RATES = {"learning_rate": {"low": 1e-3, "high": 1e-1, "log": True}}
FAMILIES = ["elu", "tanh", "leaky_relu", "swish"]
REQUESTS: dict[str, dict[str, Any]] = {
    "mlp": {"space": {"families": FAMILIES, "training": RATES}, "budget": {"trials": 24}},
    "a searched width": {
        "space": {"families": FAMILIES, "training": RATES, "architecture": {"width": {"choices": [4, 6]}}},
        "budget": {"trials": 22},
        "sampler": {"name": "tpe", "n_startup_trials": 4},
        "pruner": {"name": "asha", "min_resource": 1, "reduction_factor": 2},
    },
    "a layer each": {
        "architecture": {"name": "mlp", "parameters": {"depth": 2, "width": 4}},
        "space": {"families": FAMILIES, "placement": "layer"},
        "budget": {"trials": 12},
        "cohort_size": 5,
        "sampler": "random",
    },
    "two objectives": {
        "space": {"families": FAMILIES, "training": RATES},
        "objectives": [{"metric": "accuracy"}, {"metric": "activation_cost"}],
        "budget": {"trials": 16, "patience": 14},
        "sampler": {"name": "nsga2", "population_size": 4},
    },
    "a limit on size": {
        "space": {
            "families": FAMILIES,
            "architecture": {"width": {"choices": [4, 40]}},
            "constraints": {"max_parameters": 1000},
        },
        "budget": {"trials": 14},
    },
    "confirmation": {
        "space": {"families": FAMILIES, "training": RATES},
        "budget": {"trials": 12},
        "confirmation": {"finalists": 2, "seeds": 4, "most_seeds": 6, "epochs": 2},
        "cohort_size": 3,
    },
}
_MACHINES = ("seconds", "environment")


def in_memory(request: JobRequest) -> MemoryLedger:
    """A request on built-in parts, searched in this process."""
    prepared = prepare(request)
    dataset = load(request.task.name, request.task.parameters)
    trainer = Trainer(
        request, request.architecture.name, get_task(request.task.name, request.task.parameters), dataset, "cpu"
    )
    ledger = MemoryLedger(prepared)
    assert work_in_memory(Search(ledger, prepared, trainer, NoControl())) is False
    return ledger


def _measured(metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metrics.items() if name not in _MACHINES}


def _as_rows(searched: list[Run]) -> list[dict[str, Any]]:
    return [
        {
            "number": run.claim.number,
            "state": run.state,
            "values": list(run.end.values) or None if run.end else None,
            "metrics": _measured(run.end.metrics if run.end else {}),
            "curve": {epoch: dict(metrics) for epoch, metrics in run.curve.items()},
            "family": run.family,
            "is_baseline": run.is_baseline,
            "params": dict(run.claim.parameters),
            "activations": {group: spec.model_dump(mode="json") for group, spec in run.claim.activations.items()},
        }
        for run in searched
    ]


def _stored(engine: Engine, job: UUID) -> list[dict[str, Any]]:
    query = """SELECT trials.id, number, state, values, metrics, family, is_baseline, params, activations
        FROM trials JOIN jobs USING (study_id) WHERE jobs.id = :job ORDER BY number"""
    query = query.replace("state, values", "trials.state, values")
    with engine.connect() as connection:
        rows = [dict(row._mapping) for row in connection.execute(text(query), {"job": job})]
        curves = points.curves(connection, [row["id"] for row in rows])
    return [row | {"metrics": _measured(row["metrics"]), "curve": curves[row.pop("id")]} for row in rows]


def _assert_same(some: list[dict[str, Any]], others: list[dict[str, Any]]) -> None:
    for one, other in zip(some, others, strict=True):
        assert {name for name in one if one[name] != other[name]} == set(), (one, other)


def _verdict(verdict: Verdict | None) -> Any:
    if verdict is None:
        return None
    found = verdict.model_dump(mode="json")
    for arm in (found["baseline"], *found["finalists"]):
        del arm["trial_id"]
        arm["costs"].pop("seconds", None)
    return found


@pytest.mark.parametrize("name", REQUESTS)
def test_service_and_process_find_the_same(engine: Engine, submit: Submit, work: Work, name: str) -> None:
    wanted = SMALL | REQUESTS[name]
    job = submit(**wanted)
    work(job)
    ledger = in_memory(JobRequest.model_validate(wanted))

    _assert_same(_stored(engine, job), _as_rows(ledger.trials))
    with engine.connect() as connection:
        done = job_views.get_job(connection, job, 30)
        compared = evaluations.list_evaluations(connection, job, limit=1000).items
    assert _verdict(done.verdict) == _verdict(ledger.verdict)
    assert (done.verdict is not None) == (name == "confirmation")
    assert done.stopped_by == ledger.stopped_by
    assert done.state == ledger.state == "completed"
    ours = [(run.claim.cohort, run.claim.number, run.claim.seed, run.state) for run in ledger.evaluations]
    assert [(e.replicate, e.arm, e.seed, e.state) for e in compared] == ours
    if wanted.get("cohort_size"):
        sizes = [run.end.metrics["environment"]["cohort_size"] for run in (*ledger.trials, *ledger.evaluations)]
        sizes += [e.metrics["environment"]["cohort_size"] for e in compared]
        assert max(sizes) == wanted["cohort_size"]


def test_what_fails_together_is_halved_alike(
    engine: Engine, submit: Submit, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory runs out with more than five."""
    step = StackedTrials.step

    def fails(self: StackedTrials, *arguments: Any) -> torch.Tensor:
        losses = step(self, *arguments)
        if len(losses) > 5:
            raise torch.OutOfMemoryError("device is full")
        return losses

    monkeypatch.setattr(StackedTrials, "step", fails)
    wanted = SMALL | REQUESTS["confirmation"] | {"cohort_size": None}
    job = submit(**wanted)
    work(job)
    ledger = in_memory(JobRequest.model_validate(wanted))
    assert _stored(engine, job) == _as_rows(ledger.trials)
    with engine.connect() as connection:
        done = job_views.get_job(connection, job, 30)
    assert done.verdict is not None
    assert _verdict(done.verdict) == _verdict(ledger.verdict)
    assert {run.state for run in (*ledger.trials, *ledger.evaluations)} == {"complete"}


class _Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("name", ["a searched width", "confirmation"])
def test_a_crash_at_any_moment_changes_nothing(
    engine: Engine, submit: Submit, run: Callable[..., bool], hand_out: Callable[..., Order], name: str
) -> None:
    wanted = SMALL | REQUESTS[name] | {"budget": {"trials": 12}, "training": {"epochs": 2, "batch_size": 2048}}
    undisturbed = submit(**wanted)
    while run(undisturbed):
        pass

    def dies_at(moment: int, job: UUID) -> bool:
        order, left = hand_out(job), moment

        def look(*_: Any) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise _Killed

        event.listen(engine, "checkout", look)
        try:
            run_slice(engine, order, "cpu", Control())
        except _Killed:
            pass
        finally:
            event.remove(engine, "checkout", look)
        with engine.begin() as connection:  # as its worker does
            runs.give_back(connection, order.runner, 3, order.worker)
            connection.execute(text("DELETE FROM procrastinate_jobs WHERE id = :id"), {"id": order.runner})
        return left <= 0

    for moment in count(2, 5):
        job = submit(**wanted)
        died = dies_at(moment, job)
        while run(job):
            pass
        assert _stored(engine, job) == _stored(engine, undisturbed)
        with engine.connect() as connection:
            verdicts = [_verdict(job_views.get_job(connection, one, 30).verdict) for one in (job, undisturbed)]
        assert verdicts[0] == verdicts[1]
        if not died:
            assert moment > 10
            break


def test_a_cohort_yields_to_another_job_at_a_rung_and_ends_all_the_same(
    engine: Engine, submit: Submit, run: Callable[..., bool]
) -> None:
    long = SMALL | {"training": {"epochs": 20, "batch_size": 512}, "space": {"families": FAMILIES}}
    long |= {"budget": {"trials": 4}, "cohort_size": 4, "pruner": "none", "sampler": "random"}
    alone = submit(**long)
    assert run(alone, seconds=0.02) is True  # nobody waits: the cohort trains to its end
    with engine.connect() as connection:
        assert job_views.get_job(connection, alone, 30).progress.complete == 4
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM procrastinate_jobs"))

    job = submit(**long)
    submit(**SMALL | {"budget": {"trials": 1}})  # its task waits in the queue
    slices = 0
    while run(job, seconds=0.02):
        slices += 1
        assert slices < 20
    released = [row["released"] for row in _all(engine, job)]
    assert released[0] == max(released) > 1
    assert _stored(engine, job) == _stored(engine, alone)


def test_a_slice_ends_between_the_cohorts_of_a_claim(engine: Engine, submit: Submit, run: Callable[..., bool]) -> None:
    space = {"families": FAMILIES, "architecture": {"width": {"choices": [4, 5, 6, 7, 8]}}}
    request = {"space": space, "training": {"epochs": 1}, "budget": {"trials": 12}, "sampler": "random"}
    job = submit(**SMALL | request)
    submit(**SMALL | {"budget": {"trials": 1}})
    run(job, seconds=0.001)
    states = [row["state"] for row in _all(engine, job)]
    assert 0 < states.count("complete") < 12
    while run(job, seconds=0.001):
        pass
    assert [(row["state"], row["attempt"]) for row in _all(engine, job)] == [("complete", 1)] * 12


def _all(engine: Engine, job: UUID) -> list[Mapping[str, Any]]:
    query = "SELECT t.* FROM trials t JOIN jobs j USING (study_id) WHERE j.id = :job ORDER BY t.number"
    with engine.connect() as connection:
        return [row._mapping for row in connection.execute(text(query), {"job": job})]
