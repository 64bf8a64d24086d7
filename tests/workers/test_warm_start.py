"""A job that begins from earlier ones, on the real store: what it takes over, and what it does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine

from actsearch.errors import InvalidRequest
from actsearch.store import job_views
from actsearch.store.warm_start import remembered

Submit = Callable[..., UUID]
Work = Callable[..., list[Any]]

SPACE = {
    "families": ["elu", "gelu", "tanh", {"name": "leaky_relu", "parameters": {"slope": {"low": 0.01, "high": 0.4}}}],
    "training": {"learning_rate": {"low": 1e-3, "high": 1e-1, "log": True}},
}
NARROW = {"families": ["elu", "tanh"], "training": {"learning_rate": {"low": 1e-2, "high": 2e-2, "log": True}}}


def _best_first(trials: list[Any]) -> list[Any]:
    return sorted((t for t in trials if t.state == "complete"), key=lambda t: (-t.value, t.number))


@pytest.mark.parametrize("sampler", ["shape", "random"])
def test_the_best_of_an_earlier_job_come_first_and_are_marked(submit: Submit, work: Work, sampler: str) -> None:
    request = {"space": SPACE, "budget": {"trials": 16}, "sampler": sampler}
    first = submit(**request)
    earlier = work(first)
    later = work(submit(**request, warm_start=[str(first)]))

    assert len(later) == 16  # of its own budget
    taken = [t for t in later if t.warm_start is not None]
    assert [t.number for t in taken] == [1, 2, 3, 4]
    assert {t.warm_start for t in taken} == {first}
    assert later[0].is_baseline
    best = _best_first(earlier)
    assert taken[0].parameters == best[0].parameters
    assert taken[0].value == pytest.approx(best[0].value)  # trained anew here, with the same seed


def test_auto_takes_completed_jobs_of_the_same_task_and_objective(submit: Submit, work: Work) -> None:
    first = submit(space=SPACE, budget={"trials": 8}, sampler="random")
    before = work(
        submit(space=SPACE, budget={"trials": 8}, sampler="random", warm_start="auto")
    )  # `first` not done yet
    assert all(t.warm_start is None for t in before)
    work(first)
    other_task = work(submit(task="wine", budget={"trials": 8}, sampler="random", warm_start="auto"))
    assert all(t.warm_start is None for t in other_task)
    after = work(submit(space=SPACE, budget={"trials": 8}, sampler="random", warm_start="auto"))
    assert [t.number for t in after if t.warm_start is not None] == [1, 2]  # a quarter of the budget at most
    off = work(submit(space=SPACE, budget={"trials": 8}, sampler="random"))
    assert all(t.warm_start is None for t in off)


def test_what_is_taken_over_is_clipped_to_the_new_space(submit: Submit, work: Work) -> None:
    first = submit(space=SPACE, budget={"trials": 16}, sampler="random")
    work(first)
    later = work(submit(space=NARROW, budget={"trials": 12}, sampler="random", warm_start=[str(first)]))
    taken = [t for t in later if t.warm_start is not None]
    assert taken
    assert all(t.family in ("elu", "tanh", "relu") for t in taken)
    assert all(0.01 <= t.parameters["training.learning_rate"] <= 0.02 for t in taken)


def test_a_long_job_is_remembered_by_its_best_and_an_even_choice_of_the_others(
    submit: Submit, work: Work, engine: Engine
) -> None:
    job = submit(space=SPACE, budget={"trials": 16}, sampler="random")
    ranked = [t.value for t in _best_first(work(job))]
    assert len(ranked) == 16
    with engine.connect() as connection:
        (everything,) = remembered(connection, [job])
        (some,) = remembered(connection, [job], most=8)
    assert [score for _, score in everything.trials] == ranked
    assert [score for _, score in some.trials] == [*ranked[:4], ranked[6], ranked[9], ranked[12], ranked[15]]


def test_a_job_that_does_not_exist_is_named(submit: Submit, engine: Engine) -> None:
    with pytest.raises(InvalidRequest) as caught:
        submit(warm_start=[str(uuid4())])
    assert [problem.field for problem in caught.value.problems] == ["warm_start.0"]
    with engine.connect() as connection:
        assert job_views.list_jobs(connection, 60).items == []
