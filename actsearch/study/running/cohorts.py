"""Training claimed runs to their ends: as cohorts, with a report at each rung and one write at the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import optuna
import structlog
from torch import nn

from actsearch.errors import TrainingError
from actsearch.schemas import FailureReason, Training
from actsearch.space import Suggestion
from actsearch.study.ledger import Claim, Report
from actsearch.study.running.measuring import costs_of, ending, values_of
from actsearch.study.running.search import Search
from actsearch.training import Rung, TrainingOutcome, release_memory

log = structlog.get_logger()


class Interrupted(Exception):
    """The cohort stops at this rung: its job was cancelled or paused, the runner is to leave, or others wait."""


@dataclass(frozen=True)
class Member:
    """A claimed run with what it is to compute.

    Args:
        trial: Optuna's; None for an evaluation, of which Optuna knows nothing.
    """

    claim: Claim
    suggestion: Suggestion
    trial: optuna.Trial | None = None


def train_members(search: Search, members: Sequence[Member]) -> None:
    """Train claimed runs of one seed to their ends.

    Raises:
        Interrupted: some of them are still the runner's, to be given back.
    """
    for place, cohort in enumerate(_cohorts(search, members)):
        if place and search.slice.is_over and search.ledger.others_wait():
            raise Interrupted
        _train(search, cohort)


def _cohorts(search: Search, members: Sequence[Member]) -> Iterator[Sequence[Member]]:
    for group in _by_shape(members):
        first = group[0]
        size = search.trainer.size_for(first.suggestion.architecture, len(group))
        size = min(size, first.claim.most_together or size)
        yield from (group[start : start + size] for start in range(0, len(group), size))


def _by_shape(members: Sequence[Member]) -> list[list[Member]]:
    """Members that share their architecture parameters, and so can train as one cohort; no larger than they may."""

    def shape(member: Member) -> tuple[str, int]:
        return repr(sorted(member.suggestion.architecture.items())), member.claim.most_together or 0

    return [list(group) for _, group in groupby(sorted(members, key=shape), key=shape)]


def _train(search: Search, members: Sequence[Member]) -> None:
    """Train members together; where that fails, in halves, so that only the culprit's run fails.

    Runs whose building or training fails by itself are told apart by `train`; what fails here fails for all.
    """
    _start(search, members)
    outcomes: list[TrainingOutcome] = []
    failure: tuple[FailureReason, str] | None = None
    try:
        outcomes = _outcomes(search, members)
    except TrainingError as error:
        log.warning("cohort failed", study=search.ledger.study_name, runs=len(members), error=str(error))
        failure = FailureReason(error.reason), error.detail
    if failure is not None:  # the exception, whose frames hold the cohort's networks, is gone by now
        reason, detail = failure
        release_memory()
        if len(members) > 1:
            _halve(search, members, reason)
            return
        outcomes = [TrainingOutcome("failed", reason=reason, detail=detail)]
    ends = [ending(search, member.claim, outcome) for member, outcome in zip(members, outcomes, strict=True)]
    search.ledger.finish(ends)


def _halve(search: Search, members: Sequence[Member], reason: FailureReason) -> None:
    middle = (len(members) + 1) // 2
    if reason == FailureReason.out_of_memory:
        search.trainer.fits = min(search.trainer.fits, middle)
    _start(search, members)  # what the second half has reported is nothing to prune the first by
    for part in (members[:middle], members[middle:]):
        _train(search, part)


def _start(search: Search, members: Sequence[Member]) -> None:
    """Begin at the first epoch; what an attempt before this one has reported is forgotten."""
    search.slice.begin_cohort()
    search.ledger.start([member.claim for member in members])
    for member in members:
        if member.trial is not None:  # Optuna keeps a copy of its own, by which it ignores a second report of an epoch
            member.trial._cached_frozen_trial.intermediate_values = {}


def _outcomes(search: Search, members: Sequence[Member]) -> list[TrainingOutcome]:
    def on_complete(place: int, module: nn.Module) -> Mapping[str, object]:
        search.trainer.keep_network(members[place].claim, module)
        costs = costs_of(search.trainer, module)
        search.control.moved()
        return costs

    return search.trainer.train(
        [member.suggestion for member in members],
        _training(search, members[0].claim),
        lambda rung: _on_rung(search, members, rung),
        on_complete=on_complete,
        on_step=search.control.stepped,
    )


def _training(search: Search, claim: Claim) -> Training:
    """How a run is trained: a trial as the request says, an evaluation on its own seed."""
    training, wanted = search.request.training, search.request.confirmation_wanted
    if claim.is_trial:
        return training
    epochs = (wanted.epochs if wanted else None) or training.epochs
    return training.model_copy(update={"seed": claim.seed, "epochs": epochs})


def _on_rung(search: Search, members: Sequence[Member], rung: Rung) -> list[bool]:
    """Report, and say who goes on: not the pruned, nor those that went to another runner meanwhile."""
    search.control.moved()
    at_rung = [members[position] for position in rung.positions]
    tells = search.is_reported and members[0].claim.is_trial
    values = [_told(search, metrics) if tells else None for metrics in rung.metrics]
    found = zip(at_rung, rung.metrics, values, strict=True)
    reports = [Report(member.claim, rung.epoch, metrics, told) for member, metrics, told in found]
    standing = search.ledger.report(reports)
    if not standing.goes_on or search.control.given_up or _is_to_yield(search, members, rung):
        raise Interrupted
    if not tells:
        return [member.claim.id in standing.ours for member in at_rung]
    return _unpruned(search, at_rung, rung)


def _told(search: Search, metrics: Mapping[str, float]) -> float:
    """What Optuna is told of a trial at a rung."""
    return values_of([search.prepared.objective], metrics)[0]


def _is_to_yield(search: Search, members: Sequence[Member], rung: Rung) -> bool:
    """Whether the cohort gives up what it has done, because others have waited too long for the device."""
    claim = members[0].claim
    unfinished = rung.epoch < _training(search, claim).epochs
    too_long = search.slice.is_over and search.slice.has_lasted(claim.released)
    return unfinished and too_long and search.ledger.others_wait()


def _unpruned(search: Search, at_rung: Sequence[Member], rung: Rung) -> list[bool]:
    with search.ledger.writing([member.claim for member in at_rung]) as ours:
        ask = [member.trial if member.claim.id in ours else None for member in at_rung]
        for trial, metrics in zip(ask, rung.metrics, strict=True):
            if trial is not None:
                trial.report(_told(search, metrics), rung.epoch)
        last = rung.epoch >= search.request.training.epochs  # all its budget is spent: nothing to save by pruning
        return [trial is not None and (last or not trial.should_prune()) for trial in ask]
