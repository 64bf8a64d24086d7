"""How trials learned, and how the search went."""

from __future__ import annotations

from itertools import accumulate

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from actsearch.report.charts.style import BASELINE, OTHERS, QUIET, WINNER, new_figure
from actsearch.report.findings import Findings
from actsearch.report.words import trial as trial_words
from actsearch.schemas import Trial


def curves(findings: Findings) -> Figure | None:
    """Validation metric by epoch of the winner, the baseline and the best of other families."""
    name = f"validation_{findings.metric}"
    shown = [trial for trial in findings.curves if any(point.metrics.get(name) is not None for point in trial.curve)]
    if not shown:
        return None
    figure, [ax] = new_figure(3.4)
    others = iter(OTHERS)
    for trial in shown:
        points = [(p.epoch, p.metrics[name]) for p in trial.curve if p.metrics.get(name) is not None]
        colour, width, order = _look(findings, trial, next(others, QUIET))
        label = f"{trial_words(trial)}{', baseline' if trial.is_baseline else ''}"
        style = "--" if trial.is_baseline else "-"
        ax.plot(*zip(*points, strict=True), style, color=colour, linewidth=width, zorder=order, label=label)
    ax.set(xlabel="epoch", ylabel=f"{findings.metric} on validation")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(loc="best")
    return figure


def _look(findings: Findings, trial: Trial, other: str) -> tuple[str, float, int]:
    if findings.winner is not None and trial.number == findings.winner.number:
        return WINNER, 2.6, 4
    return (BASELINE, 2.0, 3) if trial.is_baseline else (other, 1.3, 2)


def history(findings: Findings) -> Figure | None:
    """Each complete trial's value, and the best so far."""
    trials = [(trial.number, trial.value) for trial in findings.trials if trial.value is not None]
    if len(trials) < 2:
        return None
    numbers, values = zip(*trials, strict=True)
    best = list(accumulate(values, max if findings.sign > 0 else min))
    figure, [ax] = new_figure(3.0)
    ax.plot(numbers, values, "o", markersize=3.5, color=QUIET, alpha=0.7, label="trials")
    ax.step(numbers, best, where="post", color=WINNER, label="best so far")
    baseline = findings.baseline
    if baseline is not None and baseline.value is not None:
        ax.axhline(baseline.value, color=BASELINE, linestyle="--", linewidth=1.3, label="baseline, trial 0")
    _cut_outliers(ax, values, findings.sign)
    ax.set(xlabel="trial", ylabel=f"{findings.metric} on validation")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(loc="lower right" if findings.sign > 0 else "upper right")
    return figure


def _cut_outliers(ax: Axes, values: tuple[float, ...], sign: int) -> None:
    """Where a few trials are far worse than the rest, show the rest."""
    ranked = sorted(values, key=lambda value: -sign * value)
    best, common, worst = ranked[0], ranked[int(0.9 * (len(ranked) - 1))], ranked[-1]
    if abs(worst - best) > 3 * abs(common - best) > 0:
        margin = 0.08 * abs(common - best)
        low, high = sorted((best + sign * margin, common - sign * margin))
        ax.set_ylim(low, high)
