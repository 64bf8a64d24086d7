"""Training the trials that a runner has claimed: as cohorts, with a report at each rung and one write at the end."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import optuna
import structlog
from sqlalchemy import Engine

from actsearch.errors import InvalidRequest, TrainingError
from actsearch.schemas import FailureReason, JobRequest, JobState, Scalar
from actsearch.space import Suggestion
from actsearch.store import OptunaStorage, claims, jobs
from actsearch.study import PreparedJob, input_spec
from actsearch.study.proposing.shape import Source
from actsearch.tasks import get_task, load
from actsearch.training import Candidate, Cohort, Outcome, Plan, Rung, cohort_size, train
from actsearch_workers.control import Control
from actsearch_workers.measuring import costs_of, values_of
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


@dataclass
class Context:
    """What a slice works with.

    Args:
        fits: the most trials that have not run out of memory together; halved when they do.
        sources: what earlier jobs found (`memory`); None before they are read.
    """

    engine: Engine
    storage: OptunaStorage
    prepared: PreparedJob
    order: Run
    device: str
    control: Control
    fits: float = field(default=math.inf)
    sources: list[Source] | None = None

    @property
    def request(self) -> JobRequest:
        """The job's request."""
        return self.prepared.request


def size_for(context: Context, searched: Mapping[str, Scalar], limit: int) -> int:
    """How many trials to train together, at most `limit`: the request's word, else what suits device and network.

    Args:
        searched: values of the architecture parameters that are searched.
    """
    request = context.request
    if request.cohort_size is not None:
        return min(limit, request.cohort_size)
    dataset = load(request.task.name, request.task.parameters)
    parameters = {**request.architecture.parameters, **searched}
    spec = input_spec(dataset)
    try:
        return cohort_size(
            request.architecture.name,
            parameters,
            spec,
            batch_size=min(request.training.batch_size, len(dataset.train[0])),
            device=context.device,
            limit=limit,
            precision=request.training.precision,
            differentiates_inputs=get_task(request.task.name, request.task.parameters).kind == "pde",
        )
    except InvalidRequest:  # a combination that the network cannot be built with: training says so, trial by trial
        return 1


def train_members(context: Context, members: Sequence[Member]) -> None:
    """Train claimed trials to their ends.

    Raises:
        CohortStopped: some of them are still the runner's, to be given back.
    """
    for group in _by_shape(members):
        size = int(min(size_for(context, group[0].suggestion.architecture, len(group)), context.fits))
        for start in range(0, len(group), size):
            _train(context, group[start : start + size])


def _by_shape(members: Sequence[Member]) -> list[list[Member]]:
    """Members that share their architecture parameters, and so can train as one cohort."""

    def shape(member: Member) -> str:
        return repr(sorted(member.suggestion.architecture.items()))

    return [list(group) for _, group in groupby(sorted(members, key=shape), key=shape)]


def _train(context: Context, members: Sequence[Member]) -> None:
    """Train members together; where that fails, in halves, so that only the culprit's trial fails.

    Trials whose building or running fails by itself are told apart by `train`; what fails here fails for all.
    """
    try:
        outcomes = _outcomes(context, members)
    except TrainingError as error:
        log.warning("cohort failed", job=str(context.order.job_id), trials=len(members), error=str(error))
        _halve(context, members, FailureReason(error.reason), error.detail)
        return
    _finish(context, members, outcomes)


def _halve(context: Context, members: Sequence[Member], reason: FailureReason, detail: str) -> None:
    """Retry in halves what failed together; a single member fails for good."""
    if len(members) == 1:
        _finish(context, members, [Outcome("failed", reason=reason, detail=detail)])
        return
    middle = (len(members) + 1) // 2
    if reason == FailureReason.out_of_memory:
        context.fits = min(context.fits, middle)
    _start_again(context, members)
    for part in (members[:middle], members[middle:]):
        _train(context, part)


def _start_again(context: Context, members: Sequence[Member]) -> None:
    """Forget what the members reported: their next attempt begins at the first epoch."""
    with context.engine.begin() as connection:
        claims.restart(connection, [member.claim for member in members])
    for member in members:  # Optuna keeps a copy of its own, by which it ignores a second report of an epoch
        member.trial._cached_frozen_trial = context.storage.get_trial(member.claim.trial_id)


def _outcomes(context: Context, members: Sequence[Member]) -> list[Outcome]:
    request = context.request
    cohort = Cohort(
        architecture=request.architecture.name,
        parameters={**request.architecture.parameters, **members[0].suggestion.architecture},
        candidates=[candidate_of(request, member.suggestion) for member in members],
    )
    plan = Plan(request.training, device=context.device, judged_by=[o.metric for o in request.judged_by])
    dataset = load(request.task.name, request.task.parameters)
    return train(
        cohort,
        get_task(request.task.name, request.task.parameters),
        dataset,
        plan,
        lambda rung: _on_rung(context, members, rung),
        on_complete=costs_of(request, context.device),
        on_step=context.control.stepped,
    )


def candidate_of(request: JobRequest, suggestion: Suggestion) -> Candidate:
    """What the engine is to train for a suggestion; what is not searched is the request's."""

    def chosen(name: str) -> float:
        return float(suggestion.training.get(name, getattr(request.training, name)))

    return Candidate(
        activations=suggestion.activations,
        learning_rate=chosen("learning_rate"),
        weight_decay=chosen("weight_decay"),
        momentum=chosen("momentum"),
        initial_scale=chosen("initial_scale"),
    )


def _on_rung(context: Context, members: Sequence[Member], rung: Rung) -> list[bool]:
    """Report, and say who goes on: not the pruned, nor those that went to another runner meanwhile."""
    context.control.moved()
    at_rung = [members[position] for position in rung.positions]
    reports = [claims.Report(m.claim, rung.epoch, metrics) for m, metrics in zip(at_rung, rung.metrics, strict=True)]
    with context.engine.begin() as connection:
        ours = claims.report(connection, reports)
        state = jobs.get_state(connection, context.order.job_id)
    if state != JobState.running or context.control.given_up:
        raise CohortStopped
    if not _is_reported(context):
        return [m.claim.trial_id in ours for m in at_rung]
    with context.storage.batch(claims.attempts(m.claim for m in at_rung)) as ours:
        values = [_value(context, metrics) for metrics in rung.metrics]
        for member, value in zip(at_rung, values, strict=True):
            if member.claim.trial_id in ours:
                member.trial.report(value, rung.epoch)
        last = rung.epoch >= context.request.training.epochs  # all its budget is spent: nothing to save by pruning
        return [m.claim.trial_id in ours and (last or not m.trial.should_prune()) for m in at_rung]


def _is_reported(context: Context) -> bool:
    """Whether Optuna is told of rungs: not with several objectives, nor with one that is known at the end only."""
    first, *others = context.prepared.objectives
    return (
        not others and first.metric in get_task(context.request.task.name, context.request.task.parameters).directions
    )


def _value(context: Context, metrics: Mapping[str, Any]) -> float:
    return float(metrics[f"validation_{context.prepared.objective.metric}"])


def _finish(context: Context, members: Sequence[Member], outcomes: Sequence[Outcome]) -> None:
    finishes = [_ending(context, member, outcome) for member, outcome in zip(members, outcomes, strict=True)]
    with context.engine.begin() as connection:
        claims.finish(connection, finishes)


def _ending(context: Context, member: Member, outcome: Outcome) -> claims.Finish:
    metrics = outcome.metrics
    if outcome.state == "failed":
        return claims.Finish(member.claim, "failed", None, metrics, outcome.reason, outcome.detail)
    value, *further = values_of(context.prepared.objectives, metrics)
    if outcome.state == "pruned" and not math.isfinite(value):  # measured at the end, which it has not reached
        return claims.Finish(member.claim, outcome.state, None, metrics)
    if "measure_error" in metrics or not all(map(math.isfinite, [value, *further])):
        return claims.Finish(member.claim, "failed", None, metrics, *_failure(context, metrics))
    return claims.Finish(member.claim, outcome.state, value, metrics, further_values=further)


def _failure(context: Context, metrics: Mapping[str, Any]) -> tuple[FailureReason, str]:
    """Why a trial that was trained to its end has no value."""
    if "measure_error" in metrics:
        return FailureReason.invalid, str(metrics["measure_error"])
    names = [objective.metric for objective in context.prepared.objectives]
    values = values_of(context.prepared.objectives, metrics)
    wrong = [(name, value) for name, value in zip(names, values, strict=True) if not math.isfinite(value)]
    detail = ", ".join(f"{name} on the validation part is {value}" for name, value in wrong)
    missing = any(f"validation_{name}" not in metrics and name not in metrics for name, _ in wrong)
    return (FailureReason.invalid if missing else FailureReason.diverged), detail
