"""Comparisons in words: digits that matter, the metric's unit, the seeds that speak for it."""

from __future__ import annotations

import pytest

from actsearch.schemas import Outcome
from actsearch.study.judging.statistics import compare
from actsearch.study.judging.words import in_words


@pytest.mark.parametrize(
    ("difference", "metric", "words"),
    [
        (0.0005, "accuracy", "better by 0.1 points"),
        (0.0004, "accuracy", "better by 0.04 points"),
        (0.00000004, "accuracy", "better by 0.0 points"),
        (0.02, "balanced_accuracy", "better by 2.0 points"),
        (0.0004, "loss", "better by 0.0004 in loss"),
        (12.3456, "mse", "better by 12.3 in mse"),
    ],
)
def test_numbers_are_told_with_the_digits_that_matter(difference: float, metric: str, words: str) -> None:
    found = compare([difference] * 8, [0.0] * 8)
    assert in_words(found, Outcome.better, metric, 0.95).startswith(words + ",")


def test_what_is_worse_is_told_with_the_seeds_it_lost() -> None:
    found = compare([0.7, 0.71, 0.72, 0.69, 0.9, 0.7], [0.8, 0.81, 0.8, 0.79, 0.85, 0.8])
    low, high = (-100 * end for end in found.interval)
    said = in_words(found, Outcome.worse, "accuracy", 0.9)
    assert said == f"worse by {-100 * found.difference:.1f} points, 90% {high:.1f} to {low:.1f}, on 5 of 6 seeds"
