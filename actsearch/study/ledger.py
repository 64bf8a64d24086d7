"""The protocol between the loop of a search and whoever keeps its books.

A *run* is a network to be trained: a trial of the search, or an evaluation of the confirmation (an arm on one fresh
seed). Both live alike: waiting, claimed (`running`), reported on at each rung, ended; or given back to wait again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from actsearch.errors import ActsearchError
from actsearch.schemas import ActivationSpec, FailureReason, JobState, Scalar, StopRule, Trial, Verdict

if TYPE_CHECKING:
    from optuna.storages import BaseStorage


class Superseded(ActsearchError):
    """The search is another runner's by now: this one claims nothing more and ends."""


@dataclass(frozen=True)
class Claim:
    """A run that is the caller's to train, as long as it has this `attempt`.

    Args:
        number: of the trial; of an evaluation, its arm.
        cohort: number of the first trial of those that were first claimed together; of an evaluation, its replicate.
        activations: what it computes, where that is known already; else empty.
        parameters: Optuna's, where it has been proposed already; else empty.
        most_together: the most runs to train it with, after a crash; None for any number.
        released: how often a runner gave it back before its end.
        seed: of an evaluation; None for a trial, which trains on the request's.
        twin: an evaluation with the trial's settings and the baseline's activation.
    """

    id: int
    attempt: int
    number: int
    cohort: int
    activations: Mapping[str, ActivationSpec] = field(default_factory=dict)
    parameters: Mapping[str, Scalar] = field(default_factory=dict)
    most_together: int | None = None
    released: int = 0
    seed: int | None = None
    twin: bool = False

    @property
    def is_trial(self) -> bool:
        """Whether it is a trial of the search."""
        return self.seed is None


@dataclass(frozen=True)
class Proposal:
    """What a claimed trial is to compute."""

    claim: Claim
    family: str
    activations: Mapping[str, ActivationSpec]
    is_baseline: bool = False


@dataclass(frozen=True)
class Report:
    """Metrics of a claimed run after `epoch` epochs.

    Args:
        told: what Optuna is told of it beside this, as the trial's intermediate value; None where it is told nothing.
    """

    claim: Claim
    epoch: int
    metrics: Mapping[str, float]
    told: float | None = None


@dataclass(frozen=True)
class Standing:
    """What a report is answered.

    Args:
        ours: ids of the runs that are still the caller's.
        goes_on: whether the job still wants them trained.
    """

    ours: frozenset[int]
    goes_on: bool


@dataclass(frozen=True)
class Finish:
    """How a claimed run ended; `state` is `complete`, `pruned` or `failed`.

    Args:
        values: by objective; empty where there is none.
    """

    claim: Claim
    state: str
    values: Sequence[float] = ()
    metrics: Mapping[str, object] = field(default_factory=dict)
    reason: FailureReason | None = None
    detail: str | None = None


@dataclass(frozen=True)
class Remaining:
    """What is left of a search: `open` trials are claimed or wait, `unclaimed` were never begun.

    Args:
        asked: trials that the request asks for by now.
    """

    open: int
    complete: int
    unclaimed: int
    asked: int
    state: JobState


@dataclass(frozen=True)
class PlannedArm:
    """The trial that an arm of the confirmation trains again, or with the baseline's activation (`twin`)."""

    trial: UUID
    twin: bool = False


@dataclass(frozen=True)
class Result:
    """A finished evaluation."""

    arm: int
    replicate: int
    seed: int
    state: str
    reason: FailureReason | None
    metrics: Mapping[str, Any]


@dataclass(frozen=True)
class Memory:
    """Complete trials of an earlier job, best first: Optuna's parameters and a score, larger better."""

    job_id: UUID
    trials: Sequence[tuple[Mapping[str, Any], float]]


class Ledger(Protocol):
    """The books of one search, as one runner sees them. Each call is a transaction of its own.

    A claim is a pair of id and attempt. Whatever is written about a run that is not the caller's any more is ignored.
    """

    @property
    def storage(self) -> BaseStorage:
        """Optuna's storage, with the trials of this search."""

    @property
    def study_name(self) -> str:
        """Of the search's study in the storage."""

    # --- the search -------------------------------------------------------------------------------

    def proposing(self) -> AbstractContextManager[None]:
        """For the length of the block, no other runner of the search claims and proposes."""

    def claim(self, most: int) -> Sequence[Claim]:
        """Take trials of the search's budget, in order of number; none where nothing is left to claim.

        A cohort that was given back is taken again as it was, all of it that has not ended, and nothing else with it.
        Otherwise up to `most` new trials are.

        Raises:
            Superseded: the runner counts as dead.
        """

    def writing(self, claims: Sequence[Claim]) -> AbstractContextManager[set[int]]:
        """Collect what the block writes to claimed trials through `storage`; gives the ids that are still ours."""

    def propose(self, proposals: Sequence[Proposal]) -> None:
        """Record what claimed trials compute."""

    def stop(self, rule: StopRule) -> None:
        """Begin no further trial."""

    def memories(self) -> Sequence[Memory]:
        """What the jobs that this one learns from found."""

    def remaining(self) -> Remaining:
        """What is left of the search."""

    # --- runs -------------------------------------------------------------------------------------

    def start(self, claims: Sequence[Claim]) -> None:
        """These are trained together now, from the first epoch: whatever they have reported before is forgotten."""

    def report(self, reports: Sequence[Report]) -> Standing:
        """Add a point to the learning curves of runs that train together."""

    def others_wait(self) -> bool:
        """Whether another search would get this runner's device if it left now."""

    def finish(self, finishes: Sequence[Finish]) -> None:
        """End claimed runs."""

    def release(self, claims: Sequence[Claim]) -> None:
        """Give claimed runs back, to wait for the next runner; of a cancelled job, they end."""

    # --- the end ----------------------------------------------------------------------------------

    def close(self, state: JobState, reason: str | None = None) -> None:
        """End a search that is over without a confirmation; ignored where it is not over (any more)."""

    def candidates(self) -> Sequence[Trial]:
        """Complete trials that do not compute the baseline, best first; of a large search at least the best ones."""

    def baseline(self) -> Trial:
        """The best complete trial that computes the baseline; trial 0 where none completed."""

    def confirm(self, arms: Sequence[PlannedArm], seeds: Mapping[int, int]) -> None:
        """Begin the confirmation of a search that is over, or go on with it; ignored where it is not over (any more).

        Args:
            arms: the baseline first.
            seeds: by replicate.
        """

    def claim_seed(self) -> Sequence[Claim]:
        """Take the evaluations of the next seed that waits, all arms together and in order; none where none waits.

        Raises:
            Superseded: the runner counts as dead.
        """

    def arms(self) -> Sequence[PlannedArm]:
        """What the confirmation trains, in order; empty before it."""

    def trial(self, trial_id: UUID) -> Trial:
        """A trial by its public id."""

    def results(self) -> Sequence[Result] | None:
        """All evaluations in order of replicate and arm, once every one has ended and until there is a verdict."""

    def add_seeds(self, seeds: Mapping[int, int]) -> None:
        """Train all arms on further seeds, by replicate; those that are planned already are ignored."""

    def conclude(self, verdict: Verdict) -> None:
        """Complete a job that confirms, or whose search is over; ignored where it does not (any more)."""
