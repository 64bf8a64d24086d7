"""After the search: its best and the baseline on fresh seeds, and a verdict, as the service gives one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from torch import nn

from actsearch.inprocess.result import LocalTrial, best_first
from actsearch.inprocess.searching import Found
from actsearch.inprocess.trainer import Trainer, everybody_goes_on
from actsearch.schemas import Confirmation, Direction, ObjectiveInfo, Trial, TrialState, Verdict
from actsearch.space import Suggestion
from actsearch.study import PreparedJob, as_baseline
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
from actsearch.tasks import Task
from actsearch.training import Outcome


@dataclass(frozen=True)
class Confirmed:
    """A verdict, and the network of its winner.

    Args:
        module: of the fresh seeds' networks of the winner the one that is best on the validation part, on the CPU; None
            where none was trained.
    """

    verdict: Verdict
    module: nn.Module | None


@dataclass
class _Arm:
    """A network that is trained on each seed; `twin` says that it has the trial's settings, not its activation."""

    trial: Trial
    suggestion: Suggestion
    twin: bool = False
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    best: tuple[float, nn.Module | None] = (math.inf, None)

    def replicates(self, metric: str) -> Replicates:
        fit = {
            place: outcome.metrics for place, outcome in self.outcomes.items() if _value(outcome, metric) is not None
        }
        return Replicates(self.trial, fit, frozenset(self.outcomes.keys() - fit.keys()))


def confirm(prepared: PreparedJob, trainer: Trainer, found: Found, wanted: Confirmation) -> Confirmed:
    """Train the finalists of a search, their twins and the baseline on fresh seeds until the verdict stands.

    Args:
        trainer: its data's test part is what the verdict is given on.
    """
    objective = _compared_by(prepared, trainer.task)
    ranked = best_first(found.trials, prepared.objective.direction)
    first = next((trial for trial in ranked if trial.is_baseline), found.trials[0])
    others = [_as_trial(trial) for trial in ranked if not trial.is_baseline]
    finalists = choose_finalists(others, wanted.finalists, _as_trial(first))
    if not finalists:
        return Confirmed(nothing_to_compare(_as_trial(first), objective, wanted), None)
    baseline = _arm(_as_trial(first), found)
    arms = [baseline, *(_arm(trial, found) for trial in finalists)]
    arms += [_twin(prepared, trial, found) for trial in finalists if _settings(trial) != _settings(baseline.trial)]
    verdict = _Confirmation(trainer, objective, wanted, arms).verdict(len(finalists))
    winner = next(arm for arm in arms if arm.trial.number == verdict.winner)
    return Confirmed(verdict, winner.best[1])


@dataclass
class _Confirmation:
    """A confirmation under way; the first of `arms` is the baseline, the twins are last."""

    trainer: Trainer
    objective: ObjectiveInfo
    wanted: Confirmation
    arms: Sequence[_Arm]

    def verdict(self, finalists: int) -> Verdict:
        """Train on one seed after the other until the verdict stands."""
        goal = looks_of(self.wanted, finalists)[0].seeds
        seeds: list[int] = []
        while True:
            for place in range(len(seeds), goal):
                seeds.append(fresh_seed(self.trainer.request.training.seed, place))
                self._train(place, seeds[-1])
            judgement = self._judgement(seeds)
            if judgement.seeds is None:
                return judgement.verdict
            goal = judgement.seeds

    def _train(self, place: int, seed: int) -> None:
        request, metric = self.trainer.request, self.objective.metric
        epochs = self.wanted.epochs or request.training.epochs
        training = request.training.model_copy(update={"seed": seed, "epochs": epochs})
        sign = -1 if self.objective.direction is Direction.maximize else 1
        trained = self.trainer.train([arm.suggestion for arm in self.arms], training, everybody_goes_on)
        for arm, one in zip(self.arms, trained, strict=True):
            arm.outcomes[place] = one.outcome
            value = _value(one.outcome, metric)
            if value is not None and sign * value < arm.best[0]:
                arm.best = (sign * value, one.module)

    def _judgement(self, seeds: Sequence[int]) -> Judgement:
        baseline, *others = self.arms
        metric = self.objective.metric
        twins = {arm.trial.number: arm.replicates(metric) for arm in others if arm.twin}
        entrants = [Entrant(arm.replicates(metric), twins.get(arm.trial.number)) for arm in others if not arm.twin]
        return judge(baseline.replicates(metric), entrants, seeds, self.objective, self.wanted)


def _arm(trial: Trial, found: Found) -> _Arm:
    return _Arm(trial, found.suggestions[trial.number])


def _twin(prepared: PreparedJob, trial: Trial, found: Found) -> _Arm:
    return _Arm(trial, as_baseline(prepared, found.suggestions[trial.number]), twin=True)


def _value(outcome: Outcome, metric: str) -> float | None:
    """The metric on the validation part, if it was trained to its end and that is finite."""
    value = outcome.metrics.get(f"validation_{metric}")
    fits = outcome.state == "complete" and isinstance(value, float) and math.isfinite(value)
    return value if fits else None  # type: ignore[return-value]


def _compared_by(prepared: PreparedJob, task: Task) -> ObjectiveInfo:
    """The first objective, or the task's own metric where that is a cost, which is the same on every seed."""
    if prepared.objective.metric in task.directions:
        return prepared.objective
    return ObjectiveInfo(metric=task.metric, direction=task.directions[task.metric])


def _settings(trial: Trial) -> dict[str, Any]:
    """What was searched beside the activation."""
    return {n: v for n, v in trial.parameters.items() if n.startswith("training.")}


def _as_trial(trial: LocalTrial) -> Trial:
    """A trial as the statistics know it; its ids mean nothing here."""
    return Trial(
        id=UUID(int=trial.number),
        job_id=UUID(int=0),
        number=trial.number,
        state=TrialState(trial.state),
        value=trial.value,
        is_baseline=trial.is_baseline,
        family=trial.family,
        activations=dict(trial.activations),
        parameters=dict(trial.parameters),
        metrics=dict(trial.metrics),
        attempt=1,
        worker=None,
        started_at=None,
        finished_at=None,
    )
