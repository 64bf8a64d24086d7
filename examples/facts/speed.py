"""Fact 3: what an activation costs: forward and backward over 10^6 numbers, in milliseconds and as multiples of ReLU.

PyTorch's own activations; medians over many runs after a warm-up, with quartiles; on a CPU of one thread. In a whole
network matrix products dominate and the differences shrink; on a GPU they shrink further, because every elementwise
operation waits for memory.

    python examples/facts/speed.py [--quick] [--device cuda:0] [--output docs/facts/speed.svg]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

ACTIVATIONS = {
    "ReLU": nn.ReLU(),
    "leaky ReLU": nn.LeakyReLU(),
    "sigmoid": nn.Sigmoid(),
    "tanh": nn.Tanh(),
    "ELU": nn.ELU(),
    "softplus": nn.Softplus(),
    "GELU": nn.GELU(),
    "SiLU": nn.SiLU(),
    "Mish": nn.Mish(),
}
ELEMENTS = 10**6
WARM_UP = 5


class Times(NamedTuple):
    """Milliseconds: median and quartiles."""

    median: float
    low: float
    high: float


def one_pass(activation: nn.Module, x: Tensor, upstream: Tensor) -> float:
    """Milliseconds of a forward and a backward pass: of the GPU's clock, or of processor time on a CPU."""
    if not x.is_cuda:
        began = time.process_time()  # does not count what other programs do meanwhile
        torch.autograd.grad(activation(x), x, upstream)
        return 1000 * (time.process_time() - began)
    torch.cuda.synchronize(x.device)
    start = time.perf_counter()
    torch.autograd.grad(activation(x), x, upstream)
    torch.cuda.synchronize(x.device)
    return 1000 * (time.perf_counter() - start)


def measure(elements: int, repeats: int, device: str) -> dict[str, Times]:
    """Times by activation; they take turns, so that a busy moment of the machine hits all of them."""
    torch.manual_seed(0)
    x = torch.randn(elements, device=device, requires_grad=True)
    upstream = torch.randn(elements, device=device)
    runs: dict[str, list[float]] = {name: [] for name in ACTIVATIONS}
    for turn in range(WARM_UP + repeats):
        for name, activation in ACTIVATIONS.items():
            taken = one_pass(activation, x, upstream)
            if turn >= WARM_UP:
                runs[name].append(taken)
    found = {}
    for name, taken in runs.items():
        low, median, high = statistics.quantiles(taken, n=4)
        found[name] = Times(median, low, high)
    return found


def draw(found: Mapping[str, Times], elements: int, path: Path) -> None:
    """A bar an activation with its quartiles."""
    mpl.rcParams["svg.hashsalt"] = "actsearch"
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    names = list(found)
    medians = [found[name].median for name in names]
    spread = [[t.median - t.low for t in found.values()], [t.high - t.median for t in found.values()]]
    axes.barh(names, medians, xerr=spread, color="#4c72b0", error_kw={"elinewidth": 1, "ecolor": "0.3"})
    axes.invert_yaxis()
    axes.set(xlabel="milliseconds, forward + backward", title=f"What an activation costs on {elements:,} numbers")
    axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


def main(arguments: Sequence[str] | None = None) -> dict[str, Times]:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="10^5 numbers and few repeats")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path, default=Path("speed.svg"))
    options = parser.parse_args(arguments)
    elements, repeats = (10**5, 5) if options.quick else (ELEMENTS, 101)
    torch.set_num_threads(1)
    found = measure(elements, repeats, options.device)
    print(f"{'activation':<12} {'median ms':>10} {'quartiles':>16} {'x ReLU':>8}")
    for name, times in found.items():
        quartiles = f"{times.low:.2f} to {times.high:.2f}"
        print(f"{name:<12} {times.median:>10.2f} {quartiles:>16} {times.median / found['ReLU'].median:>8.1f}")
    draw(found, elements, options.output)
    print(f"figure: {options.output}")
    return found


if __name__ == "__main__":
    main()
