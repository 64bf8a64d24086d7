"""Families compared, and what mattered."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import t as student

from actsearch.report.charts.style import BASELINE, QUIET, WINNER, new_figure
from actsearch.report.findings import Findings
from actsearch.schemas import RankedFamily

_MOST = 18
_LONGEST = 28
_FEWEST = 3  # two trials give an interval 13 times as wide as their spread
LEVEL = 0.95


def families(findings: Findings) -> Figure | None:
    """For each family its trials as dots, its best one, and mean with 95% interval; best on top."""
    entries = findings.families.entries[:_MOST]
    if not entries:
        return None
    figure, [ax] = new_figure(0.9 + 0.3 * len(entries))
    for row, entry in enumerate(entries):
        colour = BASELINE if entry.is_baseline else WINNER
        values = [t.value for t in findings.trials if t.family == entry.family and t.value is not None]
        ax.plot(values, [row] * len(values), "|", color=QUIET, alpha=0.6, markersize=7)
        half = _half_width(entry)
        if half is not None:
            ax.errorbar(entry.mean, row, xerr=half, color=colour, fmt="o", markersize=4, capsize=3, linewidth=1.4)
        ax.plot(entry.best, row, "D", color=colour, markersize=6)
    ax.set_yticks(range(len(entries)), [_label(entry) for entry in entries])
    ax.invert_yaxis()
    _show_leaders(ax, entries, findings.sign)
    ax.grid(visible=False, axis="y")
    ax.set_xlabel(f"{findings.metric} on validation: best (diamond), mean with 95% interval, single trials")
    return figure


def _half_width(entry: RankedFamily) -> float | None:
    """Half of Student's interval of the mean."""
    if entry.sd is None or entry.trials < _FEWEST:
        return None
    return float(student.ppf(0.5 + LEVEL / 2, entry.trials - 1)) * entry.sd / math.sqrt(entry.trials)


def _label(entry: RankedFamily) -> str:
    name = entry.family if len(entry.family) <= _LONGEST else entry.family[: _LONGEST - 1] + "…"
    return f"{name} (baseline)" if entry.is_baseline else name


def _show_leaders(ax: Axes, entries: list[RankedFamily], sign: int) -> None:
    """From the best value to the worst family's best or mean; hopeless single trials and wide intervals are cut."""
    best = entries[0].best
    means = sorted(sign * (best - entry.mean) for entry in entries)
    reach = 1.15 * max(means[int(0.8 * (len(means) - 1))], sign * (best - entries[-1].best))
    if reach > 0:
        low, high = sorted((best + sign * 0.08 * reach, best - sign * reach))
        ax.set_xlim(low, high)


def importances(findings: Findings) -> Figure | None:
    """Share of each searched parameter in the spread of the objective."""
    found = sorted(findings.importances.items(), key=lambda item: item[1])[-12:]
    if not found:
        return None
    names, shares = zip(*found, strict=True)
    figure, [ax] = new_figure(0.8 + 0.3 * len(found))
    ax.barh(names, [100 * share for share in shares], color=WINNER, height=0.6)
    ax.set_xlabel("% of the differences between trials")
    ax.grid(visible=False, axis="y")
    return figure
