"""Rankings as tables; the baseline stands out, and is shown below where it is not among the first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from rich.table import Table

from actsearch.cli.tables import BASELINE_STYLE, add_row, new_table
from actsearch.cli.texts import activation_text, activations_text, other_parameters, value_text
from actsearch.client.display import short_id
from actsearch.schemas import (
    ActivationRanking,
    FamilyRanking,
    Importances,
    Interval,
    Leaderboard,
    RankedActivation,
    RankedFamily,
    RankedTrial,
    TrialRanking,
)

Ranked = TypeVar("Ranked", RankedTrial, RankedActivation, RankedFamily)
Ranking = TrialRanking | ActivationRanking | FamilyRanking


def ranking_table(ranking: Ranking, title: str | None = None) -> Table:
    """The ranking, best first."""
    if isinstance(ranking, FamilyRanking):
        return _families(ranking, title)
    if isinstance(ranking, ActivationRanking):
        return _activations(ranking, title)
    return _trials(ranking, title)


def baseline_text(ranking: Ranking) -> str:
    """Where the baseline stands, in a sentence."""
    if ranking.baseline is None:
        return "the baseline has no complete trial"
    name = ranking.baseline.trial.family if isinstance(ranking.baseline, RankedTrial) else ranking.baseline.family
    return f"baseline: {name}, rank {ranking.baseline.rank}"


def _families(ranking: FamilyRanking, title: str | None) -> Table:
    columns = ("rank", "family", "trials", f"best {ranking.objective.metric}", "mean", "95%", "wins", "best activation")
    table = new_table(*columns, "other parameters", title=title, caption=_caption(ranking))
    for entry in _with_baseline(ranking.entries, ranking.baseline):
        values = map(value_text, (entry.best, entry.mean))
        best = (activation_text(entry.best_trial), other_parameters(entry.best_trial))
        style = BASELINE_STYLE if entry.is_baseline else ""
        spread = (_interval(entry.interval), value_text(entry.wins))
        add_row(table, _rank(entry), entry.family, entry.trials, *values, *spread, *best, style=style)
    for one in ranking.without:
        add_row(table, "", one.family, one.trials, "", "", "", "", one.words, "")
    return table


def _trials(ranking: TrialRanking, title: str | None) -> Table:
    columns = ("rank", "trial", ranking.objective.metric, "activation", "other parameters")
    table = new_table(*columns, title=title, caption=_caption(ranking))
    for entry in _with_baseline(ranking.entries, ranking.baseline):
        trial = entry.trial
        words = (activation_text(trial), other_parameters(trial))
        style = BASELINE_STYLE if trial.is_baseline else ""
        add_row(table, _rank(entry), trial.number, value_text(trial.value), *words, style=style)
    return table


def _activations(ranking: ActivationRanking, title: str | None) -> Table:
    columns = ("rank", "activation", "trials", f"best {ranking.objective.metric}", "mean")
    further = ("fresh seeds", "their mean", "median", "worst", "collapsed", "other parameters")
    table = new_table(*columns, *further, title=title, caption=_caption(ranking))
    for entry in _with_baseline(ranking.entries, ranking.baseline):
        values = (value_text(entry.best), value_text(entry.mean), entry.replicates or "", value_text(entry.confirmed))
        hidden = ("", "", "")
        if (spread := entry.spread) is not None:
            hidden = (value_text(spread.median), value_text(spread.worst), f"{spread.collapsed:.0%}")
        words = (activation_text(entry.best_trial), entry.trials, *values, *hidden, other_parameters(entry.best_trial))
        add_row(table, _rank(entry), *words, style=BASELINE_STYLE if entry.is_baseline else "")
    return table


def _rank(entry: RankedTrial | RankedActivation | RankedFamily) -> str:
    """The rank; `=` where seed noise explains the distance to the first."""
    return f"{entry.rank}{' =' if entry.tied_with_first and entry.rank > 1 else ''}"


def _interval(interval: Interval | None) -> str:
    return f"{value_text(interval.low)} to {value_text(interval.high)}" if interval else ""


def _caption(ranking: Ranking) -> str:
    if ranking.noise is None:
        return baseline_text(ranking)
    return f"{baseline_text(ranking)}; `=`: within seed noise ({value_text(ranking.noise)}) of the first"


def importance_table(found: Importances) -> Table:
    """Shares of the objective's variation, those within families below."""
    table = new_table("parameter", "share", "among", caption=f"{found.evaluator}, from {found.trials} complete trials")
    for group, shares in {"all trials": found.shared, **found.within}.items():
        for name, share in shares.items():
            add_row(table, name, f"{100 * share:.1f}%", group)
    return table


def leaderboard_table(board: Leaderboard) -> Table:
    """Families across jobs."""
    title = f"{board.task} / {board.architecture}, {board.jobs} completed jobs"
    columns = ("rank", "family", "gain over baseline", "mean", "95%", "evidence", "jobs", "seeds", "activation", "job")
    table = new_table(*columns, title=title)
    for entry in board.entries:
        evidence = entry.evidence if entry.outcome is None else f"{entry.evidence}: {entry.outcome.replace('_', ' ')}"
        gain = f"{entry.gain:+.4g} {entry.metric}"
        where = (entry.jobs, entry.seeds, activations_text(entry.activations), short_id(entry.job_id))
        mean = value_text(entry.mean)
        add_row(table, entry.rank, entry.family, gain, mean, _interval(entry.interval), evidence, *where)
    return table


def _with_baseline(entries: Sequence[Ranked], baseline: Ranked | None) -> list[Ranked]:
    shown = list(entries)
    if baseline is not None and baseline not in shown:
        shown.append(baseline)
    return shown
