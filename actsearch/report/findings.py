"""What a report is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from actsearch.schemas import ActivationSpec, Direction, FamilyRanking, Job, ParetoFront, Trial, Verdict


@dataclass(frozen=True)
class Findings:
    """A job with all that its report shows.

    Args:
        trials: complete trials in order of number, without curves; a very large job gives its best.
        families: the ranking of families.
        curves: trials with their curves: the winner, the baseline and the best of other leading families.
        front: the Pareto front; None with a single objective.
        cloud: the objectives' values of the complete trials, (n, objectives); empty with a single objective.
        importances: share of each searched parameter in the variance of the objective; empty where unknown.
    """

    job: Job
    trials: Sequence[Trial]
    families: FamilyRanking
    curves: Sequence[Trial] = ()
    front: ParetoFront | None = None
    cloud: Sequence[Sequence[float]] = ()
    importances: Mapping[str, float] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict | None:
        """What confirmation found, if there was one."""
        return self.job.verdict

    @property
    def winner(self) -> Trial | None:
        """The trial to use: the verdict's, else the best so far."""
        if self.verdict is None:
            return self.job.best
        return next((trial for trial in self._all() if trial.number == self.verdict.winner), self.job.best)

    @property
    def baseline(self) -> Trial | None:
        """Trial 0, if it is complete."""
        return next((trial for trial in self._all() if trial.number == 0), None)

    def _all(self) -> Sequence[Trial]:
        return [*self.trials, *self.curves]

    @property
    def metric(self) -> str:
        """The first objective's name."""
        return self.job.objective.metric

    @property
    def sign(self) -> int:
        """1 where a larger objective is better, else -1."""
        return 1 if self.job.objective.direction == Direction.maximize else -1


def only_spec(trial: Trial) -> ActivationSpec | None:
    """The activation of a trial that has the same everywhere."""
    specs = list(trial.activations.values())
    return specs[0] if specs and all(spec == specs[0] for spec in specs) else None
