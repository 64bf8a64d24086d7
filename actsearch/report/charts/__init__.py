"""The charts of a report, by name, each from a job's findings; None where there is nothing to show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from matplotlib.figure import Figure

from actsearch.report.charts.costs import hypervolume, pareto
from actsearch.report.charts.families import families, importances
from actsearch.report.charts.learning import curves, history
from actsearch.report.charts.shape import shape
from actsearch.report.charts.style import drawing, png, svg
from actsearch.report.charts.verdict import verdict
from actsearch.report.findings import Findings
from actsearch.schemas import Chart

CHARTS: Mapping[Chart, Callable[[Findings], Figure | None]] = {
    "verdict": verdict,
    "shape": shape,
    "families": families,
    "curves": curves,
    "history": history,
    "pareto": pareto,
    "hypervolume": hypervolume,
    "importances": importances,
}


def picture(name: Chart, findings: Findings, form: Literal["svg", "png", "inline"]) -> bytes | None:
    """A chart as a file, or (`inline`) as an SVG element that takes its colours from the page around it."""
    with drawing():
        figure = CHARTS[name](findings)
        if figure is None:
            return None
        return png(figure) if form == "png" else svg(figure, name, inline=form == "inline")
