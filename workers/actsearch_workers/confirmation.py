"""Confirmation: when the search is over, finalists and baseline are trained on fresh seeds, and a verdict is given."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from sqlalchemy import Connection

from actsearch.errors import TrainingError
from actsearch.schemas import ActivationSpec, Confirmation, FailureReason, JobState, ObjectiveInfo, Trial
from actsearch.space import Suggestion
from actsearch.store import claims, evaluations, jobs, ranking, stopping, trials
from actsearch.study import as_baseline
from actsearch.study.judging.verdict import (
    Entrant,
    Judgement,
    Replicates,
    choose_finalists,
    fresh_seed,
    judge,
    looks_of,
    nothing_to_compare,
)
from actsearch.tasks import get_task, load
from actsearch.training import Cohort, Outcome, Plan, Rung, train
from actsearch_workers.cohorts import CohortStopped, Context, candidate_of
from actsearch_workers.measuring import costs_of

log = structlog.get_logger()


def go_on(context: Context) -> bool:
    """The next step of a job whose budget has nothing left to claim; whether this runner may find another after it.

    Raises:
        CohortStopped: the job or the worker stops; what was training has been given back.
    """
    end_search(context)
    claimed = _claim(context)
    if not claimed:
        return False
    try:
        for group in _by_shape(context, claimed):
            _train(context, group)
    except CohortStopped:
        with context.engine.begin() as connection:
            evaluations.release(connection, claimed)
        raise
    with context.engine.connect() as connection:
        if evaluations.all_lost(connection, claimed):  # this runner counts as dead: see `runner`
            return False
    _conclude(context)
    return True


def end_search(context: Context) -> None:
    """If the budget is spent and no other runner still trains: begin confirmation, or complete the job without one."""
    job_id = context.order.job_id
    with context.engine.begin() as connection:
        jobs.lock(connection, job_id)
        left = claims.remaining(connection, job_id)
        if left.state != JobState.running or left.open or left.unclaimed > 0:
            return
        stopping.record_spent(connection, job_id)
        if not left.complete:
            jobs.transition(connection, job_id, JobState.failed, "no trial completed; see the trials' failures")
            return
        wanted = context.request.confirmation_wanted
        if wanted is None:
            jobs.transition(connection, job_id, JobState.completed)
            return
        jobs.transition(connection, job_id, JobState.confirming)
        if not evaluations.arms(connection, job_id):  # a paused job has them already
            _plan(connection, context, wanted)


def _plan(connection: Connection, context: Context, wanted: Confirmation) -> None:
    job_id, objective = context.order.job_id, _compared_by(context)
    direction = context.prepared.objective.direction
    baseline = ranking.baseline_trial(connection, job_id, direction)
    finalists = choose_finalists(ranking.candidates(connection, job_id, direction), wanted.finalists, baseline)
    if not finalists:
        _complete(connection, context, nothing_to_compare(baseline, objective, wanted).model_dump(mode="json"))
        return
    first = looks_of(wanted, len(finalists))[0]
    twins = [trial for trial in finalists if _settings(trial) != _settings(baseline)]
    arms = [evaluations.PlannedArm(trial.id) for trial in (baseline, *finalists)]
    arms += [evaluations.PlannedArm(trial.id, twin=True) for trial in twins]
    evaluations.plan(connection, job_id, arms, _seeds(context, 0, first.seeds))


def _compared_by(context: Context) -> ObjectiveInfo:
    """What finalists and baseline are compared by: the first objective, or the task's own metric if that is a cost.

    A cost is the same on every seed and part of the data; it stands beside the verdict.
    """
    objective, task = context.prepared.objective, get_task(context.request.task.name, context.request.task.parameters)
    if objective.metric in task.directions:
        return objective
    return ObjectiveInfo(metric=task.metric, direction=task.directions[task.metric])


def _settings(trial: Trial) -> dict[str, Any]:
    """What was searched beside the activation."""
    return {n: v for n, v in trial.parameters.items() if n.startswith(("training.", "architecture."))}


def _seeds(context: Context, start: int, end: int) -> dict[int, int]:
    return {place: fresh_seed(context.request.training.seed, place) for place in range(start, end)}


def _complete(connection: Connection, context: Context, verdict: Mapping[str, Any]) -> None:
    jobs.set_verdict(connection, context.order.job_id, verdict)
    jobs.transition(connection, context.order.job_id, JobState.completed)


# --- training -------------------------------------------------------------------------------------


def _claim(context: Context) -> list[evaluations.Claimed]:
    order = context.order
    with context.engine.begin() as connection:
        return evaluations.claim(connection, order.job_id, order.runner, order.worker)


def _by_shape(context: Context, claimed: Sequence[evaluations.Claimed]) -> list[list[evaluations.Claimed]]:
    """Arms that share their architecture parameters, and so can train as one cohort."""
    groups: dict[str, list[evaluations.Claimed]] = {}
    for one in claimed:
        groups.setdefault(repr(sorted(_suggestion(context, one).architecture.items())), []).append(one)
    return list(groups.values())


def _suggestion(context: Context, one: evaluations.Claimed) -> Suggestion:
    def searched(kind: str) -> dict[str, Any]:
        named = {name.partition(".")[::2]: value for name, value in one.parameters.items()}
        return {name: value for (group, name), value in named.items() if group == kind}

    activations = {key: ActivationSpec.model_validate(spec) for key, spec in one.activations.items()}
    own = Suggestion(activations, searched("architecture"), searched("training"))
    return as_baseline(context.prepared, own) if one.twin else own


def _train(context: Context, claimed: Sequence[evaluations.Claimed]) -> None:
    """Train arms of one seed together; where that fails, in halves, so that only the culprit fails."""
    try:
        outcomes = _outcomes(context, claimed)
    except TrainingError as error:
        log.warning("confirmation failed", job=str(context.order.job_id), arms=len(claimed), error=str(error))
        if len(claimed) > 1:
            middle = len(claimed) // 2
            for part in (claimed[:middle], claimed[middle:]):
                _train(context, part)
            return
        outcomes = [Outcome("failed", reason=FailureReason(error.reason), detail=error.detail)]
    endings = [_ending(context, one, outcome) for one, outcome in zip(claimed, outcomes, strict=True)]
    with context.engine.begin() as connection:
        evaluations.finish(connection, endings)


def _outcomes(context: Context, claimed: Sequence[evaluations.Claimed]) -> list[Outcome]:
    request, wanted = context.request, context.request.confirmation_wanted
    suggestions = [_suggestion(context, one) for one in claimed]
    cohort = Cohort(
        architecture=request.architecture.name,
        parameters={**request.architecture.parameters, **suggestions[0].architecture},
        candidates=[candidate_of(request, suggestion) for suggestion in suggestions],
    )
    epochs = (wanted.epochs if wanted else None) or request.training.epochs
    training = request.training.model_copy(update={"seed": claimed[0].seed, "epochs": epochs})
    dataset = load(request.task.name, request.task.parameters)
    plan = Plan(training, device=context.device, judged_by=[o.metric for o in request.judged_by])
    return train(
        cohort,
        get_task(request.task.name, request.task.parameters),
        dataset,
        plan,
        lambda rung: _on_rung(context, claimed, rung),
        on_complete=costs_of(request, context.device),
        on_step=context.control.stepped,
    )


def _on_rung(context: Context, claimed: Sequence[evaluations.Claimed], rung: Rung) -> list[bool]:
    """Nothing is pruned here; but a cancelled job stops, and what went to another runner leaves."""
    context.control.moved()
    with context.engine.begin() as connection:
        ours = evaluations.still_ours(connection, claimed)
        state = jobs.get_state(connection, context.order.job_id)
    if state != JobState.confirming or context.control.given_up:
        raise CohortStopped
    return [claimed[position].evaluation_id in ours for position in rung.positions]


def _ending(context: Context, one: evaluations.Claimed, outcome: Outcome) -> evaluations.Ending:
    if outcome.state == "failed":
        return evaluations.Ending(one, "failed", outcome.metrics, outcome.reason, outcome.detail)
    metric = _compared_by(context).metric
    value = outcome.metrics.get(f"validation_{metric}")
    if outcome.state == "complete" and isinstance(value, float) and math.isfinite(value):
        return evaluations.Ending(one, "complete", outcome.metrics)
    detail = f"{metric} on the validation part is {value}"
    return evaluations.Ending(one, "failed", outcome.metrics, FailureReason.diverged, detail)


# --- verdict --------------------------------------------------------------------------------------


def _conclude(context: Context) -> None:
    """If every seed has ended: give the verdict, or add the seeds of the next look."""
    job_id = context.order.job_id
    with context.engine.begin() as connection:
        if jobs.lock(connection, job_id) != JobState.confirming:
            return
        results = evaluations.results(connection, job_id)
        if not results:
            return
        judgement = _judged(connection, context, results)
        if judgement.seeds is None:
            _complete(connection, context, judgement.verdict.model_dump(mode="json"))
            return
        done = len(judgement.verdict.seeds)
        arms = evaluations.arms(connection, job_id)
        evaluations.plan(connection, job_id, arms, _seeds(context, done, judgement.seeds))


def _judged(connection: Connection, context: Context, results: Sequence[evaluations.Result]) -> Judgement:
    wanted = context.request.confirmation_wanted
    if wanted is None:
        raise AssertionError("a job that confirms wants to")
    objective = _compared_by(context)
    arms = evaluations.arms(connection, context.order.job_id)
    replicates = [
        _replicates(trials.get_trial(connection, arm.trial), [r for r in results if r.arm == place])
        for place, arm in enumerate(arms)
    ]
    twins = {arm.trial: replicates[place] for place, arm in enumerate(arms) if arm.twin}
    entrants = [
        Entrant(replicates[place], twins.get(arm.trial)) for place, arm in enumerate(arms) if place and not arm.twin
    ]
    seeds = {result.replicate: result.seed for result in results}
    return judge(replicates[0], entrants, [seeds[place] for place in sorted(seeds)], objective, wanted)


def _replicates(trial: Trial, results: Sequence[evaluations.Result]) -> Replicates:
    own_fault = frozenset(r.replicate for r in results if r.state == "failed" and r.reason != FailureReason.lost)
    metrics = {r.replicate: r.metrics for r in results if r.state == "complete"}
    return Replicates(trial, metrics, own_fault)
