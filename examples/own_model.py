"""Your own network: a search in this process, without any service; it ends with a verdict and the trained network.

python examples/own_model.py [--quick]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import actsearch
from actsearch.inprocess import Activations, SearchResult


class Residual(nn.Module):
    """A small network with skip connections; `act()` stands where activations do."""

    def __init__(self, act: Activations) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(64, 48), act("first"))
        self.blocks = nn.ModuleList(nn.Sequential(nn.LayerNorm(48), nn.Linear(48, 48), act()) for _ in range(2))
        self.head = nn.Linear(48, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, 10) of pixels (B, 64)."""
        x = self.first(x)
        for block in self.blocks:
            x = x + block(x)
        return self.head(x)


def main(arguments: Sequence[str] | None = None) -> SearchResult:
    """Search, print the families, the winner's code and the network's test accuracy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small search")
    options = parser.parse_args(arguments)
    pixels, digits = load_digits(return_X_y=True)
    pixels = (pixels / 16).astype("float32")
    found = actsearch.search(
        Residual,
        (pixels[:1000], digits[:1000]),
        (pixels[1000:1400], digits[1000:1400]),
        (pixels[1400:], digits[1400:]),
        families=["relu", "elu", "gelu", "mish", "swish_relu_mix"],
        learning_rate=(1e-3, 3e-2),
        trials=5 if options.quick else 40,
        epochs=1 if options.quick else 15,
        confirmation={"finalists": 1, "seeds": 2} if options.quick else {},
    )
    print(found)
    print(found.snippet())
    with torch.no_grad():
        right = found.winner_module(torch.from_numpy(pixels[1400:])).argmax(1) == torch.from_numpy(digits[1400:])
    print(f"test accuracy of the winner's network: {float(right.float().mean()):.3f}")
    return found


if __name__ == "__main__":
    main()
