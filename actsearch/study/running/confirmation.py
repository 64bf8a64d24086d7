"""Confirmation: when the search is over, finalists and baseline are trained on fresh seeds, and a verdict is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from actsearch.schemas import Confirmation, FailureReason, JobState, Trial
from actsearch.space import Suggestion
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
from actsearch.study.ledger import Claim, PlannedArm, Result
from actsearch.study.proposing.baseline import as_baseline
from actsearch.study.running.cohorts import Member
from actsearch.study.running.search import Search


def claimed_evaluations(search: Search) -> tuple[Sequence[Claim], Sequence[Member]]:
    """The evaluations of a seed, for a job whose budget has nothing left to claim; ends the search if it is over.

    Raises:
        Superseded: see `Ledger.claim_seed`.
    """
    _end_search(search)
    claims = search.ledger.claim_seed()
    return claims, [Member(claim, _suggestion(search, claim)) for claim in claims]


def _end_search(search: Search) -> None:
    """If the budget is spent and no other runner still trains: begin confirmation, or end the job without one."""
    left, wanted = search.ledger.remaining(), search.request.confirmation_wanted
    if left.state != JobState.running or left.open or left.unclaimed > 0:
        return
    if left.asked != search.request.budget.trials:  # changed since this runner began; the next one knows
        return
    if not left.complete:
        search.ledger.close(JobState.failed, "no trial completed; see the trials' failures")
    elif wanted is None:
        search.ledger.close(JobState.completed)
    else:
        _plan(search, wanted)


def _plan(search: Search, wanted: Confirmation) -> None:
    baseline = search.ledger.baseline()
    finalists = choose_finalists(search.ledger.candidates(), wanted.finalists, baseline)
    if not finalists:
        search.ledger.conclude(nothing_to_compare(baseline, search.compared_by, wanted))
        return
    twins = [trial for trial in finalists if _settings(trial) != _settings(baseline)]
    arms = [PlannedArm(trial.id) for trial in (baseline, *finalists)]
    arms += [PlannedArm(trial.id, twin=True) for trial in twins]
    search.ledger.confirm(arms, _seeds(search, 0, looks_of(wanted, len(finalists))[0].seeds))


def _settings(trial: Trial) -> dict[str, Any]:
    """What was searched beside the activation."""
    return {n: v for n, v in trial.parameters.items() if n.startswith(("training.", "architecture."))}


def _seeds(search: Search, start: int, end: int) -> dict[int, int]:
    return {place: fresh_seed(search.request.training.seed, place) for place in range(start, end)}


def _suggestion(search: Search, claim: Claim) -> Suggestion:
    def searched(kind: str) -> dict[str, Any]:
        named = {name.partition(".")[::2]: value for name, value in claim.parameters.items()}
        return {name: value for (group, name), value in named.items() if group == kind}

    own = Suggestion(claim.activations, searched("architecture"), searched("training"))
    return as_baseline(search.prepared, own) if claim.twin else own


def conclude(search: Search) -> bool:
    """If every seed has ended: give the verdict, or add the seeds of the next look; whether there are such."""
    results, wanted = search.ledger.results(), search.request.confirmation_wanted
    if not results or wanted is None:
        return False
    judgement = _judged(search, results, wanted)
    if judgement.seeds is None:
        search.ledger.conclude(judgement.verdict)
        return False
    search.ledger.add_seeds(_seeds(search, len(judgement.verdict.seeds), judgement.seeds))
    return True


def _judged(search: Search, results: Sequence[Result], wanted: Confirmation) -> Judgement:
    arms = search.ledger.arms()
    trials = {arm.trial: search.ledger.trial(arm.trial) for arm in arms}
    replicates = [_replicates(arm.trial, trials, results, place) for place, arm in enumerate(arms)]
    twins = {arm.trial: replicates[place] for place, arm in enumerate(arms) if arm.twin}
    entrants = [
        Entrant(replicates[place], twins.get(arm.trial)) for place, arm in enumerate(arms) if place and not arm.twin
    ]
    seeds = {result.replicate: result.seed for result in results}
    return judge(replicates[0], entrants, [seeds[place] for place in sorted(seeds)], search.compared_by, wanted)


def _replicates(trial: UUID, trials: dict[UUID, Trial], results: Sequence[Result], arm: int) -> Replicates:
    own = [result for result in results if result.arm == arm]
    own_fault = frozenset(r.replicate for r in own if r.state == "failed" and r.reason != FailureReason.lost)
    metrics = {r.replicate: r.metrics for r in own if r.state == "complete"}
    return Replicates(trials[trial], metrics, own_fault)
