"""Quality against cost."""

from __future__ import annotations

from matplotlib.figure import Figure

from actsearch.report.charts.style import BASELINE, QUIET, WINNER, new_figure
from actsearch.report.findings import Findings
from actsearch.schemas import Direction, ObjectiveInfo

_MOST = 3


def pareto(findings: Findings) -> Figure | None:
    """The first objective against each other one: all complete trials, the front, the baseline."""
    front = findings.front
    if front is None or not front.entries or len(front.objectives) < 2:
        return None
    others = front.objectives[1 : 1 + _MOST]
    figure, axes = new_figure(3.4, len(others), sharey=True)
    for place, (ax, objective) in enumerate(zip(axes, others, strict=True), start=1):
        cloud = [(values[place], values[0]) for values in findings.cloud]
        ax.plot(*zip(*cloud, strict=True), "o", color=QUIET, alpha=0.5, markersize=3.5, label="trials")
        points = sorted((entry.values[place], entry.values[0]) for entry in front.entries)
        line = "o-" if len(front.objectives) == 2 else "o"
        ax.plot(*zip(*points, strict=True), line, color=WINNER, markersize=5, linewidth=1.3, label="front")
        if front.baseline is not None:
            ax.plot(front.baseline.values[place], front.baseline.values[0], "s", color=BASELINE, label="baseline")
        ax.set_xlabel(_label(objective))
    axes[0].set_ylabel(_label(front.objectives[0]))
    axes[0].legend(loc="best")
    return figure


def _label(objective: ObjectiveInfo) -> str:
    better = "more is better" if objective.direction == Direction.maximize else "less is better"
    return f"{objective.metric} ({better})"


def hypervolume(findings: Findings) -> Figure | None:
    """How much of the space of objectives the front covers, by complete trials."""
    front = findings.front
    if front is None or len(front.hypervolume) < 2:
        return None
    figure, [ax] = new_figure(2.6)
    trials = [point.trials for point in front.hypervolume]
    ax.step(trials, [point.value for point in front.hypervolume], where="post", color=WINNER)
    ax.set(xlabel="complete trials", ylabel="hypervolume")
    return figure
