"""The winning function and its derivative, against the baseline."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from actsearch.activations import curve
from actsearch.report.charts.style import BASELINE, OTHERS, QUIET, WINNER, new_figure
from actsearch.report.findings import Findings, only_spec
from actsearch.schemas import ActivationSpec

REACH = 4.0
_MOST = 6


def shape(findings: Findings) -> Figure | None:
    """Value on the left, derivative on the right; every different activation where sites have their own."""
    lines = _lines(findings)
    if not lines:
        return None
    figure, axes = new_figure(3.2, 2, sharex=True)
    for label, spec, colour, dashed in lines:
        drawn = curve(spec, -REACH, REACH)
        style: Any = {"color": colour, "linestyle": "--" if dashed else "-", "label": label}
        axes[0].plot(drawn.x, drawn.value, **style)
        axes[1].plot(drawn.x, drawn.derivative, **style)
    for ax, title in zip(axes, ("f(x)", "f′(x)"), strict=True):
        ax.set_title(title, fontsize=11, loc="left")
        ax.set_xlabel("x")
    axes[0].legend(loc="upper left")
    return figure


def _lines(findings: Findings) -> list[tuple[str, ActivationSpec, str, bool]]:
    """(label, activation, colour, dashed) of what is drawn."""
    lines = []
    if findings.winner is not None:
        same = only_spec(findings.winner)
        if same is not None:
            lines.append((same.text, same, WINNER, False))
        else:
            groups = list(findings.winner.activations.items())[:_MOST]
            colours = (WINNER, *OTHERS)
            lines += [
                (f"{group}: {spec.text}", spec, colour, False)
                for (group, spec), colour in zip(groups, colours, strict=False)
            ]
    lines += _rejected(findings)
    baseline = None if findings.baseline is None else only_spec(findings.baseline)
    if baseline is not None and all(_named(spec) != _named(baseline) for _, spec, _, _ in lines):
        lines.append((f"{baseline.text}, baseline", baseline, BASELINE, True))
    return lines


def _rejected(findings: Findings) -> list[tuple[str, ActivationSpec, str, bool]]:
    """The finalist that confirmation chose, where it is not what the verdict says to use."""
    verdict = findings.verdict
    if verdict is None or verdict.chosen in (None, verdict.winner):
        return []
    chosen = next(finalist for finalist in verdict.finalists if finalist.trial == verdict.chosen)
    specs = list(chosen.activations.values())
    if any(_named(spec) != _named(specs[0]) for spec in specs):
        return []
    return [(f"{specs[0].text}, best finalist", specs[0], QUIET, False)]


def _named(spec: ActivationSpec) -> str:
    """What tells functions apart; whether the parameters are learned does not."""
    return spec.text
