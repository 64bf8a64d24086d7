"""Forecasting: monthly sunspots, a temporal convolutional network.

python examples/forecasting.py [--quick] [--local]
"""

from __future__ import annotations

from collections.abc import Sequence

from running import run

from actsearch import JobHandle

REQUEST = {
    "name": "sunspots, temporal convolutions",
    "task": "sunspots",
    "architecture": {"name": "tcn", "parameters": {"channels": 16, "blocks": 3}},
    "families": ["relu", "elu", "gelu", "tanh", "snake", "softplus"],
    "learning_rate": (3e-4, 3e-2),
    "trials": 40,
    "epochs": 15,
}
QUICK = {"architecture": {"name": "tcn", "parameters": {"channels": 4, "blocks": 1}}, "trials": 3, "epochs": 1}


def main(arguments: Sequence[str] | None = None) -> JobHandle:
    """Search, and print the families."""
    return run(REQUEST, QUICK, __doc__, arguments)


if __name__ == "__main__":
    main()
