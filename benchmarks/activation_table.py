"""A frozen table of activations trained to the end, for three (architecture, task) pairs and several seeds.

Made once with the cohort engine and kept in the user's cache folder, a file a pair and seed, so that an interrupted
build goes on where it stopped. `python benchmarks/activation_table.py [--quick]` builds it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import torch
from scipy.stats import qmc

from actsearch.activations import families, resolve
from actsearch.schemas import ActivationSpec, Training
from actsearch.tasks import get_task, load
from actsearch.training import Candidate, Cohort, Plan, train

FULL_SEEDS, QUICK_SEEDS, CHECK_SEEDS = 10, 4, 5
# Entries of a family by the number of its searched hyperparameters; 3 stands for three and more.
_ENTRIES = {0: 1, 1: 7, 2: 13, 3: 19}
_COHORT = 64


@dataclass(frozen=True)
class Pair:
    """An architecture with a task, and how it is trained; `sign` turns its metric into a score to be maximised."""

    name: str
    architecture: str
    parameters: Mapping[str, Any]
    task: str
    task_parameters: Mapping[str, Any]
    training: Training
    sign: int


PAIRS = (
    Pair("mlp6_mnist1d", "mlp", {"depth": 6, "width": 32}, "mnist1d", {},
         Training(epochs=8, batch_size=128, learning_rate=3e-3), 1),
    Pair("mlp12_digits", "mlp", {"depth": 12, "width": 32}, "digits", {},
         Training(epochs=8, batch_size=64, learning_rate=1e-3), 1),
    Pair("mlp4_multi_sine", "mlp", {"depth": 4, "width": 32}, "multi_sine", {"samples": 512},
         Training(epochs=50, batch_size=64, learning_rate=3e-3), -1),
)  # fmt: skip
# To check on what was designed on the pairs above.
CHECKS = (
    Pair("convnet_digits", "convnet", {"channels": 6, "layers": 2}, "digits", {},
         Training(epochs=6, batch_size=64, learning_rate=3e-3), 1),
    Pair("mlp6_bn_mnist1d", "mlp", {"depth": 6, "width": 32, "norm": "batch"}, "mnist1d", {},
         Training(epochs=6, batch_size=128, learning_rate=3e-3), 1),
)  # fmt: skip


@dataclass(frozen=True)
class Table:
    """Scores of activations in one pair.

    Args:
        entries: the activations, E of them.
        scores: (E, S), one column a seed, larger is better; a failed training has the table's worst score.
    """

    pair: str
    entries: Sequence[ActivationSpec]
    scores: np.ndarray

    @property
    def true(self) -> np.ndarray:
        """(E,) means over the seeds."""
        return self.scores.mean(1)


def entries() -> list[ActivationSpec]:
    """The table's activations, frozen when the table is first made: later families do not change it."""
    path = cache() / "entries.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([spec.model_dump() for spec in _chosen()]))
    return [ActivationSpec.model_validate(spec) for spec in json.loads(path.read_text())]


def _chosen() -> list[ActivationSpec]:
    """Each family's default, and a Sobol sequence over its hyperparameters' ranges."""
    found: list[ActivationSpec] = []
    for name, family in families().items():
        searched = [(n, p) for n, p in family.parameters.items() if p.searched]
        found.append(resolve(ActivationSpec(family=name)))
        count = _ENTRIES[min(3, len(searched))] - 1
        if count < 1:
            continue
        points = qmc.Sobol(len(searched), seed=0).random(1 << (count - 1).bit_length())[:count]
        for point in points:
            values = {n: _at(p, u) for (n, p), u in zip(searched, point, strict=True)}
            found.append(resolve(ActivationSpec(family=name, parameters=values)))
    return found


def _at(parameter: Any, share: float) -> float:
    low, high = parameter.low, parameter.high
    if parameter.log:
        return float(min(high, max(low, low * (high / low) ** share)))
    return float(low + share * (high - low))


def table(pair: Pair, seeds: int) -> Table:
    """The table of a pair, from the cache or built now."""
    chosen = entries()
    columns = [_column(pair, chosen, seed, cache()) for seed in range(seeds)]
    scores = np.stack(columns, 1)
    return Table(pair.name, chosen, np.where(np.isfinite(scores), scores, np.nanmin(scores)))


def cache() -> Path:
    """The folder of the tables."""
    return platformdirs.user_cache_path("actsearch") / "search_quality"


def _column(pair: Pair, chosen: Sequence[ActivationSpec], seed: int, folder: Path) -> np.ndarray:
    """(E,) scores of one seed; NaN where training failed."""
    # Of what is said, not of defaults that later versions add: a table stays valid while what it trains stays.
    said = [[s.family, s.parameters, s.learned] for s in chosen]
    how = [pair.training.model_dump(exclude_unset=True), pair.parameters, pair.task, pair.task_parameters]
    plan = json.dumps([said, how])
    path = folder / f"{pair.name}-{hashlib.sha256(plan.encode()).hexdigest()[:12]}-{seed}.npy"
    if not path.exists():
        started = time.monotonic()
        scores = _trained(pair, chosen, seed)
        folder.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}.npy")
        np.save(draft, scores)
        draft.replace(path)
        print(f"{pair.name} seed {seed}: {len(chosen)} trained in {time.monotonic() - started:.0f} s", flush=True)
    return np.load(path)


def _trained(pair: Pair, chosen: Sequence[ActivationSpec], seed: int) -> np.ndarray:
    task, dataset = get_task(pair.task), load(pair.task, pair.task_parameters)
    training = pair.training.model_copy(update={"seed": seed})
    metric = f"validation_{task.metric}"
    scores: list[float] = []
    for start in range(0, len(chosen), _COHORT):
        candidates = [
            Candidate({"network": spec}, training.learning_rate, training.weight_decay, training.momentum)
            for spec in chosen[start : start + _COHORT]
        ]
        cohort = Cohort(pair.architecture, pair.parameters, candidates)
        plan = Plan(training, report_every=training.epochs)
        outcomes = train(cohort, task, dataset, plan, lambda rung: [True] * len(rung.positions))
        scores += [pair.sign * float(o.metrics[metric]) if o.state == "complete" else np.nan for o in outcomes]  # type: ignore[arg-type]
    return np.array(scores)


def main() -> None:
    """Build what is missing, seed by seed, so that all pairs grow together."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer seeds")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for seed in range(QUICK_SEEDS if arguments.quick else FULL_SEEDS):
        for pair in PAIRS:
            _column(pair, entries(), seed, cache())
    print(json.dumps({"entries": len(entries()), "pairs": len(PAIRS), "folder": str(cache())}))


if __name__ == "__main__":
    main()
