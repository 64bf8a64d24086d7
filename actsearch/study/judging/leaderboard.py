"""Families across jobs of one architecture and task: verdicts pooled, then what only searches have seen."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby

from actsearch.schemas import Interval, Leader, Outcome
from actsearch.schemas.rankings import SearchGain, VerdictOfJob
from actsearch.study.judging.pooling import Evidence, Pooled, pool


def leaders(verdicts: Sequence[VerdictOfJob], searches: Sequence[SearchGain]) -> list[Leader]:
    """The entries of a leaderboard, best first: pooled verdicts by their shrunk gain, then searches by their mean gain.

    Args:
        verdicts: of the jobs that have one.
        searches: by family and metric, its best over the baseline's best; families that a verdict speaks of are left
            out.
    """
    found = sorted(_found(verdicts), key=lambda one: (one.metric, one.family))
    pooled = [leader for _, ones in groupby(found, key=lambda one: one.metric) for leader in _pooled(list(ones))]
    known = {leader.family for leader in pooled}
    seen = [_of_search(one) for one in searches if one.family not in known]
    return _ranked(sorted(pooled, key=_place)) + _ranked(sorted(seen, key=_place), before=len(pooled))


def _found(verdicts: Sequence[VerdictOfJob]) -> Iterator[SearchGain]:
    """Each finalist with a difference on test data, with its standard error."""
    for one in verdicts:
        for finalist in one.verdict.finalists:
            test = finalist.test
            if test is None or test.difference is None or test.sd is None:
                continue
            yield SearchGain(
                job_id=one.job_id,
                metric=one.verdict.metric,
                family=finalist.family,
                activations=finalist.activations,
                trial=finalist.trial,
                gain=test.difference,
                error=test.sd / math.sqrt(test.pairs),
                seeds=test.pairs,
            )


def _pooled(found: Sequence[SearchGain]) -> Iterator[Leader]:
    """The families that verdicts on one metric speak of."""
    families = {name: list(ones) for name, ones in groupby(found, key=lambda one: one.family)}
    evidence = {name: [Evidence(one.gain, one.error, one.seeds) for one in ones] for name, ones in families.items()}
    for name, pooled in pool(evidence).items():
        best = max(families[name], key=lambda one: one.gain)
        low, high = pooled.interval
        yield Leader(
            rank=0,
            family=name,
            activations=best.activations,
            evidence="verdict",
            gain=pooled.gain,
            mean=pooled.mean,
            interval=Interval(low=low, high=high),
            outcome=_outcome(pooled),
            metric=best.metric,
            job_id=best.job_id,
            trial=best.trial,
            jobs=pooled.jobs,
            seeds=pooled.seeds,
        )


def _outcome(pooled: Pooled) -> Outcome:
    low, high = pooled.interval
    return Outcome.better if low > 0 else Outcome.worse if high < 0 else Outcome.no_difference


def _of_search(one: SearchGain) -> Leader:
    return Leader(
        rank=0,
        family=one.family,
        activations=one.activations,
        evidence="search",
        gain=one.gain,
        mean=one.gain,
        interval=None,
        outcome=None,
        metric=one.metric,
        job_id=one.job_id,
        trial=one.trial,
        jobs=one.jobs,
        seeds=0,
    )


def _place(leader: Leader) -> tuple[float, str]:
    return -leader.gain, leader.family


def _ranked(leaders: Sequence[Leader], before: int = 0) -> list[Leader]:
    """With ranks; equal gains share one and stand by name."""
    ranks: list[int] = []
    for place, leader in enumerate(leaders):
        same = place > 0 and leader.gain == leaders[place - 1].gain
        ranks.append(ranks[-1] if same else before + place + 1)
    return [leader.model_copy(update={"rank": rank}) for leader, rank in zip(leaders, ranks, strict=True)]
