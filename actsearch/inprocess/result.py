"""What an in-process search has found."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, overload

from torch import nn

from actsearch.activations import snippet
from actsearch.client.errors import NoResult
from actsearch.schemas import ActivationSpec, Direction, ObjectiveInfo, Scalar

if TYPE_CHECKING:
    import pandas as pd


_LISTED = 5


@dataclass(frozen=True)
class LocalTrial:
    """One trial; the words are those of `schemas.Trial`.

    Args:
        value: the objective on the validation part; None where it has none.
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
    """Trials of a search in order of number, and the best one's network.

    Args:
        objective: what trials are ranked by.
        best_module: the trained network of the best trial, in evaluation mode on the CPU; None without one.
        replaced: what stood at each site of a ready-made module, by path: `ReLU(inplace=True)`, `F.relu` ...
        left: what was left of its activations, by path, and why.
        kept_weights: names of its weights that every trial began with as they were given.
    """

    objective: ObjectiveInfo
    trials: Sequence[LocalTrial]
    best_module: nn.Module | None
    replaced: Mapping[str, str] = field(default_factory=dict)
    left: Mapping[str, str] = field(default_factory=dict)
    kept_weights: Sequence[str] = ()

    @property
    def best(self) -> LocalTrial:
        """The best complete trial.

        Raises:
            NoResult: there is none.
        """
        ranked = self.ranking()
        if not ranked:
            failures = {trial.failure for trial in self.trials if trial.failure}
            raise NoResult(f"none of {len(self.trials)} trials is complete; {'; '.join(sorted(failures))}")
        return ranked[0]

    @property
    def baseline(self) -> LocalTrial:
        """Trial 0."""
        return self.trials[0]

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
        sign = -1 if self.objective.direction == Direction.maximize else 1
        complete = [trial for trial in self.trials if trial.state == "complete"]
        ranked = sorted(complete, key=lambda trial: (sign * _value(trial), trial.number))
        if by == "trial":
            return ranked
        by_family: dict[str, list[LocalTrial]] = {}
        for trial in ranked:
            by_family.setdefault(trial.family, []).append(trial)
        return [self._family(name, trials) for name, trials in by_family.items()]

    def _family(self, name: str, trials: Sequence[LocalTrial]) -> LocalFamily:
        values = [_value(trial) for trial in trials]
        sd = statistics.stdev(values) if len(values) > 1 else None
        is_baseline = name == self.baseline.family
        return LocalFamily(name, len(trials), values[0], statistics.fmean(values), sd, trials[0], is_baseline)

    def snippet(self) -> str:
        """PyTorch code of the best trial's activations that needs nothing of this package."""
        each = self.best_activations
        if len(each) == 1:
            return snippet(next(iter(each.values())))
        return "\n\n".join(f"# {where}\n{snippet(spec)}" for where, spec in each.items())

    def to_pandas(self) -> pd.DataFrame:
        """All trials as a table: one row a trial, nested values in dotted columns."""
        import pandas as pd

        rows: list[dict[str, Any]] = [
            {"number": t.number, "state": t.state, "value": t.value, "family": t.family, "is_baseline": t.is_baseline}
            | {"failure": t.failure, "parameters": dict(t.parameters), "metrics": dict(t.metrics)}
            for t in self.trials
        ]
        return pd.json_normalize(rows)

    def __str__(self) -> str:
        lines = [f"{self.objective.metric} by family, {len(self.trials)} trials, {self.objective.direction}d"]
        for rank, entry in enumerate(self.ranking("family"), start=1):
            mark = "  (baseline)" if entry.is_baseline else ""
            lines.append(f"{rank:>3}  {entry.family:<24} {entry.best:>10.5g}  of {entry.trials}{mark}")
        return "\n".join([*lines, *self._about_the_module()])

    def _about_the_module(self) -> Iterator[str]:
        if self.replaced:
            counts = Counter(self.replaced.values()).items()
            yield f"searched: {', '.join(f'{count} x {what}' for what, count in counts)}"
        yield from (f"left as it is: {path or 'the module'} ({reason})" for path, reason in self.left.items())
        if self.kept_weights:
            yield f"began as given in every trial: {_listed(self.kept_weights)}"


def _listed(names: Sequence[str]) -> str:
    first = ", ".join(names[:_LISTED])
    return first if len(names) <= _LISTED else f"{first} and {len(names) - _LISTED} more"


def _value(trial: LocalTrial) -> float:
    if trial.value is None:
        raise ValueError(f"trial {trial.number} is complete and has no value")
    return trial.value
