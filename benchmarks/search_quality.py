"""How many trainings a sampler needs to find an activation among the best 1 % of a table.

Every sampler is replayed on frozen tables (`activation_table`) of three (architecture, task) pairs. An evaluation gives
the score of one seed drawn at random; an activation's true score is the mean of all its seeds.

- `shape` chooses among the table's activations. `tpe` and `gp` propose anywhere in the same space (families, with their
  ranges) and get the nearest activation of the same family. In their favour, evaluations count only the first time an
  activation of the table is met: what they propose beside it again is free.
- `random` is exact: the median number of draws without replacement. `random_sampler`, Optuna's, is replayed too.
- `shape_warm` begins with two earlier jobs, one for each of the other pairs: 200 activations at random, a seed each.
- `--check` searches two further pairs instead, to see what was designed on the three; `shape_warm` begins with those.

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
import torch
from activation_table import CHECK_SEEDS, CHECKS, FULL_SEEDS, PAIRS, QUICK_SEEDS, Table, entries, table
from optuna.samplers import BaseSampler
from threadpoolctl import threadpool_limits

from actsearch.activations import get_family
from actsearch.schemas import JobRequest
from actsearch.schemas.samplers import GpSampler, RandomSampler, TpeSampler
from actsearch.space import Space, compile_space, suggest
from actsearch.study import make_sampler
from actsearch.study.proposing.shape import Observation, ShapeSampler, Source
from actsearch.study.proposing.shape.layout import to_share

TOP = 0.01
LIMIT = 150
CURVE = (5, 10, 20, 40, 80)
_EARLIER = 200


ALL = PAIRS + CHECKS


@cache
def table_of(quick: bool, pair: int) -> Table:
    """The table of one of `ALL`."""
    seeds = QUICK_SEEDS if quick else FULL_SEEDS
    return table(ALL[pair], seeds if pair < len(PAIRS) else CHECK_SEEDS)


@cache
def the_space() -> Space:
    """All families of the tables."""
    return _space({"families": list(dict.fromkeys(spec.family for spec in entries()))})


def _space(said: Mapping[str, Any]) -> Space:
    request = {"task": "digits", "baseline": {"family": "relu"}, "space": said}
    return compile_space(JobRequest.model_validate(request), ["network"], [])


@cache
def points() -> list[dict[str, Any]]:
    """The tables' activations by Optuna's names."""
    return [_point(spec.family, spec.parameters) for spec in entries()]


def _point(family: str, values: Mapping[str, float]) -> dict[str, Any]:
    searched = [n for n, p in get_family(family).parameters.items() if p.searched]
    return {"family": family, **{f"{family}.{n}": values[n] for n in searched}}


def nearest(parameters: Mapping[str, Any]) -> int:
    """The table's activation of the same family whose hyperparameters are nearest, in units of their ranges."""
    family = the_space().families[parameters["family"]]
    names = {f"{family.name}.{n}": d for n, d in family.searched.items()}
    wanted = np.array([to_share(parameters[n], d) for n, d in names.items()])
    places = [i for i, point in enumerate(points()) if point["family"] == family.name]
    rows = [[to_share(points()[i][n], d) for n, d in names.items()] for i in places]
    return places[int(((np.array(rows).reshape(len(places), -1) - wanted) ** 2).sum(1).argmin())]


def sampler_for(name: str, quick: bool, pair: int, seed: int) -> BaseSampler:
    if not name.startswith("shape"):
        options = {"random_sampler": RandomSampler(), "tpe": TpeSampler(), "gp": GpSampler()}[name]
        return make_sampler(options, seed, 0)
    earlier = [i for i in range(len(PAIRS)) if i != pair] if name == "shape_warm" else []
    sources = [_earlier_job(quick, i, seed) for i in earlier]
    return ShapeSampler(seed, the_space(), sources=sources, pool_of=lambda *_: points())


def _earlier_job(quick: bool, pair: int, seed: int) -> Source:
    rng = np.random.default_rng((seed, pair, 1))
    scores = table_of(quick, pair).scores
    chosen = rng.choice(len(scores), min(_EARLIER, len(scores)), replace=False)
    found = [Observation(points()[i], float(scores[i, rng.integers(scores.shape[1])])) for i in chosen]
    return Source(ALL[pair].name, found)


def replay(name: str, quick: bool, pair: int, seed: int) -> dict[str, Any]:
    """One search until the top is met and the curve is complete, or for LIMIT evaluations."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    chosen = table_of(quick, pair)
    true, rng = chosen.true, np.random.default_rng((seed, pair))
    top = set(np.argsort(-true)[: max(1, round(TOP * len(true)))].tolist())
    study = optuna.create_study(direction="maximize", sampler=sampler_for(name, quick, pair, seed))
    seen: dict[int, float] = {}
    hit, curve = None, []
    scale = true.max() - np.median(true)
    asked = 0
    while len(seen) < (LIMIT if hit is None else CURVE[-1]) and asked < 3 * LIMIT:
        trial = study.ask()
        suggest(trial, the_space())
        place = nearest(trial.params)
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
    space = _space({"training": {"learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}}})
    rng = np.random.default_rng(0)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
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
    parser.add_argument("--quick", action="store_true", help="fewer seeds and repeats; about 15 minutes")
    parser.add_argument("--check", action="store_true", help="search two further pairs")
    parser.add_argument("--seeds", type=int, help="repeats; 50, or 20 with --quick")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--samplers", nargs="+", default=["random_sampler", "tpe", "gp", "shape", "shape_warm"])
    arguments = parser.parse_args()
    repeats = arguments.seeds or (20 if arguments.quick else 50)
    pairs = range(len(PAIRS), len(ALL)) if arguments.check else range(len(PAIRS))
    count = len(entries())
    found: dict[str, float] = {"random": random_median(count, max(1, round(TOP * count)))}
    print(f"{count} activations, {repeats} repeats; evaluations to the top 1 % (quartiles), then regret")
    print(f"random, exact: {found['random']:.0f}", flush=True)
    with ProcessPoolExecutor(arguments.jobs, initializer=_one_thread) as pool:
        list(pool.map(_build, [arguments.quick] * len(pairs), pairs))
        for name in arguments.samplers:
            started = time.monotonic()
            per_pair = {
                ALL[i].name: list(
                    pool.map(replay, *zip(*[(name, arguments.quick, i, s) for s in range(repeats)], strict=True))
                )
                for i in pairs
            }
            found[name] = statistics.median(r["evaluations"] for results in per_pair.values() for r in results)
            _show(name, per_pair, time.monotonic() - started)
    found.pop("random_sampler", None)  # `random` is exact, and better
    _one_thread()
    for cohort in (10, 64):
        print(f"a proposal of shape in a cohort of {cohort}: {proposal_milliseconds(cohort):.2f} ms of processor time")
    print(json.dumps({"top1_evals": found}))


def _one_thread() -> None:
    """As in the workers; idle threads of small matrix products would wait busily, too."""
    torch.set_num_threads(1)
    threadpool_limits(1)


def _build(quick: bool, pair: int) -> None:
    table_of(quick, pair)


def _show(name: str, per_pair: Mapping[str, Sequence[Mapping[str, Any]]], seconds: float) -> None:
    for pair, results in per_pair.items():
        evaluations = np.array([r["evaluations"] for r in results])
        quartiles = "/".join(f"{q:.0f}" for q in np.quantile(evaluations, (0.25, 0.5, 0.75)))
        regret = np.median([r["curve"] for r in results], 0)
        curve = ", ".join(f"{n}: {value:.3f}" for n, value in zip(CURVE, regret, strict=True))
        print(f"{name:15s} {pair:16s} {quartiles:>12s}   regret at {curve}", flush=True)
    print(f"{name:15s} took {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
