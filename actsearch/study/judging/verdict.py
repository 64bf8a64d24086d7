"""From confirmation's networks to a verdict: which finalists, which seeds, when it is enough, and what it says."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

from actsearch.activations import fingerprint
from actsearch.schemas import (
    Arm,
    Confirmation,
    Difference,
    Direction,
    Ending,
    Finalist,
    Interval,
    Measure,
    ObjectiveInfo,
    Outcome,
    Trial,
    Verdict,
)
from actsearch.schemas.metrics import difference_within_range
from actsearch.study.judging.looks import Look, is_hopeless, is_open, plan_looks
from actsearch.study.judging.selective import told_difference
from actsearch.study.judging.spreads import spread
from actsearch.study.judging.statistics import SLACK, Comparison, compare, decide, holm
from actsearch.study.judging.words import Stopped, completion, in_words

_COSTS = (
    "seconds",
    Measure.parameters,
    Measure.activation_cost,
    Measure.latency_ms,
    Measure.gpu_latency_ms,
    Measure.int8_drop,
)


@dataclass(frozen=True)
class Replicates:
    """What an arm gave, seed by seed.

    Args:
        trial: the trial of the search that was trained again.
        metrics: by replicate, of the completed ones.
        failed: replicates that failed by themselves (diverged, out of memory ...), not through a crash.
    """

    trial: Trial
    metrics: Mapping[int, Mapping[str, Any]]
    failed: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Entrant:
    """A finalist's own replicates, and those of its twin: its settings with the baseline's activation.

    Without a twin the settings are the baseline's own.
    """

    own: Replicates
    twin: Replicates | None = None


def fresh_seed(training_seed: int, replicate: int) -> int:
    """The seed of a replicate, in [0, 2^31): a fixed function of the job's, and never that one itself."""
    digest = hashlib.sha256(f"{training_seed}/confirmation/{replicate}".encode()).digest()
    seed = int.from_bytes(digest[:4], "big") % 2**31
    return seed if seed != training_seed else (seed + 1) % 2**31


def choose_finalists(ranked: Sequence[Trial], count: int, baseline: Trial) -> list[Trial]:
    """The best trial of each of the best families, then, if families are too few, the next best activations.

    No two of them compute the same function, nor does any compute the baseline's, under whatever name.

    Args:
        ranked: complete trials, best first.
    """
    best = {trial.family: trial for trial in reversed(ranked)}
    taken = {_function(baseline): baseline}
    for trial in (*(trial for trial in ranked if best[trial.family] is trial), *ranked):
        if len(taken) > count:
            break
        taken.setdefault(_function(trial), trial)
    return sorted((trial for trial in taken.values() if trial is not baseline), key=ranked.index)


def _function(trial: Trial) -> str | tuple[tuple[str, str], ...]:
    """What trials share that compute the same functions at the same sites."""
    found = {group: fingerprint(spec) for group, spec in trial.activations.items()}
    functions = set(found.values())
    return functions.pop() if len(functions) == 1 else tuple(sorted(found.items()))


def looks_of(confirmation: Confirmation, finalists: int) -> list[Look]:
    """When a confirmation judges its evidence."""
    most = confirmation.most_seeds or math.ceil(1.5 * confirmation.seeds)
    return plan_looks(confirmation.seeds, most, finalists, confirmation.level, early=confirmation.early_stop)


# --- judging --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Judgement:
    """A verdict as it stands, and how many seeds there should be in all before the next; None if it stands for good."""

    verdict: Verdict
    seeds: int | None


def judge(
    baseline: Replicates,
    finalists: Sequence[Entrant],
    seeds: Sequence[int],
    objective: ObjectiveInfo,
    confirmation: Confirmation,
) -> Judgement:
    """Judge the evidence of a look.

    Args:
        finalists: at least one, in order of the search's ranking.
        seeds: of all replicates so far, in order.
    """
    looks = looks_of(confirmation, len(finalists))
    place = next((i for i, look in enumerate(looks) if look.seeds >= len(seeds)), len(looks) - 1)
    look, sign = looks[place], 1.0 if objective.direction is Direction.maximize else -1.0
    compared = {
        part: [_contest(one, baseline, f"{part}_{objective.metric}", sign, confirmation.level) for one in finalists]
        for part in ("validation", "test")
    }
    hopeless = _gives_up(looks, place, [contest.p for contest in compared["test"] if contest is not None])
    stopped: Stopped = "hopeless" if hopeless else "early" if look.early else None
    judged = {
        part: _differences(contests, f"{part}_{objective.metric}", look, confirmation.level, stopped)
        for part, contests in compared.items()
    }
    arms = [
        Finalist(**_arm(one.own, objective.metric, sign), validation=validation, test=test)
        for one, validation, test in zip(finalists, judged["validation"], judged["test"], strict=True)
    ]
    chosen, bar = _chosen(arms, sign), Arm(**_arm(baseline, objective.metric, sign))
    more = _next_seeds(looks, place, chosen, [contest.p for contest in compared["test"] if contest is not None])
    verdict = Verdict(
        outcome=chosen.test.outcome if chosen.test else Outcome.no_difference,
        words=_sentence(chosen, bar),
        chosen=chosen.trial,
        winner=_winner(chosen, bar).trial,
        metric=objective.metric,
        level=confirmation.level,
        alpha=look.alpha,
        seeds=list(seeds),
        ending=_ending(look, confirmation),
        baseline=bar,
        finalists=arms,
    )
    return Judgement(verdict, more)


def nothing_to_compare(baseline: Trial, objective: ObjectiveInfo, confirmation: Confirmation) -> Verdict:
    """The verdict on a search that completed nothing but the baseline."""
    return Verdict(
        outcome=Outcome.no_difference,
        words="no difference shown: the search completed no activation but the baseline's",
        chosen=None,
        winner=baseline.number,
        metric=objective.metric,
        level=confirmation.level,
        alpha=1 - confirmation.level,
        seeds=[],
        ending=Ending.nothing_to_compare,
        baseline=Arm(**_arm(Replicates(baseline, {}), objective.metric, 1.0)),
        finalists=[],
    )


@dataclass(frozen=True)
class _Pair:
    """A comparison with one arm of the baseline; the means are over the seeds on which both finished."""

    against: Literal["own", "twin"]
    comparison: Comparison
    baseline: float | None
    candidate: float | None


@dataclass(frozen=True)
class _Contest:
    """A finalist against the baseline, with one arm or two.

    Args:
        nearest: the comparison nearer to a tie: what may be claimed when both are shown.
        weakest: the one with the largest p value, which keeps them from being shown.
        p: the p value that decides; `p_early` at an early look.
    """

    nearest: _Pair
    weakest: _Pair
    p: float
    p_early: float


def _contest(entrant: Entrant, baseline: Replicates, metric: str, sign: float, level: float) -> _Contest | None:
    """None where a comparison has fewer than two seeds."""
    pairs = [_pair("own", entrant.own, baseline, metric=metric, sign=sign, level=level)]
    if entrant.twin is not None:
        pairs.append(_pair("twin", entrant.own, entrant.twin, metric=metric, sign=sign, level=level))
    found = [pair for pair in pairs if pair is not None]
    if len(found) < len(pairs):
        return None
    found.sort(key=_lead)
    loses = all(pair.comparison.leaning < 0 for pair in found)
    agree = loses or all(pair.comparison.leaning > 0 for pair in found)
    # Better (or worse) than both arms: the union of the hypotheses to reject, so the largest p decides, uncorrected.
    weakest = max(found, key=lambda pair: pair.comparison.p)
    early = max(pair.comparison.p_early for pair in found)
    nearest = found[-1] if loses else found[0]
    return _Contest(nearest, weakest, *((weakest.comparison.p, early) if agree else (1.0, 1.0)))


def _lead(pair: _Pair) -> tuple[int, float]:
    """How far the finalist is ahead: by who failed more, then by the difference."""
    found = pair.comparison
    ahead = found.baseline_failed - found.candidate_failed
    return ahead, found.leaning if found.difference is None else found.difference


def _pair(
    against: Literal["own", "twin"], one: Replicates, other: Replicates, *, metric: str, sign: float, level: float
) -> _Pair | None:
    """Compares over the seeds on which both finished or failed by themselves; None where these are fewer than 2."""
    ours, theirs = _values(one, metric), _values(other, metric)
    shared = sorted(ours.keys() & theirs.keys())
    if len(shared) < 2:
        return None
    a, b = [ours[seed] for seed in shared], [theirs[seed] for seed in shared]
    comparison = compare([sign * value for value in a], [sign * value for value in b], level=level)
    both = [(x, y) for x, y in zip(a, b, strict=True) if not math.isnan(x + y)]
    means = [fmean(side) for side in zip(*both, strict=True)] if both else [None, None]
    return _Pair(against, comparison, candidate=means[0], baseline=means[1])


def _values(one: Replicates, metric: str) -> dict[int, float]:
    """By seed; NaN where training failed by itself or ended in a value that is not finite."""
    found = {replicate: metrics.get(metric) for replicate, metrics in one.metrics.items()}
    values = {r: float(v) for r, v in found.items() if isinstance(v, int | float)}
    finished = {r: v if math.isfinite(v) else math.nan for r, v in values.items()}
    return finished | dict.fromkeys(one.failed, math.nan)


def _differences(
    contests: Sequence[_Contest | None], metric: str, look: Look, level: float, stopped: Stopped
) -> list[Difference | None]:
    # A finalist without a comparison still counts for the correction: it was one of those that might have won.
    deciding = [1.0 if one is None else one.p_early if look.early else one.p for one in contests]
    corrected = holm(deciding)
    bars = [_bar(p, deciding, look) for p in deciding]
    return [
        None
        if contest is None
        else _difference(contest, p, bar, metric=metric, alpha=look.alpha, level=level, stopped=stopped)
        for contest, p, bar in zip(contests, corrected, bars, strict=True)
    ]


def _bar(p: float, deciding: Sequence[float], look: Look) -> float:
    """The t test's p, uncorrected, up to which a difference would have been told, the others being what they are."""
    return look.alpha / sum(other >= p for other in deciding) / (SLACK if look.early else 1.0)


def _difference(
    contest: _Contest, corrected: float, bar: float, *, metric: str, alpha: float, level: float, stopped: Stopped
) -> Difference:
    outcome = decide(contest.nearest.comparison, corrected, alpha)
    pair = contest.nearest if outcome is not Outcome.no_difference else contest.weakest
    found = pair.comparison
    unit = metric.removeprefix("validation_").removeprefix("test_")
    worth = None if outcome is Outcome.no_difference else told_difference(found, bar, level, unit)
    return Difference(
        metric=metric,
        against=pair.against,
        pairs=found.pairs,
        failed=found.candidate_failed,
        baseline_failed=found.baseline_failed,
        baseline=pair.baseline,
        candidate=pair.candidate,
        difference=found.difference,
        median=found.median,
        sd=found.sd,
        interval=_seen(unit, found),
        bootstrap=None if found.bootstrap is None else Interval(low=found.bootstrap[0], high=found.bootstrap[1]),
        told=worth,
        p_t=found.p_t,
        p_wilcoxon=found.p_wilcoxon,
        p_sign_flip=found.p_sign_flip,
        p_corrected=corrected,
        wins=found.wins,
        losses=found.losses,
        ties=found.ties,
        outcome=outcome,
        words=in_words(found, outcome, unit, level, stopped=stopped, told=worth),
    )


def _seen(metric: str, found: Comparison) -> Interval | None:
    if found.interval is None or found.difference is None:
        return None
    low, high = difference_within_range(metric, found.difference, *found.interval)
    return Interval(low=low, high=high)


def _chosen(arms: Sequence[Finalist], sign: float) -> Finalist:
    """The finalist with the best mean on the validation part; those that failed on fewer seeds come first."""

    def merit(arm: Finalist) -> tuple[int, float]:
        found = arm.results.get("validation")
        return -arm.failed, -math.inf if found is None else sign * found.mean

    return max(arms, key=merit)


def _winner(chosen: Finalist, baseline: Arm) -> Arm:
    """The arm to use: what is better, else the baseline unless it failed on more seeds than the chosen finalist."""
    if chosen.test is None or chosen.test.outcome is Outcome.worse:
        return baseline if baseline.completed or not chosen.completed else chosen
    return chosen if chosen.test.outcome is Outcome.better or baseline.failed > chosen.failed else baseline


def _next_seeds(looks: Sequence[Look], place: int, chosen: Finalist, tests: Sequence[float]) -> int | None:
    """Seeds of the next look, or None when the answer is clear or no look is left."""
    if place == len(looks) - 1 or (chosen.test and chosen.test.outcome is not Outcome.no_difference):
        return None
    if place < _planned(looks):
        return None if _gives_up(looks, place, tests) else looks[place + 1].seeds
    return looks[place + 1].seeds if is_open(tests) else None


def _planned(looks: Sequence[Look]) -> int:
    """The place of the look at the planned number of seeds: the one with the largest share of the level."""
    return max(range(len(looks)), key=lambda place: looks[place].alpha)


def _gives_up(looks: Sequence[Look], place: int, tests: Sequence[float]) -> bool:
    """Whether a look before the planned one ends it, as no difference is in sight."""
    return place < _planned(looks) and is_hopeless(tests)


def _ending(look: Look, confirmation: Confirmation) -> Ending:
    if look.seeds < confirmation.seeds:
        return Ending.early
    return Ending.planned if look.seeds == confirmation.seeds else Ending.extended


def _sentence(chosen: Finalist, baseline: Arm) -> str:
    name = f"{chosen.family} (trial {chosen.trial})"
    if chosen.test is None:
        return f"no difference shown: {name} and {baseline.family} share fewer than two seeds that can be compared"
    twin = " at the same settings" if chosen.test.against == "twin" else ""
    words = f"{name} against {baseline.family}{twin} on test data: {chosen.test.words}"
    if _winner(chosen, baseline) is chosen and chosen.test.outcome is Outcome.no_difference:
        seeds = chosen.completed + chosen.failed
        words += f"; use {chosen.family}: {completion(seeds, chosen.failed, baseline.failed)}"
    return words


def _arm(one: Replicates, metric: str, sign: float) -> dict[str, Any]:
    trial = one.trial
    parts = {part: _values(one, f"{part}_{metric}").values() for part in ("validation", "test")}
    spreads = {part: spread(values, sign) for part, values in parts.items()}
    return {
        "trial_id": trial.id,
        "trial": trial.number,
        "family": trial.family or "",
        "activations": trial.activations,
        "parameters": trial.parameters,
        "completed": len(one.metrics),
        "failed": len(one.failed),
        "results": {part: found for part, found in spreads.items() if found is not None},
        "costs": _costs(list(one.metrics.values())),
    }


def _costs(measured: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    found = {str(name): [m[name] for m in measured if _is_number(m.get(name))] for name in sorted(_COSTS)}
    return {name: fmean(values) for name, values in found.items() if values}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
