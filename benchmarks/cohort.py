"""Cohorts against what a user would do instead: trial-steps a second on the same networks, data and batches.

(a) `cohort`: device processes as the worker starts them on this machine, each training a cohort as large as the engine
    picks (at most K).
(b) `sequential`: one trial after another in plain PyTorch, with all cores as threads.
(c) `processes`: as many single-threaded processes as cores, each one trial after another in plain PyTorch.

They take turns, a while each, several rounds; figures are medians over rounds, ratios medians of each
round's own ratio. (b) and (c) use torch.nn's own activations. On a GPU (c) is 4 processes that share it.

    python benchmarks/cohort.py [--quick] [--models mlp,convnet] [--rounds 5] [--seconds 2] [--precision bfloat16]

The last line is JSON: {"device": ..., "rows": [{"model", "width", "k", "ratio_sequential", "ratio_processes", ...}]}.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from itertools import count, cycle
from multiprocessing.connection import Connection
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from actsearch.architectures import InputSpec
from actsearch.processor import blas_environment
from actsearch.schemas import ActivationSpec, Precision, Training
from actsearch.tasks import get_task, load
from actsearch.training import Candidate, build_module, cohort_size, keep_freed_memory
from actsearch.training.batches import batches, on_device
from actsearch.training.build import site_activations
from actsearch.training.loop import new_trials
from actsearch.training.noise import seed_noise
from actsearch.training.precision import full_float32

CORES = len(os.sched_getaffinity(0))
NATIVE = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "softplus": nn.Softplus,
    "mish": nn.Mish,
}
BATCH = 64
TRAINING = Training(batch_size=BATCH, optimizer="sgd", learning_rate=0.01)


@dataclass(frozen=True)
class Row:
    """A network on a task, and the largest cohort allowed."""

    model: str
    width: int
    k: int
    task: str
    architecture: str
    parameters: Mapping[str, Any]
    precision: Precision = "float32"


def all_rows(*, quick: bool, device: str) -> list[Row]:
    """What is measured; on a CPU deep networks are trained one by one, however many there are."""
    deep = [8] if device == "cpu" else [8, 64]
    sizes = [64] if quick else [8, 32, 64, 128]
    rows = [
        Row("mlp", width, k, "digits", "mlp", {"depth": 3, "width": width}) for width in (32, 64, 256) for k in sizes
    ]
    rows += [Row("convnet", 8, k, "digits", "convnet", {"channels": 8}) for k in sizes]
    if not quick:
        rows += [Row("resnet", 16, k, "digits", "resnet", {"blocks": 3}) for k in deep]
        rows += [Row("vit", 32, k, "digits", "vit", {}) for k in deep]
        rows += [Row("transformer_lm", 32, k, "text", "transformer_lm", {}) for k in deep]
    return rows


# --- the contenders -------------------------------------------------------------------------------


def cohort_steps(row: Row, device: str) -> Iterator[int]:
    """Steps of a cohort of the size that the engine picks; yields how many trials took one."""
    task, dataset = get_task(row.task), load(row.task)
    spec = InputSpec(dataset.input_kind, dataset.input_shape, dataset.outputs)
    size = engine_size(row, device)
    names = [list(NATIVE)[place * len(NATIVE) // size] for place in range(size)]
    if size == 1:
        names = list(NATIVE)
    for start in cycle(range(0, len(names), size)):
        candidates = [
            Candidate({"network": ActivationSpec(family=name)}, 0.01 * (1 + place / 100), 0.0, 0.9)
            for place, name in enumerate(names[start : start + size])
        ]
        modules = [build_module(row.architecture, row.parameters, spec, c.activations, 0) for c in candidates]
        training = TRAINING.model_copy(update={"precision": row.precision})
        trials = new_trials(modules, candidates, task, training, torch.device(device))
        train = on_device(dataset.train, torch.device(device))
        for epoch in count() if size > 1 else range(8):
            for batch in batches(train, BATCH, 0, epoch):
                seed_noise(epoch, torch.device(device))
                trials.step(batch, 1.0)
                yield size


def plain_steps(row: Row, device: str) -> Iterator[int]:
    """Steps of one trial after another as a user writes them; a trial has about 180 steps."""
    dataset = load(row.task)
    spec = InputSpec(dataset.input_kind, dataset.input_shape, dataset.outputs)
    x, y = on_device(dataset.train, torch.device(device))[:2]
    for name in cycle(NATIVE):
        everywhere = {"network": ActivationSpec(family=name)}
        module = build_module(row.architecture, row.parameters, spec, everywhere, 0)
        for path in site_activations(module):
            module.set_submodule(path, NATIVE[name]())
        module.to(device)
        optimiser = torch.optim.SGD(module.parameters(), lr=0.01, momentum=0.9)
        for _ in range(8):
            order = torch.randperm(len(x)).to(device)
            for start in range(0, len(x) - BATCH + 1, BATCH):
                at = order[start : start + BATCH]
                optimiser.zero_grad()
                with torch.autocast(x.device.type, torch.bfloat16, enabled=row.precision == "bfloat16"):
                    logits = module(x[at]).float()
                F.cross_entropy(logits.reshape(-1, logits.shape[-1]), y[at].reshape(-1)).backward()
                optimiser.step()
                yield 1


CONTENDERS = {"cohort": cohort_steps, "plain": plain_steps}


def rate(steps: Iterator[int], seconds: float, device: str) -> float:
    """Trial-steps a second over about `seconds`."""
    done, start = 0, time.perf_counter()
    while (now := time.perf_counter() - start) < seconds:
        done += next(steps)
        if device != "cpu":
            torch.cuda.synchronize()
    return done / now


# --- processes ------------------------------------------------------------------------------------


def serve(pipe: Connection, kind: str, device: str, threads: int) -> None:
    """A process that measures what it is told to."""
    torch.set_num_threads(threads)
    if kind == "cohort":
        keep_freed_memory()
        exact = ExitStack()  # as `train` does; plain PyTorch convolves in TF32 on a GPU, its default
        exact.enter_context(full_float32())
    known: tuple[Row, Iterator[int]] | None = None
    while True:
        try:
            row, seconds = pipe.recv()
        except EOFError:
            return
        if known is None or known[0] != row:
            known = (row, CONTENDERS[kind](row, device))
            rate(known[1], min(1.0, seconds), device)  # warm up
            pipe.send(None)
            pipe.recv()
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        size = engine_size(row, device) if kind == "cohort" else 1
        pipe.send((rate(known[1], seconds, device), memory, size))


@contextmanager
def as_a_worker_starts(threads: int) -> Iterator[None]:
    """Processes that are spawned meanwhile have the environment of a worker's device processes."""
    before = dict(os.environ)
    os.environ.update(blas_environment() | {"OPENBLAS_NUM_THREADS": str(threads)})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class Team:
    """Processes that work on the same row at the same time."""

    def __init__(self, kind: str, device: str, size: int, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipes = []
        self._row: Row | None = None
        with as_a_worker_starts(threads) if kind == "cohort" else nullcontext():
            for _ in range(size):
                here, there = context.Pipe()
                context.Process(target=serve, args=(there, kind, device, threads), daemon=True).start()
                self._pipes.append(here)

    def measure(self, row: Row, seconds: float) -> tuple[float, float, int]:
        """Trial-steps a second of all together, the peak memory of all in MiB, and how many trials each has at once."""
        for pipe in self._pipes:
            pipe.send((row, seconds))
        if row != self._row:
            self._row = row
            for pipe in self._pipes:
                pipe.recv()
            for pipe in self._pipes:
                pipe.send(True)
        found = [pipe.recv() for pipe in self._pipes]
        return sum(one for one, _, _ in found), sum(memory for _, memory, _ in found), found[0][2]


# --- the measurement ------------------------------------------------------------------------------


def measured(row: Row, teams: Mapping[str, Team], rounds: int, seconds: float, matmul: float) -> dict[str, Any]:
    """A row's figures."""
    taken = [{name: team.measure(row, seconds) for name, team in teams.items()} for _ in range(rounds)]
    steps = {name: statistics.median(one[name][0] for one in taken) for name in teams}
    ratios = {
        f"ratio_{name}": round(statistics.median(one["cohort"][0] / one[name][0] for one in taken), 2)
        for name in teams
        if name != "cohort"
    }
    return {key: value for key, value in asdict(row).items() if key in ("model", "width", "k", "precision")} | {
        "size": taken[0]["cohort"][2],
        **{f"steps_per_second_{name}": round(value) for name, value in steps.items()},
        **ratios,
        "fraction_of_matmul_rate": round(steps["cohort"] * flops(row) / matmul, 3),
        "peak_memory_mib": round(max(one["cohort"][1] for one in taken)),
    }


def engine_size(row: Row, device: str) -> int:
    """Trials that a device process trains together."""
    dataset = load(row.task)
    spec = InputSpec(dataset.input_kind, dataset.input_shape, dataset.outputs)
    settings = {"batch_size": BATCH, "device": device, "limit": row.k, "precision": row.precision}
    return cohort_size(row.architecture, row.parameters, spec, **settings)


def flops(row: Row) -> int:
    """Floating-point operations of matrix products and convolutions in a trial's step."""
    dataset = load(row.task)
    spec = InputSpec(dataset.input_kind, dataset.input_shape, dataset.outputs)
    relu = {"network": ActivationSpec(family="relu")}
    module = build_module(row.architecture, row.parameters, spec, relu, 0)
    with FlopCounterMode(display=False) as counter:
        module(dataset.train[0][:BATCH]).sum().backward()
    return int(counter.get_total_flops())


def matmul_rate(device: str) -> float:
    """Best floating-point operations a second of a large matrix product: torch's, on a CPU or NumPy's on all cores."""
    a, b = (torch.randn(2048, 2048, device=device) for _ in range(2))

    def product() -> None:
        (a @ b)[0, 0].item()  # waits for the device

    fastest = _shortest(product)
    if device == "cpu":
        with as_a_worker_starts(CORES), multiprocessing.get_context("spawn").Pool(1) as pool:
            fastest = min(fastest, pool.apply(_numpy_seconds))
    return 2 * 2048**3 / fastest


def _numpy_seconds() -> float:
    a, b = (torch.randn(2048, 2048).numpy() for _ in range(2))
    return _shortest(lambda: a @ b)


def _shortest(work: Callable[[], object]) -> float:
    def seconds() -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    return min(seconds() for _ in range(8))


def device_name() -> str:
    """The device that is measured."""
    return "cuda:0" if torch.cuda.is_available() else "cpu"


def main() -> None:
    """Measure, print a table, and JSON last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="about a minute")
    parser.add_argument("--models", default="", help="comma list; all if left out")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help="of all contenders")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument(
        "--cohort-processes", type=int, help="device processes of (a); the worker's default if left out"
    )
    given = parser.parse_args()
    rounds, seconds = given.rounds or (3 if given.quick else 5), given.seconds or (0.7 if given.quick else 2.0)
    device = device_name()
    processes = given.cohort_processes or default_processes(device)
    matmul = matmul_rate(device)  # before other processes start up beside it
    teams = {
        "cohort": Team("cohort", device, processes, max(1, CORES // processes)),
        "sequential": Team("plain", device, 1, CORES),
        "processes": Team("plain", device, CORES if device == "cpu" else 4, 1),
    }
    wanted = {name for name in given.models.split(",") if name}
    rows = []
    for row in all_rows(quick=given.quick, device=device):
        if not wanted or row.model in wanted:
            rows.append(measured(replace(row, precision=given.precision), teams, rounds, seconds, matmul))
            print(json.dumps(rows[-1]), flush=True)
    where = f"{CORES} CPU cores ({platform.machine()})" if device == "cpu" else torch.cuda.get_device_name()
    print(json.dumps({"device": where, "torch": torch.__version__, "matmul_gflops": round(matmul / 1e9), "rows": rows}))


def default_processes(device: str) -> int:
    """Device processes that a worker starts for `devices = auto`."""
    from actsearch_workers.pool import device_names

    return len(device_names("auto")) if device == "cpu" else 1


if __name__ == "__main__":
    main()
