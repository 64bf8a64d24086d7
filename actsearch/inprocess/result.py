"""What an in-process search has found."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, overload

from torch import nn

from actsearch.activations import AS_GIVEN, snippet
from actsearch.client.errors import NoResult
from actsearch.inprocess.given import Nearest
from actsearch.inprocess.ledger import Run
from actsearch.schemas import ActivationSpec, Direction, ObjectiveInfo, Scalar, StopRule, Verdict
from actsearch.study.ledger import Finish
from actsearch.study.running.measuring import values_of

if TYPE_CHECKING:
    import pandas as pd


_LISTED = 5


@dataclass(frozen=True)
class LocalTrial:
    """One trial; the words are those of `schemas.Trial`.

    Args:
        value: the (first) objective on the validation part; None where it has none.
        is_baseline: whether it computes the baseline's activation; trial 0 always does.
        values: by objective; NaN for what was not measured.
        curve: metrics by epoch.
        failure: why it failed, in a sentence.
    """

    number: int
    state: Literal["complete", "pruned", "failed"]
    value: float | None
    is_baseline: bool
    family: str
    activations: Mapping[str, ActivationSpec]
    parameters: Mapping[str, Scalar]
    metrics: Mapping[str, Any]
    values: Mapping[str, float] = field(default_factory=dict)
    curve: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    failure: str | None = None


@dataclass(frozen=True)
class LocalFamily:
    """A family over its complete trials; `sd` is None for a single one."""

    family: str
    trials: int
    best: float
    mean: float
    sd: float | None
    best_trial: LocalTrial
    is_baseline: bool


@dataclass(frozen=True)
class SearchResult:
    """Trials of a search in order of number, the verdict on them, and networks to go on with.

    Args:
        objectives: what trials are judged by; the first is what they are ranked by.
        best_module: the trained network of the best trial, in evaluation mode on the CPU; None without one.
        stopped_by: the limit of the budget that ended the search.
        verdict: what confirmation found; None where there was none.
        confirmed_module: of the verdict's winner, of its networks trained on fresh seeds, the one that is best on the
            validation part, in evaluation mode on the CPU.
        replaced: what stood at each site of a ready-made module, by path: `ReLU(inplace=True)`, `F.relu` ...
        left: what was left of its activations, by path, and why.
        kept_weights: names of its weights that every trial began with as they were given.
        notes: what was found out and guessed about data, targets and network, and how to say otherwise.
        nearest: of what stood at its sites, by path, the catalogue's nearest activation and how near it is.
    """

    objectives: Sequence[ObjectiveInfo]
    trials: Sequence[LocalTrial]
    best_module: nn.Module | None
    stopped_by: StopRule = StopRule.trials
    verdict: Verdict | None = None
    confirmed_module: nn.Module | None = None
    replaced: Mapping[str, str] = field(default_factory=dict)
    left: Mapping[str, str] = field(default_factory=dict)
    kept_weights: Sequence[str] = ()
    nearest: Mapping[str, Nearest] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def objective(self) -> ObjectiveInfo:
        """What trials are ranked by."""
        return self.objectives[0]

    @property
    def best(self) -> LocalTrial:
        """The best complete trial: a lucky maximum, see `winner`.

        Raises:
            NoResult: there is none.
        """
        ranked = self.ranking()
        if not ranked:
            failures = {trial.failure for trial in self.trials if trial.failure}
            raise NoResult(f"none of {len(self.trials)} trials is complete; {'; '.join(sorted(failures))}")
        return ranked[0]

    @property
    def winner(self) -> LocalTrial:
        """The trial to use: the verdict's, which is the baseline's where nothing was shown; without one the best.

        Raises:
            NoResult: no trial is complete.
        """
        return self.best if self.verdict is None else self.trials[self.verdict.winner]

    @property
    def winner_module(self) -> nn.Module | None:
        """A trained network of the winner, in evaluation mode on the CPU: `confirmed_module`, else `best_module`."""
        return self.best_module if self.confirmed_module is None else self.confirmed_module

    @property
    def baseline(self) -> LocalTrial:
        """The best complete trial that computes the baseline; trial 0 where none is complete."""
        return next((trial for trial in self.ranking() if trial.is_baseline), self.trials[0])

    @property
    def best_activations(self) -> Mapping[str, ActivationSpec]:
        """What the best trial computes, by site, stage or `network`."""
        return self.best.activations

    @overload
    def ranking(self, by: Literal["trial"] = "trial") -> list[LocalTrial]: ...

    @overload
    def ranking(self, by: Literal["family"]) -> list[LocalFamily]: ...

    def ranking(self, by: Literal["trial", "family"] = "trial") -> list[LocalTrial] | list[LocalFamily]:
        """Complete trials, or families by their best one; best first, equal ones in order of trial number."""
        ranked = best_first(self.trials, self.objective.direction)
        if by == "trial":
            return ranked
        by_family: dict[str, list[LocalTrial]] = {}
        for trial in ranked:
            by_family.setdefault(trial.family, []).append(trial)
        return [self._family(name, trials) for name, trials in by_family.items()]

    def _family(self, name: str, trials: Sequence[LocalTrial]) -> LocalFamily:
        values = [_value(trial) for trial in trials]
        sd = statistics.stdev(values) if len(values) > 1 else None
        is_baseline = any(trial.is_baseline for trial in trials)
        return LocalFamily(name, len(trials), values[0], statistics.fmean(values), sd, trials[0], is_baseline)

    def pareto(self) -> list[LocalTrial]:
        """Complete trials that no other one beats in every objective, the best in the first objective first.

        Of trials with equal values the earliest; with a single objective that is the best trial.
        """
        signs = [-1 if objective.direction == Direction.maximize else 1 for objective in self.objectives]

        def losses(trial: LocalTrial) -> list[float]:
            return [sign * value for sign, value in zip(signs, trial.values.values(), strict=True)]

        front: list[LocalTrial] = []
        for trial in sorted(self.ranking(), key=losses):  # what beats a trial stands before it
            own = losses(trial)
            if not any(all(a <= b for a, b in zip(losses(other), own, strict=True)) for other in front):
                front.append(trial)
        return front

    def snippet(self) -> str:
        """PyTorch code of the winner's activations that needs nothing of this package.

        Where the network keeps its own (`as given`) there is nothing to change: a comment says what stands there.
        """
        each = self.winner.activations
        if len(each) == 1:
            return self._code(next(iter(each.values())))
        return "\n\n".join(f"# {where}\n{self._code(spec)}" for where, spec in each.items())

    def _code(self, spec: ActivationSpec) -> str:
        if spec.family != AS_GIVEN:
            return snippet(spec)
        own = "".join(f"\n#   {path}: {' '.join(what.split())}" for path, what in self.replaced.items())
        return f"# as given: keep the network's own activations{own}\n"

    def to_pandas(self) -> pd.DataFrame:
        """All trials as a table: one row a trial, nested values in dotted columns."""
        import pandas as pd

        rows: list[dict[str, Any]] = [
            {"number": t.number, "state": t.state, "value": t.value, "family": t.family, "is_baseline": t.is_baseline}
            | {
                "failure": t.failure,
                "values": dict(t.values),
                "parameters": dict(t.parameters),
                "metrics": dict(t.metrics),
            }
            for t in self.trials
        ]
        return pd.json_normalize(rows)

    def __str__(self) -> str:
        stop = "" if self.stopped_by is StopRule.trials else f", stopped by {self.stopped_by}"
        lines = [*self._verdict_in_words()]
        lines.append(f"{self.objective.metric} by family, {len(self.trials)} trials, {self.objective.direction}d{stop}")
        for rank, entry in enumerate(self.ranking("family"), start=1):
            mark = "  (baseline)" if entry.is_baseline else ""
            lines.append(f"{rank:>3}  {entry.family:<24} {entry.best:>10.5g}  of {entry.trials}{mark}")
        lines += self._failures_in_words()
        return "\n".join([*lines, *self.notes, *self._about_the_module()])

    def _failures_in_words(self) -> Iterator[str]:
        failures = Counter(trial.failure for trial in self.trials if trial.failure)
        yield from (f"{count} of {len(self.trials)} trials failed: {why}" for why, count in failures.items())

    def _verdict_in_words(self) -> Iterator[str]:
        if self.verdict is None:
            yield "no verdict: the best of single runs may be lucky; search with `confirmation={}`"
            return
        yield f"verdict: {self.verdict.words}"
        yield f"use: {self.winner.family} (trial {self.winner.number})"

    def _about_the_module(self) -> Iterator[str]:
        if self.replaced:
            counts = Counter(self.replaced.values()).items()
            yield f"searched: {', '.join(f'{count} x {what}' for what, count in counts)}"
            alike = {what: self.nearest.get(path) for path, what in self.replaced.items()}
            words = [f"{what} ({near or 'unlike any of the catalogue'})" for what, near in alike.items()]
            yield f"{AS_GIVEN}: {', '.join(words)}"
        yield from (f"left as it is: {path or 'the module'} ({reason})" for path, reason in self.left.items())
        if self.kept_weights:
            yield f"began as given in every trial: {_listed(self.kept_weights)}"


def local_trial(run: Run, objectives: Sequence[ObjectiveInfo], *, tested: bool) -> LocalTrial:
    """A trial of the ledger as the caller sees it.

    Args:
        tested: whether there are test data, so that their metrics are to be shown.
    """
    end = run.end or Finish(run.claim, run.state)
    values = dict(zip((objective.metric for objective in objectives), values_of(objectives, end.metrics), strict=True))
    first = values[objectives[0].metric]
    return LocalTrial(
        number=run.claim.number,
        state=run.state,  # type: ignore[arg-type]
        value=first if end.values and math.isfinite(first) else None,
        is_baseline=run.is_baseline,
        family=run.family,
        activations=run.claim.activations,
        parameters=run.claim.parameters,
        metrics={name: value for name, value in end.metrics.items() if tested or not name.startswith("test_")},
        values=values,
        curve=dict(run.curve),
        failure=None if end.reason is None else f"{end.reason}: {end.detail}",
    )


def best_first(trials: Sequence[LocalTrial], direction: Direction) -> list[LocalTrial]:
    """The complete trials, best first, equal ones in order of number."""
    sign = -1 if direction == Direction.maximize else 1
    complete = [trial for trial in trials if trial.state == "complete"]
    return sorted(complete, key=lambda trial: (sign * _value(trial), trial.number))


def _listed(names: Sequence[str]) -> str:
    first = ", ".join(names[:_LISTED])
    return first if len(names) <= _LISTED else f"{first} and {len(names) - _LISTED} more"


def _value(trial: LocalTrial) -> float:
    if trial.value is None:
        raise ValueError(f"trial {trial.number} is complete and has no value")
    return trial.value
