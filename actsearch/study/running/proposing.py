"""From the search's budget to trials with something to compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import optuna

from actsearch.schemas import FailureReason, StopRule
from actsearch.space import Suggestion, suggest
from actsearch.study.checking.constraints import violations
from actsearch.study.ledger import Claim, Finish, Proposal
from actsearch.study.proposing.at_once import most_at_once
from actsearch.study.proposing.baseline import as_baseline, baseline_turn, is_baseline
from actsearch.study.proposing.terminators import regret_is_bounded
from actsearch.study.proposing.warm_start import remembered_point
from actsearch.study.running.cohorts import Member
from actsearch.study.running.search import Search


def claimed_trials(search: Search) -> tuple[Sequence[Claim], Sequence[Member]]:
    """Trials claimed, and those of them that are this runner's to train, with what they are to compute.

    Raises:
        Superseded: see `Ledger.claim`.
    """
    # Trial 0's network stands for all: where shapes are searched, `train_members` gives each shape a size of its own.
    shape, request = search.prepared.baseline_architecture, search.request
    size = search.trainer.size_for(shape, most_at_once(request.sampler, request.budget.trials))
    _stop_at_regret_bound(search)
    with search.ledger.proposing():
        claims = search.ledger.claim(size)
        members = _proposed(search, claims) if claims else []
    return claims, _admitted(search, members)


def _stop_at_regret_bound(search: Search) -> None:
    bound = search.request.budget.regret_bound
    if bound is not None and regret_is_bounded(search.proposed_study, bound, search.request.sampler_seed):
        search.ledger.stop(StopRule.regret_bound)


def _proposed(search: Search, claims: Sequence[Claim]) -> list[Member]:
    study = search.proposing_study(claims[0].cohort)
    with search.ledger.writing(claims) as ours:
        members = [_member(search, study, claim) for claim in claims if claim.id in ours]
    search.control.moved()
    new = [member for member in members if not (member.claim.parameters and member.claim.activations)]
    if new:
        search.ledger.propose([_proposal(search, member) for member in new])
    return members


def _member(search: Search, study: optuna.Study, claim: Claim) -> Member:
    turn = None if claim.activations else baseline_turn(search.prepared, claim.number)
    if claim.parameters:  # by an earlier runner: no sampler is asked again
        study = search.proposed_study
    elif turn is not None:  # as Optuna's own `enqueue_trial` does it
        search.ledger.storage.set_trial_system_attr(claim.id, "fixed_params", dict(turn))
    elif not claim.activations:
        _fix_remembered(search, claim)
    trial = search.trial_of(claim, study)
    suggestion = suggest(trial, search.prepared.space)
    if claim.activations and claim.parameters:
        suggestion = Suggestion(claim.activations, suggestion.architecture, suggestion.training)
    elif claim.activations or turn is not None:
        suggestion = as_baseline(search.prepared, suggestion)
    return Member(claim, suggestion, trial)


def _fix_remembered(search: Search, claim: Claim) -> None:
    """Fix one of a job's first trials to the best of the earlier jobs, and mark it as such."""
    found = remembered_point(search.prepared, search.sources, claim.number)
    if found is not None:
        job, point = found
        search.ledger.storage.set_trial_system_attr(claim.id, "fixed_params", dict(point))
        search.ledger.storage.set_trial_user_attr(claim.id, "warm_start", job)


def _proposal(search: Search, member: Member) -> Proposal:
    suggestion = member.suggestion
    own = is_baseline(search.prepared, suggestion)
    return Proposal(member.claim, suggestion.family, suggestion.activations, own)


def _admitted(search: Search, members: Sequence[Member]) -> Sequence[Member]:
    """The members that keep to the constraints; the others are pruned now, and samplers learn by how much.

    Those that went to another runner are left out.
    """
    if not members or search.request.space.constraints.max_parameters is None:
        return members
    excesses = [violations(search.request, search.prepared.input_spec, member.suggestion) for member in members]
    with search.ledger.writing([member.claim for member in members]) as ours:
        checked = [(m, excess) for m, excess in zip(members, excesses, strict=True) if m.claim.id in ours]
        for member, excess in checked:
            if member.trial is not None:
                for name in excess.keys() - member.trial.constraints.keys():  # a trial given back has them already
                    member.trial.set_constraint(name, excess[name])
    refused = [_refusal(member, excess) for member, excess in checked if _exceeds(excess)]
    if refused:
        search.ledger.finish(refused)
    return [member for member, excess in checked if not _exceeds(excess)]


def _exceeds(excess: Mapping[str, float]) -> bool:
    return any(value > 0 for value in excess.values())


def _refusal(member: Member, excess: Mapping[str, float]) -> Finish:
    detail = "; ".join(f"{value:g} more than {name} allows" for name, value in excess.items() if value > 0)
    return Finish(member.claim, "pruned", reason=FailureReason.constraint, detail=detail)
