"""Verdicts as people read them: the sentence first, then how each finalist compares with the baseline."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from actsearch.cli.tables import BASELINE_STYLE, add_row, new_table
from actsearch.cli.texts import activations_text, value_text
from actsearch.schemas import Arm, Difference, Outcome, Verdict

STYLES = {Outcome.better: "bold green", Outcome.worse: "bold red", Outcome.no_difference: "bold yellow"}


def verdict_view(verdict: Verdict) -> RenderableType:
    """The verdict in words, and the finalists beside the baseline."""
    sentence = Text(f"verdict: {verdict.words}", style=STYLES[verdict.outcome])
    return Group(sentence, _finalists(verdict)) if verdict.finalists else sentence


def _finalists(verdict: Verdict) -> Table:
    costs = _cost_names([verdict.baseline, *verdict.finalists])
    spread = (f"test {verdict.metric}", "median", "worst", *(("collapsed",) if _any_collapsed(verdict) else ()))
    columns = ("trial", "activation", *spread, "failed", "on test data", "on validation data", *costs)
    table = new_table(*columns, caption=_caption(verdict))
    baseline = verdict.baseline
    name = f"{activations_text(baseline.activations)} (baseline)"
    results = _results(baseline, verdict)
    add_row(table, baseline.trial, name, *results, "", "", *_costs(baseline, costs), style=BASELINE_STYLE)
    for finalist in verdict.finalists:
        said = (_said(finalist.test), _said(finalist.validation))
        results = _results(finalist, verdict)
        row = (finalist.trial, activations_text(finalist.activations), *results, *said, *_costs(finalist, costs))
        add_row(table, *row, style="bold" if finalist.trial == verdict.chosen else "")
    return table


def _any_collapsed(verdict: Verdict) -> bool:
    return any(found.collapsed > 0 for arm in (verdict.baseline, *verdict.finalists) for found in arm.results.values())


def _results(arm: Arm, verdict: Verdict) -> list[str]:
    """Mean, median and worst seed on test data, the share that collapsed if any did, and how many failed."""
    found = arm.results.get("test")
    values = [found.mean, found.median, found.worst] if found else [None] * 3
    collapsed = [f"{100 * found.collapsed:.0f}%" if found else ""] if _any_collapsed(verdict) else []
    return [*(value_text(value) for value in values), *collapsed, f"{arm.failed} of {arm.completed + arm.failed}"]


def _said(difference: Difference | None) -> str:
    return "" if difference is None else difference.words


def _caption(verdict: Verdict) -> str:
    return (
        f"{len(verdict.seeds)} fresh seeds ({verdict.ending}), {100 * verdict.level:g}% intervals, corrected for "
        f"{len(verdict.finalists)} finalists; use trial {verdict.winner}"
    )


def _cost_names(arms: Sequence[Arm]) -> list[str]:
    return list(dict.fromkeys(name for arm in arms for name in arm.costs))


def _costs(arm: Arm, names: Sequence[str]) -> list[str]:
    return [value_text(arm.costs.get(name)) for name in names]
