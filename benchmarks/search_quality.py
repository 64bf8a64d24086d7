"""How many trainings a sampler needs to find an activation among the best 1 % of a table.

Every sampler is replayed on frozen tables (`activation_table`) of three (architecture, task) pairs. An evaluation gives
the score of one seed drawn at random; an activation's true score is the mean of all its seeds.

- `shape` chooses among the table's activations. `tpe` and `gp` propose anywhere in the same space (families, with their
  ranges) and get the nearest activation of the same family. In their favour, evaluations count only the first time an
  activation of the table is met: what they propose beside it again is free.
- `random` is exact: the median number of draws without replacement. `random_sampler`, Optuna's, is replayed too.
- `shape_warm` begins with two earlier jobs, one for each of the other pairs: 200 activations at random, a seed each.

Regret is the true score of the best table entry minus that of the one a search would name (the best value it saw), in
units of the distance from the table's best to its median.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import optuna
from activation_table import PAIRS, Table, table
from optuna.samplers import BaseSampler

from actsearch.activations import get_family
from actsearch.schemas import JobRequest
from actsearch.schemas.samplers import GpSampler, RandomSampler, TpeSampler
from actsearch.search import make_sampler
from actsearch.search.shape import Observation, ShapeSampler, Source
from actsearch.search.shape.layout import to_share
from actsearch.space import Space, compile_space, suggest

TOP = 0.01
LIMIT = 150
CURVE = (5, 10, 20, 40, 80)
_EARLIER = 200


@cache
def tables(quick: bool) -> list[Table]:
    return [table(pair, quick=quick) for pair in PAIRS]


@cache
def space_of(quick: bool) -> Space:
    names = list(dict.fromkeys(spec.family for spec in tables(quick)[0].entries))
    return compile_space(JobRequest.model_validate({"task": "digits", "space": {"families": names}}), ["network"], [])


@cache
def points_of(quick: bool) -> list[dict[str, Any]]:
    """The table's activations by Optuna's names."""
    return [_point(spec.family, spec.parameters) for spec in tables(quick)[0].entries]


def _point(family: str, values: Mapping[str, float]) -> dict[str, Any]:
    searched = [n for n, p in get_family(family).parameters.items() if p.searched]
    return {"family": family, **{f"{family}.{n}": values[n] for n in searched}}


def nearest(quick: bool, parameters: Mapping[str, Any]) -> int:
    """The table's activation of the same family whose hyperparameters are nearest, in units of their ranges."""
    family = space_of(quick).families[parameters["family"]]
    names = {f"{family.name}.{n}": d for n, d in family.searched.items()}
    wanted = np.array([to_share(parameters[n], d) for n, d in names.items()])
    places = [i for i, point in enumerate(points_of(quick)) if point["family"] == family.name]
    rows = [[to_share(points_of(quick)[i][n], d) for n, d in names.items()] for i in places]
    return places[int(((np.array(rows).reshape(len(places), -1) - wanted) ** 2).sum(1).argmin())]


def sampler_for(name: str, quick: bool, pair: int, seed: int) -> BaseSampler:
    if not name.startswith("shape"):
        options = {"random_sampler": RandomSampler(), "tpe": TpeSampler(), "gp": GpSampler()}[name]
        return make_sampler(options, seed, 0)
    earlier = [i for i in range(len(PAIRS)) if i != pair] if name == "shape_warm" else []
    sources = [_earlier_job(quick, i, seed) for i in earlier]
    return ShapeSampler(seed, space_of(quick), sources=sources, pool_of=lambda *_: points_of(quick))


def _earlier_job(quick: bool, pair: int, seed: int) -> Source:
    rng = np.random.default_rng((seed, pair, 1))
    scores = tables(quick)[pair].scores
    chosen = rng.choice(len(scores), min(_EARLIER, len(scores)), replace=False)
    found = [Observation(points_of(quick)[i], float(scores[i, rng.integers(scores.shape[1])])) for i in chosen]
    return Source(PAIRS[pair].name, found)


def replay(name: str, quick: bool, pair: int, seed: int) -> dict[str, Any]:
    """One search until the top is met and the curve is complete, or for LIMIT evaluations."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    chosen = tables(quick)[pair]
    true, rng = chosen.true, np.random.default_rng((seed, pair))
    top = set(np.argsort(-true)[: max(1, round(TOP * len(true)))].tolist())
    study = optuna.create_study(direction="maximize", sampler=sampler_for(name, quick, pair, seed))
    seen: dict[int, float] = {}
    hit, curve = None, []
    scale = true.max() - np.median(true)
    asked = 0
    while len(seen) < (LIMIT if hit is None else CURVE[-1]) and asked < 3 * LIMIT:
        trial = study.ask()
        suggest(trial, space_of(quick))
        place = nearest(quick, trial.params)
        value = float(chosen.scores[place, rng.integers(chosen.scores.shape[1])])
        study.tell(trial, value)
        asked += 1
        if place in seen:
            continue
        seen[place] = value
        if place in top and hit is None:
            hit = len(seen)
        curve.append(float((true.max() - true[max(seen, key=seen.__getitem__)]) / scale))
    return {"evaluations": hit or LIMIT + 1, "curve": [curve[min(n, len(curve)) - 1] for n in CURVE]}


def random_median(count: int, top: int) -> int:
    """The least number of draws without replacement that meet one of `top` among `count` in half of all cases."""
    return next(m for m in range(1, count) if 1 - math.comb(count - top, m) / math.comb(count, m) >= 0.5)


def proposal_milliseconds(cohort: int, trials: int = 1000) -> float:
    """Processor time of a proposal of `shape` in a cohort, at so many finished trials with a learning rate each."""
    learning_rate = {"low": 1e-4, "high": 1e-1, "log": True}
    request = JobRequest.model_validate({"task": "digits", "space": {"training": {"learning_rate": learning_rate}}})
    space, rng = compile_space(request, ["network"], []), np.random.default_rng(0)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(trials):
        trial = study.ask()
        suggest(trial, space)
        study.tell(trial, float(rng.random()))
    taken = []
    for seed in range(4):
        study.sampler = ShapeSampler(seed, space)
        asked = [study.ask() for _ in range(cohort)]
        started = time.process_time()
        for trial in asked:
            suggest(trial, space)
        taken.append(1000 * (time.process_time() - started) / cohort)
        for trial in asked:
            study.tell(trial, 0.5)
    return statistics.median(taken[1:])  # the first computes the features of all trials, once a process


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smaller table and fewer repeats; about 15 minutes")
    parser.add_argument("--seeds", type=int, help="repeats; 50, or 10 with --quick")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--samplers", nargs="+", default=["random_sampler", "tpe", "gp", "shape", "shape_warm"])
    arguments = parser.parse_args()
    seeds = arguments.seeds or (10 if arguments.quick else 50)
    count = len(tables(arguments.quick)[0].entries)
    found: dict[str, float] = {"random": random_median(count, max(1, round(TOP * count)))}
    print(f"{count} activations, {seeds} repeats; evaluations to the top 1 % (median, quartiles), then regret")
    print(f"random, exact: {found['random']:.0f}")
    with ProcessPoolExecutor(arguments.jobs) as pool:
        for name in arguments.samplers:
            started = time.monotonic()
            per_pair = [
                list(pool.map(replay, *zip(*[(name, arguments.quick, i, s) for s in range(seeds)], strict=True)))
                for i in range(len(PAIRS))
            ]
            found[name] = statistics.median(r["evaluations"] for results in per_pair for r in results)
            _show(name, per_pair, time.monotonic() - started)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    cost = {str(cohort): round(proposal_milliseconds(cohort), 2) for cohort in (10, 64)}
    print(json.dumps({"top1_evals": found, "shape_ms_a_proposal_by_cohort": cost}))


def _show(name: str, per_pair: Sequence[Sequence[Mapping[str, Any]]], seconds: float) -> None:
    for pair, results in zip(PAIRS, per_pair, strict=True):
        evaluations = np.array([r["evaluations"] for r in results])
        quartiles = "/".join(f"{q:.0f}" for q in np.quantile(evaluations, (0.25, 0.5, 0.75)))
        regret = np.median([r["curve"] for r in results], 0)
        curve = ", ".join(f"{n}: {value:.3f}" for n, value in zip(CURVE, regret, strict=True))
        print(f"{name:15s} {pair.name:16s} {quartiles:>12s}   regret at {curve}", flush=True)
    print(f"{name:15s} took {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
