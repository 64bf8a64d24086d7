"""A differential equation: a network that solves a Poisson problem; its second derivatives need smooth activations.

python examples/pde.py [--quick] [--local]
"""

from __future__ import annotations

from collections.abc import Sequence

from running import run

from actsearch import JobHandle

REQUEST = {
    "name": "Poisson by a network",
    "task": "pinn_poisson",
    "architecture": {"name": "coordinate", "parameters": {"depth": 3, "width": 32}},
    "families": ["relu", "tanh", "gelu", "silu", "mish", "telu", "softplus", "sine"],
    "baseline": {"family": "tanh"},  # what people use here; to beat ReLU, whose second derivative is zero, is no news
    "learning_rate": (1e-3, 1e-2),
    "trials": 32,
    "epochs": 200,
}
QUICK = {"architecture": {"name": "coordinate", "parameters": {"depth": 2, "width": 8}}, "trials": 3, "epochs": 1}


def main(arguments: Sequence[str] | None = None) -> JobHandle:
    """Search, and print the families."""
    return run(REQUEST, QUICK, __doc__, arguments)


if __name__ == "__main__":
    main()
