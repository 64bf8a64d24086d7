"""Jobs that people steer, with real training: paused, resumed, extended, and what that does to the search."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from actsearch.errors import IllegalTransition, InvalidRequest
from actsearch.schemas import BudgetChange, Job, JobChange, JobState
from actsearch.store import changes, job_views, jobs
from actsearch_workers.control import Control

Submit = Callable[..., UUID]
Work = Callable[..., list[Any]]

RATES = {"learning_rate": {"low": 1e-3, "high": 1e-1, "log": True}}
SPACE = {"families": ["elu", "tanh", "leaky_relu"], "training": RATES}
SEEDED = {"space": SPACE, "seed": 5, "confirmation": "off", "cohort_size": 4}
CONFIRMED = {
    "space": SPACE,
    "seed": 3,
    "cohort_size": 4,
    "budget": {"trials": 8},
    "confirmation": {"finalists": 1, "seeds": 3, "most_seeds": 3},
}


@pytest.fixture
def seen(engine: Engine) -> Callable[[UUID], Job]:
    """A job as clients see it."""

    def look(job: UUID) -> Job:
        with engine.connect() as connection:
            return job_views.get_job(connection, job, 30)

    return look


@pytest.fixture
def change(engine: Engine) -> Callable[..., None]:
    """Change a job as `PATCH` does."""

    def do(job: UUID, trials: int | None = None, **given: Any) -> None:
        if trials is not None:
            given["budget"] = BudgetChange(trials=trials)
        with engine.begin() as connection:
            wanted = JobChange(**given).applied_to(jobs.get_request(connection, job)[1])
            changes.change(connection, job, wanted, by="ci")

    return do


@pytest.fixture
def steer(engine: Engine) -> Callable[..., None]:
    """Pause or resume a job."""

    def do(job: UUID, how: Callable[..., None]) -> None:
        with engine.begin() as connection:
            how(connection, job)

    return do


class Amid(Control):
    """Does something once, when the runner reports that it has moved for the n-th time."""

    def __init__(self, turn: int, what: Callable[[], None]) -> None:
        super().__init__()
        self._left, self._what = turn, what

    def moved(self) -> None:
        """See `Control`."""
        super().moved()
        self._left -= 1
        if self._left == 0:
            self._what()


def found(trials: list[Any]) -> list[Any]:
    """What a search came to, without what depends on the machine."""
    return [(one.number, one.state, one.family, one.parameters, one.value) for one in trials]


def runner_tasks(engine: Engine, job: UUID) -> int:
    """On the queue."""
    query = "SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo' AND args ->> 'job_id' = :job"
    with engine.connect() as connection:
        return int(connection.execute(text(query), {"job": str(job)}).scalar_one())


def events(engine: Engine, job: UUID) -> list[tuple[str, dict[str, Any]]]:
    """What happened to a job."""
    query = "SELECT kind, data FROM events WHERE job_id = :job AND kind IN ('state', 'changed') ORDER BY id"
    with engine.connect() as connection:
        return [(row.kind, row.data) for row in connection.execute(text(query), {"job": job})]


def test_an_extended_search_is_the_one_that_was_asked_for_at_once(
    submit: Submit, work: Work, change: Callable[..., None], seen: Callable[[UUID], Job]
) -> None:
    at_once = submit(**SEEDED, budget={"trials": 16})
    expected = found(work(at_once))
    grown = submit(**SEEDED, budget={"trials": 8})
    assert found(work(grown)) == expected[:8]
    assert seen(grown).state == JobState.completed
    change(grown, trials=16)
    job = seen(grown)
    assert (job.state, job.progress.budget, job.request.budget.trials) == (JobState.queued, 16, 16)
    assert job.finished_at is None
    assert found(work(grown)) == expected
    job = seen(grown)
    assert (job.state, job.stopped_by, job.progress.complete) == (JobState.completed, "trials", 16)


def test_an_extended_job_gives_its_verdict_anew(
    submit: Submit, work: Work, change: Callable[..., None], seen: Callable[[UUID], Job], engine: Engine
) -> None:
    job = submit(**CONFIRMED)
    work(job)
    first = seen(job).verdict
    assert first is not None
    change(job, trials=12)
    between = seen(job)
    assert (between.state, between.verdict, between.words, between.confirmation) == (JobState.queued, None, None, None)
    assert runner_tasks(engine, job) == 1
    assert len(work(job)) == 12
    then = seen(job)
    assert then.state == JobState.completed
    assert then.verdict is not None
    assert then.verdict.seeds == first.seeds
    at_once = submit(**CONFIRMED | {"budget": {"trials": 12}})
    work(at_once)
    alike = seen(at_once).verdict
    assert alike is not None
    assert (then.verdict.outcome, then.verdict.words) == (alike.outcome, alike.words)
    [(_, told)] = [event for event in events(engine, job) if event[0] == "changed"]
    assert told | {"verdict": None} == {"trials": 12, "by": "ci", "verdict": None}
    assert told["verdict"]["words"] == first.words


@pytest.mark.parametrize("turn", [1, 2, 4])
def test_a_paused_search_goes_on_as_if_nothing_had_been(
    turn: int,
    submit: Submit,
    work: Work,
    run: Callable[..., bool],
    steer: Callable[..., None],
    seen: Callable[[UUID], Job],
    engine: Engine,
) -> None:
    request = SEEDED | {"budget": {"trials": 12}, "training": {"epochs": 3, "batch_size": 256}}
    expected = found(work(submit(**request)))
    job = submit(**request)
    run(job, control=Amid(turn, lambda: steer(job, jobs.pause)))
    paused = seen(job)
    assert paused.state == JobState.paused
    assert paused.progress.running == 0
    assert paused.progress.finished < 12
    assert run(job) is False  # a task that was on the queue
    assert seen(job).progress == paused.progress
    steer(job, jobs.resume)
    assert seen(job).state == JobState.queued
    assert runner_tasks(engine, job) == 1
    assert found(work(job)) == expected


def test_a_confirmation_is_paused_and_resumed(
    submit: Submit, work: Work, run: Callable[..., bool], steer: Callable[..., None], seen: Callable[[UUID], Job]
) -> None:
    whole = submit(**CONFIRMED)
    work(whole)
    job = submit(**CONFIRMED)

    def pause_if_confirming() -> None:
        if seen(job).state == JobState.confirming:
            steer(job, jobs.pause)

    class Watching(Control):
        def moved(self) -> None:
            super().moved()
            pause_if_confirming()

    run(job, control=Watching())
    paused = seen(job)
    assert (paused.state, paused.verdict) == (JobState.paused, None)
    assert paused.confirmation is not None
    steer(job, jobs.resume)
    work(job)
    verdict, expected = seen(job).verdict, seen(whole).verdict
    assert verdict is not None
    assert expected is not None
    assert verdict.words == expected.words


def test_a_budget_that_grows_while_the_last_trials_train_is_used(
    submit: Submit, run: Callable[..., bool], work: Work, change: Callable[..., None], seen: Callable[[UUID], Job]
) -> None:
    request = {"space": SPACE, "seed": 1, "cohort_size": 4, "budget": {"trials": 4}, "confirmation": "auto"}
    job = submit(**request)
    run(job, control=Amid(1, lambda: change(job, trials=24)))
    assert len(work(job)) == 24
    done = seen(job)
    assert done.state == JobState.completed
    assert done.verdict is not None  # 24 trials are worth one, 4 were not


def test_a_budget_may_shrink_to_what_was_begun(
    submit: Submit, run: Callable[..., bool], work: Work, change: Callable[..., None], seen: Callable[[UUID], Job]
) -> None:
    job = submit(**SEEDED, budget={"trials": 100})

    def shrink() -> None:
        with pytest.raises(InvalidRequest, match=r"budget\.trials: 4 trials have already begun; ask for at least 4"):
            change(job, trials=3)
        change(job, trials=6)

    run(job, control=Amid(1, shrink))
    assert len(work(job)) == 6
    assert seen(job).state == JobState.completed


def test_what_cannot_be_changed_says_why(
    submit: Submit, work: Work, change: Callable[..., None], steer: Callable[..., None], engine: Engine
) -> None:
    patient = submit(**SEEDED, budget={"trials": 40, "patience": 2})
    work(patient)
    with pytest.raises(InvalidRequest, match=r"ended by budget\.patience"):
        change(patient, trials=80)
    done = submit(**SEEDED, budget={"trials": 4})
    work(done)
    with pytest.raises(InvalidRequest, match="ask for at least 5"):
        change(done, trials=3)
    timed = submit(**SEEDED, budget={"trials": 4, "seconds": 1000})
    work(timed)
    with pytest.raises(InvalidRequest, match=r"budget\.seconds counts"):
        change(timed, trials=8)
    cancelled = submit(**SEEDED, budget={"trials": 4})
    steer(cancelled, jobs.cancel)
    with pytest.raises(IllegalTransition, match="cancelled, its search being over, cannot be given another number"):
        change(cancelled, trials=8)
    before = events(engine, cancelled)
    change(cancelled, name="given up")
    change(cancelled, name="given up")
    assert events(engine, cancelled) == [*before, ("changed", {"name": "given up", "by": "ci"})]
    with pytest.raises(IllegalTransition, match="cannot be resumed; it can be given more trials"):
        steer(done, jobs.resume)
    with pytest.raises(IllegalTransition, match="cannot be paused; it can be given more trials"):
        steer(done, jobs.pause)


def test_more_and_fewer_may_work_on_a_job_and_it_takes_its_turn_by_its_new_priority(
    submit: Submit, change: Callable[..., None], seen: Callable[[UUID], Job], engine: Engine
) -> None:
    job = submit(space=SPACE, budget={"trials": 100})
    assert runner_tasks(engine, job) == 4
    change(job, parallelism=6, priority=7)
    query = "SELECT priority, count(*) FROM procrastinate_jobs WHERE args ->> 'job_id' = :job GROUP BY 1"
    with engine.connect() as connection:
        assert connection.execute(text(query), {"job": str(job)}).all() == [(7, 6)]
    change(job, parallelism=2)
    assert runner_tasks(engine, job) == 2
    change(job, parallelism=None)
    assert runner_tasks(engine, job) == 4
    assert (seen(job).request.parallelism, seen(job).request.priority) == (None, 7)
