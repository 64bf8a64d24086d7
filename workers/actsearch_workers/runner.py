"""One time slice of a job on one device: claim, propose, train, report, finish, until the slice or the job is over."""

from __future__ import annotations

import time
from collections.abc import Sequence

import optuna
from sqlalchemy import Engine

from actsearch.schemas import ACTIVE_STATES, ActivationSpec, JobRequest, JobState, StopRule
from actsearch.space import Suggestion, suggest
from actsearch.store import OptunaStorage, claims, jobs, proposal_lock, stopping
from actsearch.study import (
    as_baseline,
    baseline_turn,
    claimed_trial,
    is_baseline,
    make_pruner,
    make_sampler,
    most_at_once,
    prepare,
)
from actsearch.study.proposing.terminators import regret_is_bounded
from actsearch_workers import confirmation
from actsearch_workers.admission import admitted
from actsearch_workers.cohorts import CohortStopped, Context, Member, size_for, train_members
from actsearch_workers.control import Control
from actsearch_workers.handback import fail_cancelled, give_back
from actsearch_workers.messages import Run
from actsearch_workers.warm_start import propose_remembered, sources_of


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
        claimed, members = _begun(context)
        try:
            if claimed:
                train_members(context, admitted(context, members))
                if _given_up(context, claimed):
                    return False
            elif not confirmation.go_on(context):
                return False
        except CohortStopped:
            _release(context, claimed)
    return True


def _begin(engine: Engine, order: Run) -> JobRequest | None:
    """Take back what an earlier life of this runner left; the request, if the job may run."""
    with engine.begin() as connection:
        give_back(connection, order.runner, order.attempts)
        jobs.lock(connection, order.job_id)  # another runner of the job may begin at this very moment
        state, request = jobs.get_request(connection, order.job_id)
        if state == JobState.queued:
            jobs.transition(connection, order.job_id, JobState.running)
        elif state not in ACTIVE_STATES:
            fail_cancelled(connection)
            return None
    return request


# --- claim and propose ----------------------------------------------------------------------------


def _begun(context: Context) -> tuple[Sequence[claims.Claim], Sequence[Member]]:
    """Trials claimed, and those of them that are this runner's to train, with what they are to compute."""
    # Trial 0's network stands for all: where shapes are searched, `train_members` gives each shape a size of its own.
    shape, request = context.prepared.baseline_architecture, context.request
    size = size_for(context, shape, most_at_once(request.sampler, request.budget.trials))
    _stop_at_regret_bound(context)
    order = context.order
    with proposal_lock.proposing(context.engine, order.job_id):
        with context.engine.begin() as connection:
            claimed = claims.claim(connection, order.job_id, order.runner, order.worker, size)
        return claimed, _proposed(context, claimed) if claimed else []


def _proposed(context: Context, claimed: Sequence[claims.Claim]) -> list[Member]:
    study = _study(context, claimed[0].number)
    with context.storage.batch(claims.attempts(claimed)) as ours:
        members = [_propose(context, study, claim) for claim in claimed if claim.trial_id in ours]
    with context.engine.begin() as connection:
        claims.propose(connection, [_proposal(context, member) for member in members])
    return members


def _stop_at_regret_bound(context: Context) -> None:
    bound = context.request.budget.regret_bound
    if bound is not None and regret_is_bounded(_study(context, 0), bound, context.request.sampler_seed):
        with context.engine.begin() as connection:
            jobs.lock(connection, context.order.job_id)
            stopping.stop(connection, context.order.job_id, StopRule.regret_bound)


def _study(context: Context, first_number: int) -> optuna.Study:
    request, space = context.request, context.prepared.space
    sources = sources_of(context)
    return optuna.load_study(
        study_name=str(context.order.job_id),
        storage=context.storage,
        sampler=make_sampler(request.sampler, request.sampler_seed, first_number, space, sources),
        pruner=make_pruner(request.pruner, request.training.epochs, request.sampler_seed),
    )


def _propose(context: Context, study: optuna.Study, claim: claims.Claim) -> Member:
    turn = None if claim.activations else baseline_turn(context.prepared, claim.number)
    if turn is not None:  # as Optuna's own `enqueue_trial` does it
        context.storage.set_trial_system_attr(claim.trial_id, "fixed_params", dict(turn))
    elif not claim.activations:
        propose_remembered(context, claim)
    trial = claimed_trial(study, claim.trial_id)
    suggestion = suggest(trial, context.prepared.space)
    if claim.activations:
        given = {key: ActivationSpec.model_validate(spec) for key, spec in claim.activations.items()}
        suggestion = Suggestion(given, suggestion.architecture, suggestion.training)
    elif turn is not None:
        suggestion = as_baseline(context.prepared, suggestion)
    return Member(claim, trial, suggestion)


def _proposal(context: Context, member: Member) -> claims.Proposal:
    activations = {key: spec.model_dump(mode="json") for key, spec in member.suggestion.activations.items()}
    return claims.Proposal(
        member.claim, member.suggestion.family, activations, is_baseline(context.prepared, member.suggestion)
    )


# --- finish ---------------------------------------------------------------------------------------


def _given_up(context: Context, claimed: Sequence[claims.Claim]) -> bool:
    """Whether this runner counts as dead: its task is another's, who would take from it whatever it claims."""
    with context.engine.connect() as connection:
        return claims.all_lost(connection, claimed)


def _release(context: Context, claimed: Sequence[claims.Claim]) -> None:
    """Give back what the stopped cohort was training; a cancelled job's trials end there."""
    with context.engine.begin() as connection:
        claims.release(connection, claimed)  # not all that the runner's id holds: another worker may have it by now
        fail_cancelled(connection)
