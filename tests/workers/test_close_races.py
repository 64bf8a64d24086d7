"""Runners that begin and end a job at the same moment, with a cancel in between: one outcome, and a legal history."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from actsearch.errors import IllegalTransition
from actsearch.schemas import FINAL_STATES, JOB_TRANSITIONS, JobState
from actsearch.store import job_views, jobs

Submit = Callable[..., UUID]
Run = Callable[..., bool]


def _together(*calls: Callable[[], Any]) -> list[Any]:
    """Results of calls that begin at one moment."""
    barrier = threading.Barrier(len(calls))

    def begin(call: Callable[[], Any]) -> Any:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(begin, call) for call in calls]]


def _history(engine: Engine, job: UUID) -> list[JobState]:
    with engine.connect() as connection:
        query = text("SELECT data ->> 'state' FROM events WHERE job_id = :job AND kind = 'state' ORDER BY id")
        return [JobState(state) for state in connection.execute(query, {"job": job}).scalars()]


def _assert_legal(engine: Engine, job: UUID) -> JobState:
    states = _history(engine, job)
    assert states[0] is JobState.queued
    for earlier, later in itertools.pairwise(states):
        assert later in JOB_TRANSITIONS[earlier]
    with engine.connect() as connection:
        assert jobs.get_state(connection, job) is states[-1]
    return states[-1]


def test_runners_that_begin_and_end_together_complete_the_job_once(engine: Engine, submit: Submit, run: Run) -> None:
    for _ in range(4):
        job = submit(budget={"trials": 5}, cohort_size=1)
        assert _together(*[lambda job=job: run(job)] * 3) == [False] * 3
        assert _assert_legal(engine, job) is JobState.completed
        assert _history(engine, job) == [JobState.queued, JobState.running, JobState.completed]
        with engine.connect() as connection:
            progress = job_views.get_job(connection, job, 30).progress
        assert (progress.finished, progress.complete) == (5, 5)


@pytest.mark.parametrize("epochs", [1, 30], ids=["near the end", "in the middle"])
def test_a_cancel_at_the_same_moment_leaves_one_outcome(engine: Engine, submit: Submit, run: Run, epochs: int) -> None:
    def cancel(job: UUID) -> bool:
        try:
            with engine.begin() as connection:
                jobs.cancel(connection, job)
        except IllegalTransition:
            return False
        return True

    for _ in range(4):
        job = submit(budget={"trials": 2}, cohort_size=1, training={"epochs": epochs, "batch_size": 256})
        runners = [lambda job=job: run(job)] * 2
        *_, cancelled = _together(*runners, lambda job=job: cancel(job))
        for runner in runners:  # the queue's retry, or the reconciler's: it finds nothing more to do
            assert runner() is False
        state = _assert_legal(engine, job)
        assert state in FINAL_STATES
        assert (state is JobState.cancelled) == cancelled
        with engine.connect() as connection:
            progress = job_views.get_job(connection, job, 30).progress
        assert progress.running == progress.waiting == 0
