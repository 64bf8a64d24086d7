"""Classification: 40-point signals of ten classes (MNIST-1D), a plain network of six layers.

python examples/classification.py [--quick] [--local]
"""

from __future__ import annotations

from collections.abc import Sequence

from running import run

from actsearch import JobHandle

REQUEST = {
    "name": "MNIST-1D, six plain layers",
    "task": "mnist1d",
    "architecture": {"name": "mlp", "parameters": {"depth": 6, "width": 64}},
    "families": ["relu", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "swish_relu_mix", "tanh"],
    "learning_rate": (3e-4, 3e-2),
    "trials": 60,
    "epochs": 20,
    "pruner": "hyperband",
    "measures": ["latency_ms", "int8_drop", "activation_cost"],
}
QUICK = {
    "architecture": {"name": "mlp", "parameters": {"depth": 3, "width": 16}},
    "trials": 4,
    "epochs": 1,
    "pruner": "none",
}


def main(arguments: Sequence[str] | None = None) -> JobHandle:
    """Search, and print the families."""
    return run(REQUEST, QUICK, __doc__, arguments)


if __name__ == "__main__":
    main()
