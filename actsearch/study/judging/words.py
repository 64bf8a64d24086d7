"""Comparisons in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from actsearch.schemas import Outcome, ToldDifference
from actsearch.study.judging.statistics import Comparison

Stopped = Literal["hopeless", "early"] | None
"""Why it is judged before the planned seeds, if it is: nothing is in sight, or something may be clear already."""


def in_words(
    comparison: Comparison,
    outcome: Outcome,
    metric: str,
    level: float,
    *,
    stopped: Stopped = None,
    told: ToldDifference | None = None,
) -> str:
    """The comparison as one would say it: `better by 2.1 points, 95% 1.4 to 2.8, on 10 of 10 seeds`.

    With what that is worth, given that it was told: `better by 1.9 points, 95% 1.1 to 2.8 (seen: 2.1), on ...`.

    Shares (`accuracy` and its kin) are told in percentage points, everything else in the metric's own unit.

    Args:
        comparison: of the finalist with the baseline.
        outcome: what was decided from it.
        metric: name of what is compared.
        level: of the interval, in (0, 1).
        stopped: why it is judged before the planned seeds, if it is.
        told: see `Difference`.
    """
    if comparison.any_failed:
        return _with_failures(comparison, outcome, metric, level, stopped)
    size = _size(comparison, metric, level, turned=outcome is Outcome.worse)
    if outcome is Outcome.no_difference:
        seeds = f"better on {comparison.wins} of {comparison.seeds} seeds"
        return f"no difference shown ({'; '.join([size, seeds, *_notes(comparison, metric, level, stopped)])})"
    wins = comparison.losses if outcome is Outcome.worse else comparison.wins
    if told is not None:
        seen = _number(abs(comparison.difference or 0.0), metric)
        worth = _span(told.difference, told.interval.low, told.interval.high, metric, level)
        size = f"{worth} (seen: {seen})"
    notes = "".join(f"; {note}" for note in _disagreement(comparison, metric))
    return f"{outcome.value} by {size}, on {wins} of {comparison.seeds} seeds{notes}"


def completion(seeds: int, failed: int, baseline_failed: int) -> str:
    """Who trained to the end how often: `trained on 5 of 5 seeds, the baseline on 1 of 5`."""
    return f"trained on {seeds - failed} of {seeds} seeds, the baseline on {seeds - baseline_failed} of {seeds}"


def _with_failures(comparison: Comparison, outcome: Outcome, metric: str, level: float, stopped: Stopped) -> str:
    said = [completion(comparison.seeds, comparison.candidate_failed, comparison.baseline_failed)]
    if comparison.difference is not None:
        said.append(f"where both did, {_size(comparison, metric, level, turned=False)}")
    if outcome is not Outcome.no_difference:
        return f"{outcome.value}: {'; '.join(said)}"
    said.append(f"better on {comparison.wins} of {comparison.seeds} seeds")
    return f"no difference shown ({'; '.join([*said, *_notes(comparison, metric, level, stopped)])})"


def _size(comparison: Comparison, metric: str, level: float, *, turned: bool) -> str:
    """`2.1 points, 95% 1.4 to 2.8`; `turned` for how much worse."""
    if comparison.difference is None or comparison.interval is None:
        return "fewer than two seeds on which both finished"
    ends = [-comparison.difference, *(-end for end in reversed(comparison.interval))]
    mean, low, high = ends if turned else [comparison.difference, *comparison.interval]
    return _span(mean, low, high, metric, level)


def _span(mean: float, low: float, high: float, metric: str, level: float) -> str:
    return f"{_number(mean, metric)}{_unit(metric)}, {100 * level:g}% {_number(low, metric)} to {_number(high, metric)}"


def _notes(comparison: Comparison, metric: str, level: float, stopped: Stopped) -> Iterator[str]:
    """What keeps a comparison from showing a difference, where the interval does not say so."""
    if stopped == "hopeless":
        yield f"stopped after {comparison.seeds} seeds: no difference in sight"
    elif stopped == "early":
        yield f"not enough after {comparison.seeds} seeds"
    elif 2.0 * 2.0**-comparison.seeds > 1 - level:  # the smallest p that the exact test can give
        yield f"{comparison.seeds} seeds are too few to show any"
    elif comparison.interval is not None and comparison.interval[0] * comparison.interval[1] > 0:
        yield "not enough, corrected for several comparisons and looks"
    yield from _disagreement(comparison, metric)


def _disagreement(comparison: Comparison, metric: str) -> Iterator[str]:
    """Said where the mean and the median point to different sides: a few seeds make the mean."""
    mean, median = comparison.difference, comparison.median
    if mean is not None and median is not None and mean * median < 0:
        yield f"the median seed says otherwise: {_number(median, metric)}{_unit(metric)}"


def _is_share(metric: str) -> bool:
    return metric.endswith("accuracy")


def _unit(metric: str) -> str:
    return " points" if _is_share(metric) else f" in {metric}"


def _number(value: float, metric: str) -> str:
    if not _is_share(metric):
        return f"{value + 0.0:.3g}"
    points = 100 * value
    if abs(points) < 1e-4:  # what float32 leaves of equal accuracies
        return "0.0"
    return f"{points:.1f}" if abs(points) >= 0.05 else f"{points:.2g}"
