"""Cohorts of a runner: how many trials it takes at once, and what becomes of them when memory runs out."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
import torch
from sqlalchemy import Engine, text

from actsearch.schemas import JobRequest
from actsearch.schemas.samplers import GpSampler, RandomSampler, TpeSampler
from actsearch.store import OptunaStorage, jobs, points
from actsearch.study import most_at_once, prepare
from actsearch.training.stack import StackedTrials

Run = Callable[..., bool]

REQUEST = {
    "confirmation": "off",
    "task": "digits",
    "architecture": {"name": "mlp", "parameters": {"depth": 2, "width": 8}},
    "space": {"families": ["relu", "elu", "tanh"]},
    "training": {"epochs": 3, "batch_size": 256},
    "budget": {"trials": 24},
    "sampler": "random",
    "pruner": "hyperband",
}


def submit(engine: Engine, **changes: Any) -> UUID:
    prepared = prepare(JobRequest.model_validate(REQUEST | changes))
    with engine.begin() as connection:
        return jobs.create_job(
            connection,
            prepared.request,
            prepared.objective,
            prepared.baseline_activations,
            prepared.baseline_parameters,
        )


def trials(engine: Engine, job: UUID) -> list[Any]:
    """Trials by number, each with its curve and what Optuna was told."""
    query = "SELECT t.* FROM trials t JOIN jobs j USING (study_id) WHERE j.id = :job ORDER BY number"
    storage = OptunaStorage(engine)
    with engine.connect() as connection:
        rows = connection.execute(text(query), {"job": job}).all()
        curves = points.curves(connection, [row.id for row in rows])
    told = {row.id: storage.get_trial(row.id).intermediate_values for row in rows}
    return [
        SimpleNamespace(**dict(row._mapping) | {"curve": curves[row.id], "intermediate": told[row.id]}) for row in rows
    ]


@pytest.fixture
def cohorts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the cohorts that were trained, in order."""
    sizes: list[int] = []
    step = StackedTrials.step

    def noted(self: StackedTrials, *arguments: Any) -> torch.Tensor:
        losses = step(self, *arguments)
        if not sizes or sizes[-1] != len(losses):
            sizes.append(len(losses))
        return losses

    monkeypatch.setattr(StackedTrials, "step", noted)
    return sizes


def test_memory_that_runs_out_halves_the_cohort_and_loses_no_trial(
    engine: Engine, run: Run, cohorts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate = StackedTrials.evaluate
    evaluations: list[int] = []

    def scarce(self: StackedTrials, part: Any, further: Any = ()) -> Any:
        size = len(self.parameter_counts())
        evaluations.append(size)
        if size > 6 and len(evaluations) > 1:  # after a first report, so that there is something to forget
            raise torch.OutOfMemoryError("device is full")
        return evaluate(self, part, further)

    monkeypatch.setattr(StackedTrials, "evaluate", scarce)
    job = submit(engine, pruner="none", cohort_size=24, budget={"trials": 36})

    assert run(job) is False

    rows = trials(engine, job)
    assert [row.state for row in rows] == ["complete"] * 36
    assert all(sorted(row.curve) == sorted(row.intermediate) == [1, 2, 3] for row in rows)
    assert all(row.attempt == 1 for row in rows)
    assert cohorts[0] == 24
    assert max(evaluations[evaluations.index(6) :]) <= 12  # what was too much is not tried again
    assert evaluations.count(12) <= 2  # of the halves of the first cohort: the next begins with what fitted


def test_a_smaller_cohort_finds_the_memory_of_the_larger_one_free(
    engine: Engine, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = StackedTrials.step
    failed: list[weakref.ref[StackedTrials]] = []
    held: list[int] = []

    def scarce(self: StackedTrials, *arguments: Any) -> torch.Tensor:
        held.append(sum(one() is not None for one in failed))
        if len(self.parameter_counts()) > 6:
            failed.append(weakref.ref(self))
            raise torch.OutOfMemoryError("device is full")
        return step(self, *arguments)

    monkeypatch.setattr(StackedTrials, "step", scarce)
    job = submit(engine, pruner="none", cohort_size=24, budget={"trials": 24})
    run(job)

    assert len(failed) == 3  # 24, and each of its halves
    assert set(held) == {0}


def test_a_restarted_cohort_is_pruned_as_if_nothing_had_happened(
    engine: Engine, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It makes no difference whether it fails at its first step, or when trials have been reported and pruned."""
    step, found = StackedTrials.step, []
    for failing in (1, 9):
        calls: list[int] = []

        def fails_once(
            self: StackedTrials, *arguments: Any, calls: list[int] = calls, failing: int = failing
        ) -> torch.Tensor:
            calls.append(1)
            if len(calls) == failing:
                raise torch.OutOfMemoryError("device is full")
            return step(self, *arguments)

        monkeypatch.setattr(StackedTrials, "step", fails_once)
        job = submit(engine)
        run(job)
        assert len(calls) > failing
        found.append([(row.params, row.state, row.value, row.curve, row.intermediate) for row in trials(engine, job)])

    assert found[0] == found[1]
    assert len(found[0]) == 24
    assert {state for _, state, *_ in found[0]} == {"complete", "pruned"}
    assert all(list(curve) == list(intermediate) for *_, curve, intermediate in found[0])


@pytest.mark.parametrize(("asked", "expected"), [({}, 24), ({"cohort_size": 5}, 5), ({"sampler": "tpe"}, 10)])
def test_the_cohort_is_as_large_as_network_sampler_and_request_allow(
    engine: Engine, run: Run, cohorts: list[int], asked: dict[str, Any], expected: int
) -> None:
    run(submit(engine, pruner="none", **asked))
    assert cohorts[0] == expected


def test_each_shape_trains_as_a_cohort_of_its_own(engine: Engine, run: Run, cohorts: list[int]) -> None:
    space = REQUEST["space"] | {"architecture": {"width": {"choices": [8, 16]}}}
    job = submit(engine, pruner="none", space=space)

    run(job)

    rows = trials(engine, job)
    assert {row.state for row in rows} == {"complete"}
    by_width = [sum(row.params["architecture.width"] == width for row in rows) for width in (8, 16)]
    assert sorted(cohorts) == sorted(by_width)


def test_a_sampler_that_learns_sees_results_before_it_has_spent_the_budget() -> None:
    assert most_at_once(RandomSampler(), 500) == 500
    assert most_at_once(TpeSampler(), 200) == 50
    assert most_at_once(GpSampler(), 12) == 10


_TAKEN = """
    CREATE FUNCTION taken() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        NEW.attempt := NEW.attempt + 1; NEW.state := 'complete'; NEW.value := 0.25; NEW.finished_at := now();
        RETURN NEW;
    END $$;
    CREATE TRIGGER taken BEFORE UPDATE OF intermediate ON trials FOR EACH ROW
        WHEN (NEW.number = 2 AND NEW.attempt = 1) EXECUTE FUNCTION taken();
"""


def test_a_trial_that_another_runner_took_and_finished_meanwhile_is_left_alone(engine: Engine, run: Run) -> None:
    with engine.begin() as connection:
        connection.execute(text(_TAKEN))
    job = submit(engine, budget={"trials": 4}, cohort_size=4, pruner="none")

    run(job)

    found = trials(engine, job)
    assert [trial.state for trial in found] == ["complete"] * 4
    assert (found[2].value, list(found[2].curve), found[2].metrics) == (0.25, [], {})
    assert all(list(trial.curve) == [1, 2, 3] for trial in found if trial.number != 2)


def test_a_network_too_large_for_the_device_is_refused_before_it_is_tried(
    engine: Engine, run: Run, cohorts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actsearch.training.size.total_bytes", lambda _: 2_000_000)  # of a very small device
    job = submit(
        engine,
        space={"families": ["relu", "elu", "tanh"], "architecture": {"width": {"choices": [8, 1024]}}},
        architecture={"name": "mlp", "parameters": {"depth": 2}},
        cohort_size=6,
        pruner="none",
    )
    while run(job):
        pass
    done = trials(engine, job)
    large = [trial for trial in done if trial.params.get("architecture.width") == 1024]
    assert 0 < len(large) < len(done) - 4
    for trial in large:
        assert (trial.state, trial.failure_reason, trial.curve) == ("failed", "out_of_memory", {})
        assert "at least 0.0" in trial.failure_detail
        assert "cpu has 0.002 GB; it was not tried" in trial.failure_detail
    assert all(trial.state == "complete" for trial in done if trial not in large and not trial.is_baseline)
    assert max(cohorts) > 1  # those that fit are trained together as before
