"""The ledger of a search in memory: see `actsearch.study.ledger`."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from uuid import UUID

from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState as OptunaState

from actsearch.schemas import ActivationSpec, Direction, JobState, Scalar, StopRule, Trial, TrialState, Verdict
from actsearch.study.checking.prepare import PreparedJob
from actsearch.study.ledger import (
    Claim,
    Finish,
    Memory,
    PlannedArm,
    Proposal,
    Remaining,
    Report,
    Result,
    Standing,
)
from actsearch.study.running.logging import quiet_optuna
from actsearch.study.stopping import Tally, reached

_STATES = {"complete": OptunaState.COMPLETE, "pruned": OptunaState.PRUNED, "failed": OptunaState.FAIL}
_OPEN = ("waiting", "running")
_PLANNED = -1  # of no cohort yet


@dataclass
class Run:
    """A trial or an evaluation: what its row would be in the store."""

    claim: Claim
    state: str = "waiting"
    family: str = ""
    is_baseline: bool = False
    curve: dict[int, Mapping[str, float]] = field(default_factory=dict)
    end: Finish | None = None

    def is_held(self, claim: Claim) -> bool:
        """Whether it is still the claimer's."""
        return self.state == "running" and self.claim.attempt == claim.attempt


class _Storage(InMemoryStorage):
    """Optuna's, which cannot forget."""

    def forget(self, trial_id: int) -> None:
        """Forget what a trial has reported; what was proposed stays."""
        with self._lock:
            trial = copy.copy(self._get_trial(trial_id))
            trial.intermediate_values = {}
            trial.system_attrs = {k: v for k, v in trial.system_attrs.items() if not k.startswith("completed_rung_")}
            self._set_trial(trial_id, trial)

    def wait(self, trial_id: int) -> None:
        """Give a trial back."""
        with self._lock:
            trial = copy.copy(self._get_trial(trial_id))
            trial.state = OptunaState.WAITING
            self._set_trial(trial_id, trial)


class MemoryLedger:
    """A search that this process keeps the books of, as its only runner.

    Args:
        on_finish: called with each run as it ends.
    """

    study_name = "search"

    def __init__(self, prepared: PreparedJob, on_finish: Callable[[Run], None] = lambda run: None) -> None:
        self.storage = _Storage()
        directions = [StudyDirection[objective.direction.upper()] for objective in prepared.objectives]
        with quiet_optuna():
            self._study = self.storage.create_new_study(directions, self.study_name)
        self._prepared, self._on_finish, self._began = prepared, on_finish, time.monotonic()
        self._asked = self._budget = prepared.request.budget.trials
        self.state = JobState.running
        self.stopped_by: StopRule | None = None
        self.reason: str | None = None
        self.verdict: Verdict | None = None
        self.trials: list[Run] = []
        self.evaluations: list[Run] = []
        self._ended: list[Run] = []
        self._arms: list[PlannedArm] = []
        self._plan_baseline()

    # --- the search -------------------------------------------------------------------------------

    def proposing(self) -> AbstractContextManager[None]:
        """See `Ledger`."""
        return nullcontext()

    def claim(self, most: int) -> Sequence[Claim]:
        """See `Ledger`."""
        if self.state != JobState.running:
            return []
        rule = reached(self._prepared.request.budget, self._direction, self._tally())
        if rule is not None:
            self.stop(rule)
        waiting = [run for run in self.trials if run.state == "waiting"]
        given_back = [run for run in waiting if run.claim.cohort != _PLANNED]
        if given_back:
            cohort = min(run.claim.cohort for run in given_back)
            return [self._claimed(run) for run in given_back if run.claim.cohort == cohort]
        return self._next_cohort(waiting[:most], most)

    def _next_cohort(self, planned: Sequence[Run], most: int) -> Sequence[Claim]:
        """Trials that were never claimed."""
        fresh = min(most - len(planned), max(0, self._budget - len(self.trials)))
        chosen = [*planned, *(self._new_trial() for _ in range(fresh))]
        for run in chosen:
            run.claim = replace(run.claim, cohort=chosen[0].claim.number)
        return [self._claimed(run) for run in chosen]

    def _plan_baseline(self) -> None:
        prepared, run = self._prepared, self._new_trial()
        run.claim, run.is_baseline = replace(run.claim, activations=prepared.baseline_activations), True
        # As Optuna's own `enqueue_trial` does it.
        self.storage.set_trial_system_attr(run.claim.id, "fixed_params", dict(prepared.baseline_parameters))

    def _new_trial(self) -> Run:
        trial_id = self.storage.create_new_trial(self._study)
        self.storage.wait(trial_id)
        self.trials.append(Run(Claim(trial_id, 1, len(self.trials), _PLANNED)))
        return self.trials[-1]

    def _claimed(self, run: Run) -> Claim:
        run.state = "running"
        if run.claim.is_trial:
            self.storage.set_trial_state_values(run.claim.id, OptunaState.RUNNING)
            run.claim = replace(run.claim, parameters=self._parameters(run))
        return run.claim

    def writing(self, claims: Sequence[Claim]) -> AbstractContextManager[set[int]]:
        """See `Ledger`."""
        return nullcontext({claim.id for run, claim in self._held(claims)})

    def propose(self, proposals: Sequence[Proposal]) -> None:
        """See `Ledger`."""
        by_id = {proposal.claim.id: proposal for proposal in proposals}
        for run, claim in self._held([proposal.claim for proposal in proposals]):
            run.family = by_id[claim.id].family
            run.is_baseline = run.is_baseline or by_id[claim.id].is_baseline
            run.claim = replace(run.claim, activations=by_id[claim.id].activations)

    def stop(self, rule: StopRule) -> None:
        """See `Ledger`."""
        if self.state == JobState.running and len(self.trials) < self._budget:
            self._budget, self.stopped_by = len(self.trials), rule

    def memories(self) -> Sequence[Memory]:
        """See `Ledger`."""
        return []

    def remaining(self) -> Remaining:
        """See `Ledger`."""
        states = [run.state for run in self.trials]
        open_ = sum(state in _OPEN for state in states)
        return Remaining(open_, states.count("complete"), self._budget - len(states), self._asked, self.state)

    def _tally(self) -> Tally:
        seconds = [run.end.metrics.get("seconds", 0.0) for run in self._ended if run.end is not None]
        device_seconds = sum(value for value in seconds if isinstance(value, float))
        finite = [(place, value) for place, run in enumerate(self._ended) if (value := _value(run)) is not None]
        best = max(finite, key=lambda found: self._sign * found[1], default=None)
        since = 0 if best is None else len(self._ended) - 1 - best[0]
        return Tally(time.monotonic() - self._began, device_seconds, None if best is None else best[1], since)

    # --- runs -------------------------------------------------------------------------------------

    def start(self, claims: Sequence[Claim]) -> None:
        """See `Ledger`."""
        for run, claim in self._held(claims):
            run.curve = {}
            if claim.is_trial:
                self.storage.forget(claim.id)

    def report(self, reports: Sequence[Report]) -> Standing:
        """See `Ledger`."""
        points = {report.claim.id: (report.epoch, report.metrics) for report in reports}
        ours = set()
        for run, claim in self._held([report.claim for report in reports]):
            epoch, metrics = points[claim.id]
            run.curve[epoch] = metrics
            ours.add(claim.id)
        return Standing(frozenset(ours), goes_on=True)

    def others_wait(self) -> bool:
        """See `Ledger`."""
        return False

    def finish(self, finishes: Sequence[Finish]) -> None:
        """See `Ledger`."""
        ends = {finish.claim.id: finish for finish in finishes}
        for run, claim in self._held([finish.claim for finish in finishes]):
            run.end = ends[claim.id]
            run.state = run.end.state
            if claim.is_trial:
                self.storage.set_trial_state_values(claim.id, _STATES[run.state], list(run.end.values) or None)
                run.claim = replace(run.claim, parameters=self._parameters(run))
                self._ended.append(run)
            self._on_finish(run)

    def release(self, claims: Sequence[Claim]) -> None:
        """See `Ledger`."""
        for run, claim in self._held(claims):
            run.state = "waiting"
            run.claim = replace(run.claim, released=run.claim.released + 1)
            if claim.is_trial:
                self.storage.wait(claim.id)

    def _held(self, claims: Sequence[Claim]) -> Iterator[tuple[Run, Claim]]:
        for claim in claims:
            run = self.trials[claim.number] if claim.is_trial else self.evaluations[claim.id]
            if run.is_held(claim):
                yield run, claim

    # --- the end ----------------------------------------------------------------------------------

    def close(self, state: JobState, reason: str | None = None) -> None:
        """See `Ledger`."""
        if self._is_over():
            self.state, self.reason = state, reason

    def candidates(self) -> Sequence[Trial]:
        """See `Ledger`."""
        return [self._as_trial(run) for run in self._ranked() if not run.is_baseline]

    def baseline(self) -> Trial:
        """See `Ledger`."""
        return self._as_trial(next((run for run in self._ranked() if run.is_baseline), self.trials[0]))

    def _ranked(self) -> list[Run]:
        """Complete trials, best first, equal ones in order of number."""
        found = [(-self._sign * value, run.claim.number) for run in self.trials if (value := _value(run)) is not None]
        return [self.trials[number] for _, number in sorted(found)]

    def confirm(self, arms: Sequence[PlannedArm], seeds: Mapping[int, int]) -> None:
        """See `Ledger`."""
        if self._is_over():
            self.state, self._arms = JobState.confirming, list(arms)
            self.add_seeds(seeds)

    def claim_seed(self) -> Sequence[Claim]:
        """See `Ledger`."""
        waiting = [run for run in self.evaluations if run.state == "waiting"]
        replicate = min((run.claim.cohort for run in waiting), default=-1)
        if self.state != JobState.confirming:
            return []
        return [self._claimed(run) for run in waiting if run.claim.cohort == replicate]

    def arms(self) -> Sequence[PlannedArm]:
        """See `Ledger`."""
        return self._arms

    def arm_of(self, number: int) -> int | None:
        """The arm that trains trial `number` again, with its own activation; None without a confirmation."""
        own = [PlannedArm(UUID(int=number))]
        return next((place for place, arm in enumerate(self._arms) if arm in own), None)

    def trial(self, trial_id: UUID) -> Trial:
        """See `Ledger`."""
        return self._as_trial(self.trials[trial_id.int])

    def results(self) -> Sequence[Result] | None:
        """See `Ledger`."""
        ended = [run.end for run in self.evaluations if run.end is not None]
        if self.state != JobState.confirming or not ended or len(ended) < len(self.evaluations):
            return None
        return [
            Result(one.claim.number, one.claim.cohort, one.claim.seed or 0, one.state, one.reason, one.metrics)
            for one in ended
        ]

    def add_seeds(self, seeds: Mapping[int, int]) -> None:
        """See `Ledger`."""
        planned = {run.claim.cohort for run in self.evaluations}
        fresh = [replicate for replicate in seeds if replicate not in planned]
        for replicate in fresh if self.state == JobState.confirming else ():
            for place, arm in enumerate(self._arms):
                of, where = self.trials[arm.trial.int].claim, (len(self.evaluations), 1, place, replicate)
                claim = Claim(*where, of.activations, of.parameters, seed=seeds[replicate], twin=arm.twin)
                self.evaluations.append(Run(claim))

    def conclude(self, verdict: Verdict) -> None:
        """See `Ledger`."""
        if self.state == JobState.confirming or self._is_over():
            self.verdict, self.state = verdict, JobState.completed

    def _is_over(self) -> bool:
        """Whether the search runs and has nothing left to train; it is noted why."""
        left = self.remaining()
        over = left.state == JobState.running and not left.open and left.unclaimed <= 0
        if over and self.stopped_by is None:
            self.stopped_by = StopRule.trials
        return over

    @property
    def _direction(self) -> Direction:
        return self._prepared.objective.direction

    @property
    def _sign(self) -> int:
        return 1 if self._direction is Direction.maximize else -1

    def _parameters(self, run: Run) -> Mapping[str, Scalar]:
        return dict(self.storage.get_trial(run.claim.id).params)

    def _as_trial(self, run: Run) -> Trial:
        """A trial as the statistics know it; its id is its number."""
        activations: dict[str, ActivationSpec] = dict(run.claim.activations)
        return Trial(
            id=UUID(int=run.claim.number),
            job_id=UUID(int=0),
            number=run.claim.number,
            state=TrialState(run.state),
            value=_value(run),
            is_baseline=run.is_baseline,
            family=run.family,
            activations=activations,
            parameters=dict(run.claim.parameters),
            metrics=dict(run.end.metrics) if run.end else {},
            attempt=run.claim.attempt,
            worker=None,
            started_at=None,
            finished_at=None,
        )


def _value(run: Run) -> float | None:
    """A complete run's first value, if that is finite."""
    if run.end is None or run.state != "complete" or not run.end.values or not math.isfinite(run.end.values[0]):
        return None
    return run.end.values[0]
