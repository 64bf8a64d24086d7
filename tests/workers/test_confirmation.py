"""Confirmation in a runner: fresh paired seeds, a fair baseline, and verdicts that do not lie."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from sqlalchemy import Engine, text

from actsearch.schemas import Job, JobRequest, JobState, Outcome
from actsearch.settings import settings
from actsearch.store import attendance, evaluations, job_views, jobs, runs, trials
from actsearch.store.runs import Holder
from actsearch.study import prepare
from actsearch.study.ledger import Finish

Run = Callable[..., bool]

REQUEST: dict[str, Any] = {
    "task": "breast_cancer",
    "architecture": {"name": "mlp", "parameters": {"depth": 1, "width": 8}},
    "space": {
        "families": ["relu", "elu", "tanh"],
        "training": {"learning_rate": {"low": 1e-3, "high": 1e-1, "log": True}},
    },
    "training": {"epochs": 2, "batch_size": 128},
    "budget": {"trials": 9},
    "confirmation": {"finalists": 2, "seeds": 4, "most_seeds": 4},
    "sampler": "random",
}
# One function under many names: nothing but noise distinguishes them.
COPIES = [
    "relu",
    *({"name": "leaky_relu", "parameters": {"slope": 1e-3}},),
    *({"name": "capped_relu", "parameters": {"cap": 20.0}},),
]


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


def seen(engine: Engine, job: UUID) -> Job:
    with engine.connect() as connection:
        return job_views.get_job(connection, job, 30)


def replicates(engine: Engine, job: UUID) -> list[Any]:
    with engine.connect() as connection:
        return evaluations.list_evaluations(connection, job, limit=1000).items


def trials_of(engine: Engine, job: UUID) -> list[Any]:
    with engine.connect() as connection:
        return trials.list_trials(connection, job, limit=1000).items


def test_finalists_and_baseline_are_trained_on_the_same_fresh_seeds(engine: Engine, run: Run) -> None:
    job = submit(engine)

    assert run(job) is False

    done, found = seen(engine, job), replicates(engine, job)
    assert done.state == JobState.completed
    assert done.verdict is not None
    assert [(e.replicate, e.arm) for e in found] == [(r, a) for r in range(4) for a in range(5)]
    assert {e.state for e in found} == {"complete"}
    seeds = [e.seed for e in found if e.arm == 0]
    assert len(set(seeds)) == 4
    assert done.request.training.seed not in seeds
    assert [[e.seed for e in found if e.arm == arm] for arm in range(5)] == [seeds] * 5
    assert all(e.metrics["seed"] == e.seed for e in found)  # as the engine itself recorded it
    assert done.verdict.seeds == seeds
    assert len({arm.family for arm in done.verdict.finalists}) == 2
    assert [e.arm for e in found if e.twin] == [3, 4] * 4  # the finalists' learning rates with the baseline's function
    assert [e.trial for e in found[:5]] == [done.verdict.baseline.trial, *[f.trial for f in done.verdict.finalists] * 2]
    assert done.progress.finished == 9  # replicates are no trials


def test_trials_and_replicates_have_the_precision_of_the_request(engine: Engine, run: Run) -> None:
    job = submit(engine, training=REQUEST["training"] | {"precision": "bfloat16"})
    run(job)
    trained = [*trials_of(engine, job), *replicates(engine, job)]
    assert {one.metrics["environment"]["precision"] for one in trained} == {"bfloat16"}


@pytest.mark.parametrize("placement", ["network", "layer"])
def test_a_searched_recurrent_cell_is_compared_with_the_usual_one(engine: Engine, run: Run, placement: str) -> None:
    job = submit(
        engine,
        task="sunspots",
        architecture={"name": "rnn", "parameters": {"cell": "gru", "width": 3, "search_gates": True}},
        space=REQUEST["space"] | {"placement": placement, "architecture": {"layers": {"choices": [1, 2]}}},
        budget={"trials": 5},
        confirmation={"finalists": 1, "seeds": 2, "most_seeds": 2},
    )
    run(job)

    done, found = seen(engine, job), trials_of(engine, job)
    assert done.state == JobState.completed, done.error
    usual = "sigmoid+tanh"
    assert [t.family for t in found if t.is_baseline] == [usual] * sum(t.number in (0, 4) for t in found)
    first = {group: spec.family for group, spec in found[0].activations.items()}
    assert first == (
        {"gate": "sigmoid", "network": "tanh"} if placement == "network" else {"gate1": "sigmoid", "candidate1": "tanh"}
    )
    assert done.verdict is not None
    assert done.verdict.baseline.family == usual
    assert {e.state for e in replicates(engine, job)} == {"complete"}
    assert any(e.twin for e in replicates(engine, job))


def test_the_verdict_is_what_the_replicates_say(engine: Engine, run: Run) -> None:
    job = submit(engine)
    run(job)
    verdict, found = seen(engine, job).verdict, replicates(engine, job)
    assert verdict is not None
    for arm, finalist in enumerate(verdict.finalists, start=1):
        for part, told in (("validation", finalist.validation), ("test", finalist.test)):
            assert told is not None
            other = 0 if told.against == "own" else arm + 2
            ours, theirs = ([e.metrics[f"{part}_accuracy"] for e in found if e.arm == which] for which in (arm, other))
            assert told.difference == pytest.approx(sum(ours) / 4 - sum(theirs) / 4)
            assert told.wins == sum(a > b for a, b in zip(ours, theirs, strict=True))
    means = {f.trial: f.validation.candidate for f in verdict.finalists if f.validation}
    assert means[verdict.chosen] == max(means.values())
    assert verdict.outcome is Outcome.no_difference  # four seeds can show nothing, however clear
    assert verdict.winner == verdict.baseline.trial
    assert "no difference shown" in verdict.words


def test_the_baseline_gets_its_share_of_searched_settings(engine: Engine, run: Run) -> None:
    job = submit(engine)
    run(job)
    verdict = seen(engine, job).verdict
    own = [trial for trial in trials_of(engine, job) if trial.is_baseline]
    assert {0, 3, 6} <= {trial.number for trial in own}
    assert {trial.family for trial in own} == {"relu"}
    assert len({trial.parameters["training.learning_rate"] for trial in own}) >= 3
    best = max(trial.value for trial in own)
    assert verdict is not None
    assert next(t.value for t in own if t.number == verdict.baseline.trial) == best


def test_a_slice_that_ends_amid_confirmation_goes_on_in_the_next(engine: Engine, run: Run) -> None:
    job = submit(engine)
    states, slices = [], 0
    while run(job, seconds=0.01):
        states.append(seen(engine, job).state)
        slices += 1
    assert JobState.confirming in states
    assert seen(engine, job).state == JobState.completed
    assert [e.attempt for e in replicates(engine, job)] == [1] * 20


def test_what_a_dead_runner_held_is_trained_again_and_counted_once(
    engine: Engine, run: Run, hand_out: Callable[..., Any]
) -> None:
    job = submit(engine)
    while seen(engine, job).state != JobState.confirming:
        run(job, seconds=0.01)
    waiting = sum(e.state == "waiting" for e in replicates(engine, job))
    order = hand_out(job, worker="soon dead")
    with engine.begin() as connection:
        held = runs.claim_seed(connection, Holder(job, order.runner, order.lease, order.worker))
        assert len(held) == 5
        connection.execute(text("DELETE FROM procrastinate_jobs WHERE id = :id"), {"id": order.runner})
    with engine.begin() as connection:
        assert runs.give_back_orphans(connection, 3) == 5
        assert runs.finish(connection, [Finish(one, "complete") for one in held]) == set()

    assert run(job) is False

    found = replicates(engine, job)
    assert seen(engine, job).state == JobState.completed
    assert len(found) == 20
    assert sum(e.attempt == 2 for e in found) == 5
    assert waiting >= 5
    assert all(e.worker == "here" for e in found)


def test_the_verdict_of_a_runner_that_died_after_the_last_seed_is_given_by_the_next(
    engine: Engine, run: Run, hand_out: Callable[..., Any]
) -> None:
    job = submit(engine)
    while seen(engine, job).state != JobState.confirming:
        run(job, seconds=0.01)
    order = hand_out(job, worker="soon dead")
    while True:
        with engine.begin() as connection:
            held = runs.claim_seed(connection, Holder(job, order.runner, order.lease, order.worker))
            metrics = [dict.fromkeys(("validation_accuracy", "test_accuracy"), 0.5 + one.number / 10) for one in held]
            ends = [Finish(one, "complete", (), found) for one, found in zip(held, metrics, strict=True)]
            if not held:
                break
            runs.finish(connection, ends)
    assert seen(engine, job).state == JobState.confirming
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM procrastinate_jobs"))
        assert [one.missing for one in attendance.attendance(connection)] == [1]

    assert run(job) is False

    verdict = seen(engine, job).verdict
    assert verdict is not None
    assert len(verdict.seeds) == 4


def test_a_cancelled_confirmation_ends(engine: Engine, run: Run) -> None:
    job = submit(engine)
    while seen(engine, job).state != JobState.confirming:
        run(job, seconds=0.01)
    with engine.begin() as connection:
        jobs.cancel(connection, job)

    assert run(job) is False

    assert seen(engine, job).state == JobState.cancelled
    assert seen(engine, job).verdict is None
    assert {e.state for e in replicates(engine, job)} <= {"complete", "failed"}


def test_a_confirming_job_without_runners_is_found(engine: Engine, run: Run) -> None:
    job = submit(engine, parallelism=3)
    while seen(engine, job).state != JobState.confirming:
        run(job, seconds=0.01)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM procrastinate_jobs"))
        assert [(one.job_id, one.missing) for one in attendance.attendance(connection)] == [(job, 3)]


@pytest.mark.parametrize("asked", ["off", "auto"])
def test_small_searches_and_those_that_do_not_want_it_end_without(engine: Engine, run: Run, asked: str) -> None:
    job = submit(engine, confirmation=asked)
    run(job)
    done = seen(engine, job)
    assert (done.state, done.verdict, done.confirmation) == (JobState.completed, None, None)


def test_a_search_of_nothing_but_the_baseline_says_so(engine: Engine, run: Run) -> None:
    job = submit(engine, space={"families": ["relu"]}, budget={"trials": 3})
    run(job)
    verdict = seen(engine, job).verdict
    assert verdict is not None
    assert (verdict.chosen, verdict.ending, verdict.winner) == (None, "nothing_to_compare", 0)


def test_a_finalist_that_fails_on_some_seed_is_not_called_better(engine: Engine, run: Run) -> None:
    job = submit(engine)
    while seen(engine, job).state != JobState.confirming:
        run(job, seconds=0.01)
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE evaluations SET state = 'failed', failure_reason = 'diverged' WHERE arm = 1 AND replicate = 3")
        )
    run(job)
    verdict = seen(engine, job).verdict
    assert verdict is not None
    assert (verdict.finalists[0].failed, verdict.finalists[0].completed) == (1, 3)
    assert verdict.chosen == verdict.finalists[1].trial


@pytest.mark.parametrize("seed", range(2))
def test_copies_of_relu_are_not_called_different(engine: Engine, run: Run, seed: int) -> None:
    job = submit(
        engine,
        space=REQUEST["space"] | {"families": COPIES},
        budget={"trials": 16},
        seed=seed,
        training=REQUEST["training"] | {"seed": seed},
        confirmation={"finalists": 3, "seeds": 10, "most_seeds": 15},
    )
    run(job)
    verdict = seen(engine, job).verdict
    assert verdict is not None
    assert verdict.outcome is Outcome.no_difference, verdict.words
    assert verdict.words.count("no difference shown") == 1


def test_a_real_difference_is_shown_on_test_data(engine: Engine, run: Run) -> None:
    job = submit(
        engine,
        task="digits",
        architecture={"name": "mlp", "parameters": {"depth": 5, "width": 12}},
        space={"families": ["elu"]},
        baseline={"family": "sigmoid"},  # learns nothing through so many layers
        training={"epochs": 2, "batch_size": 64},
        budget={"trials": 6},
        confirmation={"finalists": 1, "seeds": 7, "most_seeds": 7},
    )
    run(job)
    verdict = seen(engine, job).verdict
    assert verdict is not None
    assert verdict.outcome is Outcome.better, verdict.words
    assert verdict.winner == verdict.chosen
    (finalist,) = verdict.finalists
    assert finalist.test is not None
    assert finalist.test.interval.low > 0
    assert "on 4 of 4 seeds" in verdict.words  # so clear that it ends halfway
    assert verdict.ending == "early"
    assert finalist.costs["parameters"] > 0


def test_where_a_cost_comes_first_finalists_are_compared_by_the_metric_of_the_task(engine: Engine, run: Run) -> None:
    job = submit(engine, objectives=[{"metric": "activation_cost"}, {"metric": "accuracy"}])
    run(job)
    done = seen(engine, job)
    assert done.verdict is not None
    assert (done.objective.metric, done.verdict.metric) == ("activation_cost", "accuracy")
    others = [trial.value for trial in trials_of(engine, job) if not trial.is_baseline]
    best = next(trial for trial in trials_of(engine, job) if trial.number == done.verdict.finalists[0].trial)
    assert best.value == min(others)  # the search ranked by the cost
    assert all(arm.costs["activation_cost"] > 0 for arm in (done.verdict.baseline, *done.verdict.finalists))


@pytest.mark.parametrize("metric", ["balanced_accuracy", "roc_auc"])
def test_own_data_read_as_was_said_are_judged_by_the_metric_that_was_asked_for(
    engine: Engine, run: Run, metric: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    lines = ["id;rain;sun;score;flood"]
    for number in range(240):
        rain, sun = rng.normal(size=2)
        flood = "yes" if rain - sun + rng.normal() / 2 > 1 else "no"
        lines.append(f"{number};{rain:.3f};{sun:.3f};{rng.normal():.3f};{flood}".replace(".", ","))
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "floods.csv").write_text("\n".join(lines))
    monkeypatch.setenv("ACTSEARCH_DATA_DIR", str(tmp_path))
    settings.cache_clear()
    parameters = {"separator": "semicolon", "decimal": "comma", "leave_out": ["id", "score"]}

    job = submit(engine, task={"name": "data:floods.csv:flood", "parameters": parameters}, objective={"metric": metric})
    assert run(job) is False
    settings.cache_clear()

    verdict = seen(engine, job).verdict
    assert verdict is not None
    found = replicates(engine, job)
    own = [e.metrics[f"test_{metric}"] for e in found if e.arm == 0]
    assert verdict.metric == metric
    assert verdict.baseline.results["test"].mean == pytest.approx(np.mean(own))
    assert own != [e.metrics["test_accuracy"] for e in found if e.arm == 0]
