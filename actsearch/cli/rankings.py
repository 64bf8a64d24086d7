"""Rankings as tables; the baseline stands out, and is shown below where it is not among the first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from rich.table import Table

from actsearch.cli.tables import BASELINE_STYLE, add_row, new_table
from actsearch.cli.texts import activation_text, other_parameters, value_text
from actsearch.schemas import FamilyRanking, RankedFamily, RankedTrial, TrialRanking

Ranked = TypeVar("Ranked", RankedTrial, RankedFamily)


def ranking_table(ranking: TrialRanking | FamilyRanking, title: str | None = None) -> Table:
    """The ranking, best first."""
    if isinstance(ranking, FamilyRanking):
        return _families(ranking, title)
    return _trials(ranking, title)


def baseline_text(ranking: TrialRanking | FamilyRanking) -> str:
    """Where the baseline stands, in a sentence."""
    if ranking.baseline is None:
        return "the baseline has no complete trial"
    name = ranking.baseline.family if isinstance(ranking.baseline, RankedFamily) else ranking.baseline.trial.family
    return f"baseline: {name}, rank {ranking.baseline.rank}"


def _families(ranking: FamilyRanking, title: str | None) -> Table:
    columns = ("rank", "family", "trials", f"best {ranking.objective.metric}", "mean", "sd", "best activation")
    table = new_table(*columns, "other parameters", title=title, caption=baseline_text(ranking))
    for entry in _with_baseline(ranking.entries, ranking.baseline):
        values = map(value_text, (entry.best, entry.mean, entry.sd))
        best = (activation_text(entry.best_trial), other_parameters(entry.best_trial))
        style = BASELINE_STYLE if entry.is_baseline else ""
        add_row(table, entry.rank, entry.family, entry.trials, *values, *best, style=style)
    return table


def _trials(ranking: TrialRanking, title: str | None) -> Table:
    columns = ("rank", "trial", ranking.objective.metric, "activation", "other parameters")
    table = new_table(*columns, title=title, caption=baseline_text(ranking))
    for entry in _with_baseline(ranking.entries, ranking.baseline):
        trial = entry.trial
        words = (activation_text(trial), other_parameters(trial))
        style = BASELINE_STYLE if trial.is_baseline else ""
        add_row(table, entry.rank, trial.number, value_text(trial.value), *words, style=style)
    return table


def _with_baseline(entries: Sequence[Ranked], baseline: Ranked | None) -> list[Ranked]:
    shown = list(entries)
    if baseline is not None and baseline not in shown:
        shown.append(baseline)
    return shown
