"""A whole search through the service against plain Optuna in a loop that trains the same trials.

200 trials of an mlp on mnist1d, pruned by Hyperband, from submit to last trial through API, queue, workers and
database. Then one process does what a user would write: Optuna (in memory, TPE, Hyperband) proposes the same parameters
and plain PyTorch trains each trial, with as many threads as cores, for as many epochs as the service trained it.

    python benchmarks/service.py [--quick] [--trials 200] [--epochs 27]

The last line is JSON: {"wall_ratio": seconds of the loop / seconds of the service, ...}.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna.pruners import HyperbandPruner
from optuna.samplers import TPESampler
from torch import Tensor, nn
from torch.nn import functional as F

from actsearch import Client
from actsearch.activations import get_family
from actsearch.architectures import InputSpec
from actsearch.cli.stack import running
from actsearch.schemas import ActivationSpec, Trial
from actsearch.settings import Settings
from actsearch.tasks import load
from actsearch.training import build_module
from actsearch.training.build import site_activations

CORES = len(os.sched_getaffinity(0))
FAMILIES = ["relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "softplus", "mish", "selu", "hardswish"]
NETWORK = {"depth": 3, "width": 32}
BATCH = 64
NATIVE: dict[str, Callable[..., nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "mish": nn.Mish,
    "selu": nn.SELU,
    "hardswish": nn.Hardswish,
}


def through_the_service(trials: int, epochs: int, directory: Path) -> tuple[float, list[Trial]]:
    """Seconds from submit to completion, and the trials with their learning curves."""
    settings = Settings(data_dir=directory, database_url=None, host="127.0.0.1", port=0, url="", devices="auto")
    with running(settings, logs=directory) as stack, Client(stack.url) as client:
        start = time.perf_counter()
        job = client.submit(
            {
                "task": "mnist1d",
                "architecture": {"name": "mlp", "parameters": NETWORK},
                "space": {
                    "families": FAMILIES,
                    "training": {"learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}},
                },
                "training": {"epochs": epochs, "batch_size": BATCH, "optimizer": "adamw"},
                "budget": {"trials": trials},
                "pruner": "hyperband",
                "confirmation": "off",  # the loop trains no replicates either
            }
        )
        done = job.wait(timeout=1800, poll=0.1)
        seconds = time.perf_counter() - start
        if done.state != "completed":
            raise SystemExit(f"the job is {done.state}: {done.reason}")
        return seconds, [client.trial(trial.id) for trial in job.trials()]


def in_a_loop(trials: Sequence[Trial], epochs: int) -> float:
    """Seconds that plain Optuna and plain PyTorch take for the same trials and epochs."""
    torch.set_num_threads(CORES)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    start = time.perf_counter()
    study = optuna.create_study(
        direction="maximize",
        sampler=TPESampler(multivariate=True, group=True),
        pruner=HyperbandPruner(min_resource=1, max_resource=epochs),
    )
    for trial in trials:
        study.enqueue_trial(trial.parameters)
    remaining = iter(trials)
    study.optimize(lambda trial: objective(trial, next(remaining), epochs), n_trials=len(trials))
    return time.perf_counter() - start


def objective(trial: optuna.Trial, told: Trial, epochs: int) -> float:
    """Train what the service trained, for as long."""
    family = trial.suggest_categorical("family", FAMILIES)
    rate = trial.suggest_float("training.learning_rate", 1e-4, 1e-1, log=True)
    for name, parameter in get_family(family).parameters.items():
        if parameter.searched:
            trial.suggest_float(f"{family}.{name}", parameter.low, parameter.high, log=parameter.log)
    dataset = load("mnist1d")
    module = network(told.activations["network"], InputSpec(dataset.input_kind, dataset.input_shape, dataset.outputs))
    optimiser = torch.optim.AdamW(module.parameters(), lr=rate, weight_decay=0.0)
    accuracy, lasted = 0.0, max((point.epoch for point in told.curve), default=epochs)
    for epoch in range(1, lasted + 1):
        train_epoch(module, optimiser, dataset.train)
        accuracy = evaluate(module, dataset.validation)
        trial.report(accuracy, epoch)
        trial.should_prune()  # the service has decided, but asking is part of the work
    if lasted < epochs:
        raise optuna.TrialPruned
    return accuracy


def network(activation: ActivationSpec, spec: InputSpec) -> nn.Module:
    """The network with torch's own activation where there is one."""
    module = build_module("mlp", NETWORK, spec, {"network": activation}, 0)
    native = NATIVE.get(activation.family)
    if native is not None:
        for path in site_activations(module):
            module.set_submodule(path, native(*activation.parameters.values()))
    return module


def train_epoch(module: nn.Module, optimiser: torch.optim.Optimizer, part: Sequence[Tensor]) -> None:
    """One pass over the training part."""
    module.train()
    order = torch.randperm(len(part[0]))
    for start in range(0, len(order) - BATCH + 1, BATCH):
        at = order[start : start + BATCH]
        optimiser.zero_grad()
        F.cross_entropy(module(part[0][at]), part[1][at]).backward()
        optimiser.step()


@torch.no_grad()
def evaluate(module: nn.Module, part: Sequence[Tensor]) -> float:
    """Accuracy on a part."""
    module.eval()
    return float((module(part[0]).argmax(-1) == part[1]).float().mean())


def main() -> None:
    """Measure both, JSON last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer epochs, about a minute")
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--epochs", type=int)
    given = parser.parse_args()
    epochs = given.epochs or (9 if given.quick else 27)
    with tempfile.TemporaryDirectory(prefix="actsearch-bench-") as directory:
        service, trials = through_the_service(given.trials, epochs, Path(directory))
    trained = sum(len(trial.curve) for trial in trials)
    states = {state: sum(trial.state == state for trial in trials) for state in ("complete", "pruned", "failed")}
    print(f"service: {len(trials)} trials ({states}), {trained} epochs in {service:.1f} s", flush=True)
    loop = in_a_loop(trials, epochs)
    print(f"loop: the same in {loop:.1f} s", flush=True)
    figures: dict[str, Any] = {
        "wall_ratio": round(loop / service, 2),
        "device": f"{CORES} CPU cores",
        "seconds_service": round(service, 1),
        "seconds_loop": round(loop, 1),
        "trials": len(trials),
        "epochs": trained,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
