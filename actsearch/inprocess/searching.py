"""The search itself: propose, train as cohorts, tell; all in this process."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import TrialState
from torch import nn

from actsearch.inprocess.result import LocalTrial, best_first
from actsearch.inprocess.trainer import Trained, Trainer
from actsearch.schemas import Direction, StopRule
from actsearch.space import Suggestion, suggest
from actsearch.study import (
    PreparedJob,
    as_baseline,
    baseline_turn,
    is_baseline,
    make_pruner,
    make_sampler,
    most_at_once,
)
from actsearch.study.proposing.terminators import regret_is_bounded
from actsearch.training import Outcome, Rung

Curve = dict[int, Mapping[str, float]]
Member = tuple[optuna.Trial, Suggestion]


@dataclass(frozen=True)
class Found:
    """What a search has tried.

    Args:
        trials: in order of number.
        suggestions: of the trials, by number.
        best_module: the network of the best complete trial, on the CPU; None without one.
        stopped_by: what ended it.
    """

    trials: Sequence[LocalTrial]
    suggestions: Mapping[int, Suggestion]
    best_module: nn.Module | None
    stopped_by: StopRule


def run_search(
    prepared: PreparedJob, trainer: Trainer, *, tested: bool, on_trial: Callable[[LocalTrial], None] | None
) -> Found:
    """Spend the budget.

    Args:
        tested: whether there are test data, so that their metrics are to be shown.
        on_trial: called with each trial as it ends.
    """
    with _quiet_optuna():
        return _Search(prepared, trainer, tested, on_trial).run()


@dataclass
class _Search:
    """A search under way."""

    prepared: PreparedJob
    trainer: Trainer
    tested: bool
    on_trial: Callable[[LocalTrial], None] | None
    trials: list[LocalTrial] = field(default_factory=list)
    suggestions: dict[int, Suggestion] = field(default_factory=dict)
    best: tuple[float, nn.Module | None] = (math.inf, None)

    def __post_init__(self) -> None:
        self.request, self.began = self.prepared.request, time.monotonic()
        directions = [StudyDirection[objective.direction.upper()] for objective in self.prepared.objectives]
        self.study = optuna.create_study(directions=directions)
        self.study.enqueue_trial(dict(self.prepared.baseline_parameters))
        # Optuna prunes by one value only, and costs are known at the end.
        self.is_reported = len(directions) == 1 and self.prepared.objective.metric in self.trainer.task.directions

    def run(self) -> Found:
        most = most_at_once(self.request.sampler, self.request.budget.trials)
        while (stop := self._stop()) is None:
            self._round(min(self.request.budget.trials - len(self.trials), self.trainer.at_once, most))
        return Found(sorted(self.trials, key=lambda t: t.number), self.suggestions, self.best[1], stop)

    def _stop(self) -> StopRule | None:
        """The budget's limit that is reached, if any."""
        budget, direction = self.request.budget, self.prepared.objective.direction
        if len(self.trials) >= budget.trials:
            return StopRule.trials
        if budget.seconds is not None and time.monotonic() - self.began >= budget.seconds:
            return StopRule.seconds
        spent = sum(float(trial.metrics.get("seconds", 0.0)) for trial in self.trials)
        if budget.device_seconds is not None and spent >= budget.device_seconds:
            return StopRule.device_seconds
        ranked = best_first(self.trials, direction)
        if budget.target is not None and ranked and self._loss(ranked[0].value) <= self._sign * budget.target:
            return StopRule.target
        if budget.patience is not None and ranked and len(self.trials) - 1 - ranked[0].number >= budget.patience:
            return StopRule.patience
        bound = budget.regret_bound
        bounded = bound and regret_is_bounded(self.study, bound, self.request.sampler_seed)
        return StopRule.regret_bound if bounded else None

    def _round(self, size: int) -> None:
        request, first = self.request, len(self.trials)
        self.study.sampler = make_sampler(request.sampler, request.sampler_seed, first, self.prepared.space)
        self.study.pruner = make_pruner(request.pruner, request.training.epochs, request.sampler_seed)
        members = [self._ask(first + place) for place in range(size)]
        curves: dict[int, Curve] = {}
        suggestions = [suggestion for _, suggestion in members]
        trained = self.trainer.train(suggestions, request.training, lambda r: self._on_rung(members, curves, r))
        for place, (member, one) in enumerate(zip(members, trained, strict=True)):
            self._end(member, one, curves.get(place, {}))

    def _ask(self, number: int) -> Member:
        turn = baseline_turn(self.prepared, number)
        if turn is not None:
            self.study.enqueue_trial(dict(turn))
        trial = self.study.ask()
        suggestion = suggest(trial, self.prepared.space)
        return trial, suggestion if turn is None else as_baseline(self.prepared, suggestion)

    def _on_rung(self, members: Sequence[Member], curves: dict[int, Curve], rung: Rung) -> list[bool]:
        goes_on = []
        for place, metrics in zip(rung.positions, rung.metrics, strict=True):
            curve = curves.setdefault(place, {})
            if rung.epoch in curve or not self.is_reported:  # a second attempt, after a cohort failed together
                goes_on.append(True)
            else:
                members[place][0].report(self._values(metrics)[0], rung.epoch)
                goes_on.append(not members[place][0].should_prune())
            curve[rung.epoch] = metrics
        return goes_on

    @property
    def _sign(self) -> int:
        return -1 if self.prepared.objective.direction is Direction.maximize else 1

    def _loss(self, value: float | None) -> float:
        return math.inf if value is None or math.isnan(value) else self._sign * value

    def _values(self, metrics: Mapping[str, Any]) -> list[float]:
        names = [objective.metric for objective in self.prepared.objectives]
        return [float(metrics.get(f"validation_{name}", metrics.get(name, math.nan))) for name in names]

    def _end(self, member: Member, trained: Trained, curve: Curve) -> None:
        (trial, suggestion), outcome = member, trained.outcome
        metrics = {n: v for n, v in outcome.metrics.items() if self.tested or not n.startswith("test_")}
        values = self._values(outcome.metrics)
        state, failure = _ending(outcome, values)
        self.study.tell(trial, values if state == "complete" else None, _STATES[state])
        ended = LocalTrial(
            number=trial.number,
            state=state,  # type: ignore[arg-type]
            value=None if state == "failed" or not math.isfinite(values[0]) else values[0],
            is_baseline=is_baseline(self.prepared, suggestion),
            family=suggestion.family,
            activations=suggestion.activations,
            parameters=trial.params,
            metrics=metrics,
            values={o.metric: value for o, value in zip(self.prepared.objectives, values, strict=True)},
            curve=curve,
            failure=failure,
        )
        if state == "complete" and self._loss(ended.value) < self.best[0]:
            self.best = (self._loss(ended.value), trained.module)
        self.trials.append(ended)
        self.suggestions[trial.number] = suggestion
        if self.on_trial is not None:
            self.on_trial(ended)


_STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


def _ending(outcome: Outcome, values: Sequence[float]) -> tuple[str, str | None]:
    """The trial's state, and why it failed if it did: one trained to its end may lack a value."""
    if outcome.state == "complete" and not all(map(math.isfinite, values)):
        return "failed", f"invalid: {outcome.metrics.get('measure_error', 'an objective has no finite value')}"
    return outcome.state, None if outcome.reason is None else f"{outcome.reason}: {outcome.detail}"


@contextmanager
def _quiet_optuna() -> Iterator[None]:
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(verbosity)
