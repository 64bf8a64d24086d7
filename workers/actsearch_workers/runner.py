"""One time slice of a job on one device: claim, propose, train, report, finish, until the slice or the job is over."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from uuid import UUID

import optuna
import structlog
import torch
from sqlalchemy import Engine

from actsearch.schemas import (
    ACTIVE_STATES,
    ActivationSpec,
    FailureReason,
    JobRequest,
    JobState,
)
from actsearch.search import PreparedJob, make_pruner, make_sampler, prepare
from actsearch.space import Suggestion, suggest
from actsearch.store import OptunaStorage, claims, jobs
from actsearch.tasks import get_task, load
from actsearch.training import Candidate, Cohort, Outcome, Plan, Rung, train
from actsearch_workers.control import Control
from actsearch_workers.messages import Run

log = structlog.get_logger()


class CohortStopped(Exception):
    """The cohort is to stop at this rung: its job was cancelled or paused, or the worker is leaving."""


@dataclass(frozen=True)
class Member:
    """A claimed trial with what it is to compute."""

    claim: claims.Claim
    trial: optuna.Trial
    suggestion: Suggestion


@dataclass(frozen=True)
class Context:
    """What a slice works with."""

    engine: Engine
    storage: OptunaStorage
    prepared: PreparedJob
    order: Run
    device: str
    control: Control

    @property
    def request(self) -> JobRequest:
        """The job's request."""
        return self.prepared.request


def run_slice(engine: Engine, order: Run, device: str, control: Control) -> bool:
    """Work on a job until the time slice is over or nothing is left to claim.

    Returns:
        Whether the job has more work for this runner.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    request = _begin(engine, order)
    if request is None:
        return False
    context = Context(engine, OptunaStorage(engine), prepare(request), order, device, control)
    end = time.monotonic() + order.seconds
    while not control.draining and time.monotonic() < end:
        members = _claim(context)
        if not members:
            _close(context)
            return False
        try:
            for cohort in _by_shape(members):
                _train(context, cohort)
        except CohortStopped:
            _release(context)
    return True


def _begin(engine: Engine, order: Run) -> JobRequest | None:
    """Take back what an earlier life of this runner left; the request, if the job may run."""
    with engine.begin() as connection:
        claims.give_back(connection, order.runner, order.attempts, crashed=True)
        jobs.lock(connection, order.job_id)  # another runner of the job may begin at this very moment
        state, request = jobs.get_request(connection, order.job_id)
        if state == JobState.queued:
            jobs.transition(connection, order.job_id, JobState.running)
        elif state not in ACTIVE_STATES:
            claims.fail_cancelled(connection)
            return None
    return request


# --- claim and propose ----------------------------------------------------------------------------


def _claim(context: Context) -> list[Member]:
    size = context.request.cohort_size or 8
    with context.engine.begin() as connection:
        claimed = claims.claim(connection, context.order.job_id, context.order.runner, context.order.worker, size)
    if not claimed:
        return []
    study = _study(context, claimed[0].number)
    with context.storage.batch():
        members = [_propose(context, study, claim) for claim in claimed]
    with context.engine.begin() as connection:
        claims.propose(connection, [_proposal(member) for member in members])
    return members


def _study(context: Context, first_number: int) -> optuna.Study:
    return optuna.load_study(
        study_name=str(context.order.job_id),
        storage=context.storage,
        sampler=make_sampler(context.request.sampler, context.request.seed, first_number),
        pruner=make_pruner(context.request.pruner, context.request.training.epochs, context.request.seed),
    )


def _propose(context: Context, study: optuna.Study, claim: claims.Claim) -> Member:
    trial = optuna.Trial(study, claim.trial_id)
    suggestion = suggest(trial, context.prepared.space)
    if claim.activations:
        given = {key: ActivationSpec.model_validate(spec) for key, spec in claim.activations.items()}
        suggestion = Suggestion(given, suggestion.architecture, suggestion.training)
    return Member(claim, trial, suggestion)


def _proposal(member: Member) -> claims.Proposal:
    activations = {key: spec.model_dump(mode="json") for key, spec in member.suggestion.activations.items()}
    return claims.Proposal(member.claim, member.suggestion.family, activations)


def _by_shape(members: Sequence[Member]) -> list[list[Member]]:
    """Members that share their architecture parameters, and so can train as one cohort."""

    def shape(member: Member) -> str:
        return repr(sorted(member.suggestion.architecture.items()))

    return [list(group) for _, group in groupby(sorted(members, key=shape), key=shape)]


# --- train ----------------------------------------------------------------------------------------


def _train(context: Context, members: Sequence[Member]) -> None:
    """Train members together; where that fails, one by one, so that only the culprit's trial fails."""
    outcomes: list[Outcome] | None
    try:
        outcomes = _outcomes(context, members)
    except CohortStopped:
        raise
    except (MemoryError, torch.OutOfMemoryError) as error:
        outcomes = _halved(context, members, FailureReason.out_of_memory, error)
    except Exception as error:  # whatever a network raises is the trial's failure, not the job's
        log.exception("cohort failed", job=str(context.order.job_id), trials=len(members))
        outcomes = _halved(context, members, FailureReason.invalid, error)
    if outcomes is not None:
        _finish(context, members, outcomes)


def _halved(
    context: Context, members: Sequence[Member], reason: FailureReason, error: BaseException
) -> list[Outcome] | None:
    """Retry in halves what failed together; a single member fails for good."""
    if len(members) == 1:
        return [Outcome("failed", reason=reason, detail=f"{type(error).__name__}: {error}")]
    middle = len(members) // 2
    for part in (members[:middle], members[middle:]):
        _train(context, part)
    return None


def _outcomes(context: Context, members: Sequence[Member]) -> list[Outcome]:
    request = context.request
    cohort = Cohort(
        architecture=request.architecture.name,
        parameters={**request.architecture.parameters, **members[0].suggestion.architecture},
        candidates=[_candidate(request, member.suggestion) for member in members],
    )
    plan = Plan(request.training, device=context.device)
    dataset = load(request.task.name, request.task.parameters)
    return train(cohort, get_task(request.task.name), dataset, plan, lambda rung: _on_rung(context, members, rung))


def _candidate(request: JobRequest, suggestion: Suggestion) -> Candidate:
    def chosen(name: str) -> float:
        return float(suggestion.training.get(name, getattr(request.training, name)))

    return Candidate(
        activations=suggestion.activations,
        learning_rate=chosen("learning_rate"),
        weight_decay=chosen("weight_decay"),
        momentum=chosen("momentum"),
    )


def _on_rung(context: Context, members: Sequence[Member], rung: Rung) -> list[bool]:
    """Report, and say who goes on: not the pruned, nor those that went to another runner meanwhile."""
    at_rung = [members[position] for position in rung.positions]
    reports = [claims.Report(m.claim, rung.epoch, metrics) for m, metrics in zip(at_rung, rung.metrics, strict=True)]
    with context.engine.begin() as connection:
        ours = claims.report(connection, reports)
        state = jobs.get_state(connection, context.order.job_id)
    if state != JobState.running or context.control.given_up:
        raise CohortStopped
    with context.storage.batch():
        values = [_value(context, metrics) for metrics in rung.metrics]
        for member, value in zip(at_rung, values, strict=True):
            member.trial.report(value, rung.epoch)
        last = rung.epoch >= context.request.training.epochs  # all its budget is spent: nothing to save by pruning
        return [m.claim.trial_id in ours and (last or not m.trial.should_prune()) for m in at_rung]


def _value(context: Context, metrics: Mapping[str, Any]) -> float:
    return float(metrics[f"validation_{context.prepared.objective.metric}"])


# --- finish ---------------------------------------------------------------------------------------


def _finish(context: Context, members: Sequence[Member], outcomes: Sequence[Outcome]) -> None:
    finishes = [_ending(context, member, outcome) for member, outcome in zip(members, outcomes, strict=True)]
    with context.engine.begin() as connection:
        claims.finish(connection, finishes)


def _ending(context: Context, member: Member, outcome: Outcome) -> claims.Finish:
    metrics = outcome.metrics
    if outcome.state == "failed":
        return claims.Finish(member.claim, "failed", None, metrics, outcome.reason, outcome.detail)
    value = _value(context, metrics)
    if not math.isfinite(value):
        detail = f"{context.prepared.objective.metric} on the validation part is {value}"
        return claims.Finish(member.claim, "failed", None, metrics, FailureReason.diverged, detail)
    return claims.Finish(member.claim, outcome.state, value, metrics)


def _release(context: Context) -> None:
    """Give back what the stopped cohort was training; a cancelled job's trials end there."""
    with context.engine.begin() as connection:
        claims.give_back(connection, context.order.runner, context.order.attempts, crashed=False)
        claims.fail_cancelled(connection)


def _close(context: Context) -> None:
    """Complete the job if its budget is spent and no other runner still trains."""
    job_id: UUID = context.order.job_id
    with context.engine.begin() as connection:
        jobs.lock(connection, job_id)
        left = claims.remaining(connection, job_id)
        if left.state != JobState.running or left.open or left.unclaimed > 0:
            return
        if left.complete:
            jobs.transition(connection, job_id, JobState.completed)
        else:
            jobs.transition(connection, job_id, JobState.failed, "no trial completed; see the trials' failures")
