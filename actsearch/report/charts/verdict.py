"""Finalists against the baseline, with intervals."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from actsearch.report.charts.style import INK, QUIET, WINNER, new_figure
from actsearch.report.findings import Findings
from actsearch.schemas import Difference, Finalist


def verdict(findings: Findings) -> Figure | None:
    """For each finalist its mean difference to the baseline on validation and test data; right is better."""
    found = findings.verdict
    if found is None or not found.finalists:
        return None
    figure, [ax] = new_figure(0.9 + 0.5 * len(found.finalists))
    for row, finalist in enumerate(found.finalists):
        colour = WINNER if finalist.trial == found.chosen else QUIET
        for part, lift, marker in ((finalist.test, -0.13, "o"), (finalist.validation, 0.13, "s")):
            if part is not None:
                _interval(ax, part, row + lift, marker, colour)
    ax.axvline(0, color=INK, linewidth=1)
    ax.set_yticks(range(len(found.finalists)), [_name(finalist) for finalist in found.finalists])
    ax.set_ylim(len(found.finalists) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")
    level = f"{100 * found.level:g}%"
    ax.set_xlabel(f"{found.metric}: difference to the baseline with {level} interval, right is better")
    ax.plot([], [], "o", color=QUIET, label="test")
    ax.plot([], [], "s", color=QUIET, label="validation")
    ax.legend(loc="best")
    return figure


def _interval(ax: Axes, part: Difference, row: float, marker: str, colour: str) -> None:
    if part.difference is None or part.interval is None:  # too few seeds on which both finished
        return
    low, high = part.difference - part.interval.low, part.interval.high - part.difference
    ax.errorbar(
        part.difference, row, xerr=[[low], [high]], fmt=marker, color=colour, capsize=3, markersize=5, linewidth=1.6
    )


def _name(finalist: Finalist) -> str:
    specs = list(finalist.activations.values())
    text = specs[0].text if len({spec.model_dump_json() for spec in specs}) == 1 else finalist.family
    return text if len(text) <= 34 else text[:33] + "…"
