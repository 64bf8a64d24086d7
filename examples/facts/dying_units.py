"""Fact 2: ReLU units whose input is mostly negative die; leaky ReLU, BatchNorm or He initialisation keep them alive.

The biases of a small network are set so that each unit's input has a given mean over the handwritten digits; then it
is trained. A unit is dead when the derivative of its activation is zero for every sample: nothing can move it any more.
Prints and draws the share of dead units after training, by that mean.

    python examples/facts/dying_units.py [--quick] [--output docs/facts/dying_units.svg]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional as F

from actsearch.architectures import initialise
from actsearch.tasks import load

DEPTH, WIDTH, BATCH = 4, 128, 64
MEANS = (0.0, -0.25, -0.5, -0.75, -1.0, -1.5, -2.0)
Layer = Callable[[int, int], list[nn.Module]]


def default_relu(inputs: int, outputs: int) -> list[nn.Module]:
    """ReLU behind a layer as PyTorch draws it: weights of standard deviation 1 / sqrt(3 inputs)."""
    return [nn.Linear(inputs, outputs), nn.ReLU()]


def default_leaky(inputs: int, outputs: int) -> list[nn.Module]:
    """The same with a slope of 0.01 on the negative side."""
    return [nn.Linear(inputs, outputs), nn.LeakyReLU(0.01)]


def normalised_relu(inputs: int, outputs: int) -> list[nn.Module]:
    """The same with BatchNorm in between, which takes any mean out again."""
    return [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU()]


def he_relu(inputs: int, outputs: int) -> list[nn.Module]:
    """ReLU behind weights of standard deviation sqrt(2 / inputs): the signal keeps its spread from layer to layer."""
    return [initialise(nn.Linear(inputs, outputs), 2**0.5), nn.ReLU()]


ARMS: Mapping[str, Layer] = {
    "ReLU": default_relu,
    "leaky ReLU": default_leaky,
    "ReLU + BatchNorm": normalised_relu,
    "ReLU + He": he_relu,
}


def network(layer: Layer, mean: float, x: Tensor) -> nn.Sequential:
    """A plain network whose linear layers have outputs of this mean over x, unit by unit."""
    parts: list[nn.Module] = [nn.Flatten()]
    signal = x.flatten(1)
    for _ in range(DEPTH):
        added = layer(signal.shape[1], WIDTH)
        linear = added[0]
        assert isinstance(linear, nn.Linear)
        with torch.no_grad():
            linear.bias += mean - linear(signal).mean(0)
            signal = nn.Sequential(*added)(signal)
        parts += added
    return nn.Sequential(*parts, nn.Linear(WIDTH, 10))


def train(model: nn.Sequential, x: Tensor, y: Tensor, epochs: int) -> None:
    """Plain SGD with momentum."""
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    model.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(BATCH):
            optimiser.zero_grad()
            F.cross_entropy(model(x[batch]), y[batch]).backward()
            optimiser.step()


@torch.no_grad()
def dead_share(model: nn.Sequential, x: Tensor) -> float:
    """Share of hidden units whose activation has no slope at any sample, in [0, 1]."""
    model.eval()
    dead: list[Tensor] = []
    signal = x
    for part in model:
        if isinstance(part, nn.ReLU):
            dead.append((signal <= 0).all(0))
        elif isinstance(part, nn.LeakyReLU):
            dead.append(torch.zeros(signal.shape[1], dtype=torch.bool))  # its slope is nowhere zero
        signal = part(signal)
    return float(torch.cat(dead).float().mean())


def measure(means: Sequence[float], epochs: int) -> dict[str, list[float]]:
    """Share of dead units after training for each mean, by arm."""
    x, y = load("digits", {}).train
    found: dict[str, list[float]] = {}
    for name, layer in ARMS.items():
        for mean in means:
            torch.manual_seed(0)
            model = network(layer, mean, x)
            train(model, x, y, epochs)
            found.setdefault(name, []).append(dead_share(model, x))
    return found


def draw(means: Sequence[float], found: Mapping[str, Sequence[float]], path: Path) -> None:
    """One line an arm, share of dead units by mean."""
    mpl.rcParams["svg.hashsalt"] = "actsearch"
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name, shares in found.items():
        axes.plot(means, [100 * share for share in shares], marker="o", markersize=4, label=name)
    axes.axvline(-0.5, color="0.6", linewidth=1, linestyle=":")
    axes.invert_xaxis()
    axes.set(xlabel="mean of a unit's input before training", ylabel="dead units after training, %", ylim=(-3, 103))
    axes.set_title("Which units never learn again")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


def main(arguments: Sequence[str] | None = None) -> dict[str, list[float]]:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three means and two epochs")
    parser.add_argument("--output", type=Path, default=Path("dying_units.svg"))
    options = parser.parse_args(arguments)
    means = (0.0, -0.5, -0.75) if options.quick else MEANS
    found = measure(means, epochs=2 if options.quick else 10)
    print(f"{'dead units, %, at mean':<22}" + "".join(f"{mean:>8.2f}" for mean in means))
    for name, shares in found.items():
        print(f"{name:<22}" + "".join(f"{100 * share:>8.1f}" for share in shares))
    draw(means, found, options.output)
    print(f"figure: {options.output}")
    return found


if __name__ == "__main__":
    main()
