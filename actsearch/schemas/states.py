"""States of jobs and trials, and which may follow which."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class JobState(StrEnum):
    """States of a job; `JOB_TRANSITIONS` says which may follow which."""

    queued = "queued"
    running = "running"
    paused = "paused"
    confirming = "confirming"
    completed = "completed"
    failed = "failed"
    cancelled = "cancelled"


JOB_TRANSITIONS: Mapping[JobState, frozenset[JobState]] = {
    JobState.queued: frozenset({JobState.running, JobState.paused, JobState.failed, JobState.cancelled}),
    JobState.running: frozenset(
        {JobState.paused, JobState.confirming, JobState.completed, JobState.failed, JobState.cancelled}
    ),
    JobState.paused: frozenset({JobState.queued, JobState.cancelled}),
    JobState.confirming: frozenset({JobState.paused, JobState.completed, JobState.failed, JobState.cancelled}),
    JobState.completed: frozenset({JobState.queued}),  # more trials are asked for
    JobState.failed: frozenset(),
    JobState.cancelled: frozenset(),
}
ACTIVE_STATES = (JobState.queued, JobState.running, JobState.confirming)
FINAL_STATES = (JobState.completed, JobState.failed, JobState.cancelled)
"""Nothing happens to such a job by itself any more."""


class TrialState(StrEnum):
    """States of a trial, as Optuna names them, in lower case."""

    running = "running"
    complete = "complete"
    pruned = "pruned"
    failed = "failed"
    waiting = "waiting"


class FailureReason(StrEnum):
    """Why a trial failed, or (`constraint`) was pruned before training."""

    diverged = "diverged"
    out_of_memory = "out_of_memory"
    timeout = "timeout"
    invalid = "invalid"
    lost = "lost"
    cancelled = "cancelled"
    constraint = "constraint"


class Direction(StrEnum):
    """Whether larger or smaller values of a metric are better."""

    maximize = "maximize"
    minimize = "minimize"


class StopRule(StrEnum):
    """What ended a search: fields of the request's budget."""

    trials = "trials"
    seconds = "seconds"
    device_seconds = "device_seconds"
    target = "target"
    patience = "patience"
    regret_bound = "regret_bound"
