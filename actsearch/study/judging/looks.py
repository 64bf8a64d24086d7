"""When the evidence of a confirmation is judged, and when one may stop collecting it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from actsearch.study.judging.statistics import LEAST_EARLY


@dataclass(frozen=True)
class Look:
    """A moment at which the evidence is judged.

    Args:
        seeds: seeds finished by then.
        alpha: the part of the total error level that this look may spend.
        early: whether it goes by `Comparison.p_early`, as seeds are too few for the exact test.
    """

    seeds: int
    alpha: float
    early: bool = False


_EARLY, _EXTENDED = 0.2, 0.3
"""Shares of the error level for the look halfway and for the one after an extension; the planned one has the rest."""

_HOPELESS = 0.5
"""Uncorrected p above which, for every finalist, the look halfway ends it: no difference is in sight."""


def plan_looks(seeds: int, most_seeds: int, finalists: int, level: float, *, early: bool) -> list[Look]:
    """When the evidence is judged, and how much error each look may spend: in all, 1 - `level`.

    The chance that any look errs is at most the sum of their chances (Bonferroni), whatever the order in which one
    decides to go on; so stopping early and extending leave the stated level as it is. A look halfway at too few seeds
    for the exact test goes by `p_early`. One at which even that could show nothing, however clear, is only there to
    give up (which errs on the safe side) and spends nothing.

    Args:
        seeds: the planned number.
        most_seeds: where an extension ends; equal to `seeds` for none.
        early: whether there is a look halfway.
    """
    alpha = 1 - level
    extended = _EXTENDED * alpha if most_seeds > seeds else 0.0
    half = (seeds + 1) // 2
    looks: list[Look] = []
    spent = 0.0
    if early and 3 <= half < seeds:
        # The smallest p of the exact test is 2 / 2^seeds, of the early one 2 / 4^seeds; Holm times the finalists.
        share = _EARLY * alpha
        exact = finalists * 2.0 * 2.0**-half <= share
        by_model = share >= finalists * max(2.0 * 4.0**-half, LEAST_EARLY)
        spent = share if exact or by_model else 0.0
        looks.append(Look(half, spent, early=spent > 0 and not exact))
    looks.append(Look(seeds, alpha - spent - extended))
    if most_seeds > seeds:
        looks.append(Look(most_seeds, extended))
    return looks


def is_hopeless(p_values: Sequence[float]) -> bool:
    """Whether no finalist comes near a difference, so that a look halfway may give up."""
    return all(p > _HOPELESS for p in p_values)


def is_open(p_values: Sequence[float]) -> bool:
    """Whether more seeds may well settle it: some finalist's uncorrected p value is below 0.2."""
    return any(p < 0.2 for p in p_values)
