"""Fact 1: in a deep plain network next to no gradient reaches the first layers with sigmoid; with ReLU it does.

Prints, for several activations, the gradient norm of the first and last layer of a 30-layer network on the handwritten
digits, and draws the norm of every layer. All weights are drawn after He et al. 2015; `own gain` draws them with the
gain that keeps the signal's size for that very activation, as actsearch's architectures do.

    python examples/facts/vanishing_gradient.py [--quick] [--output docs/facts/vanishing_gradient.svg]
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional as F

from actsearch.activations import Activation
from actsearch.architectures import initialise
from actsearch.schemas import ActivationSpec
from actsearch.tasks import load

FAMILIES = ("relu", "selu", "gelu", "tanh", "sigmoid")
HE = 2**0.5
DEPTH, WIDTH, BATCH = 30, 64, 256


def network(family: str, depth: int, gain: float | None, outputs: int = 10) -> nn.Sequential:
    """A plain network of `depth` hidden layers; gain None for the activation's own."""
    activation = Activation(ActivationSpec(family=family))
    sizes = [64, *[WIDTH] * depth]
    layers: list[nn.Module] = [nn.Flatten()]
    for before, after in pairwise(sizes):
        layers += [initialise(nn.Linear(before, after), gain or activation.gain), activation]
    return nn.Sequential(*layers, initialise(nn.Linear(WIDTH, outputs), 1.0))


def layer_gradients(model: nn.Sequential, x: Tensor, y: Tensor) -> Tensor:
    """Norm of the loss's gradient by each layer's weights, first layer first, (depth + 1,)."""
    weights = [layer.weight for layer in model if isinstance(layer, nn.Linear)]
    gradients = torch.autograd.grad(F.cross_entropy(model(x), y), weights)
    return torch.stack([gradient.norm() for gradient in gradients])


def measure(depth: int, seeds: int) -> dict[str, Tensor]:
    """Median over seeds of each layer's gradient norm, (depth + 1,), by what was tried."""
    x, y = load("digits", {}).train
    tried = [(family, HE, f"{family}, He") for family in FAMILIES]
    tried.append(("sigmoid", None, "sigmoid, own gain"))
    found = {}
    for family, gain, label in tried:
        norms = []
        for seed in range(seeds):
            torch.manual_seed(seed)
            norms.append(layer_gradients(network(family, depth, gain), x[:BATCH], y[:BATCH]))
        found[label] = torch.stack(norms).median(0).values
    return found


def draw(found: Mapping[str, Tensor], path: Path) -> None:
    """One line an activation, gradient norm by layer, on a log scale."""
    mpl.rcParams["svg.hashsalt"] = "actsearch"  # the same figure gives the same file
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for label, norms in found.items():
        axes.semilogy(range(1, len(norms) + 1), norms, label=label, linestyle="--" if "own" in label else "-")
    axes.set(xlabel="layer", ylabel="gradient norm of its weights", title="What reaches the first layers")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


def main(arguments: Sequence[str] | None = None) -> dict[str, Tensor]:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one seed instead of five")
    parser.add_argument("--output", type=Path, default=Path("vanishing_gradient.svg"))
    options = parser.parse_args(arguments)
    found = measure(DEPTH, seeds=1 if options.quick else 5)
    print(f"{'activation, weights':<20} {'first layer':>12} {'last hidden':>12} {'first / last':>13}")
    for label, norms in found.items():
        first, last = float(norms[0]), float(norms[-2])
        print(f"{label:<20} {first:>12.2e} {last:>12.2e} {first / last:>13.2e}")
    draw(found, options.output)
    print(f"figure: {options.output}")
    return found


if __name__ == "__main__":
    main()
