"""Character language model: a small transformer; the activation is that of its feed-forward layers.

python examples/character_lm.py [--quick] [--local]
"""

from __future__ import annotations

from collections.abc import Sequence

from running import run

from actsearch import JobHandle

REQUEST = {
    "name": "characters, small transformer",
    "task": "text",
    "architecture": {"name": "transformer_lm", "parameters": {"width": 64, "depth": 2}},
    "families": ["relu", "gelu", "silu", "squared_relu", "xielu", "star_relu"],
    "learning_rate": (3e-4, 1e-2),
    "trials": 24,
    "epochs": 5,
}
QUICK = {
    "architecture": {"name": "transformer_lm", "parameters": {"width": 8, "depth": 1, "heads": 2}},
    "trials": 2,
    "epochs": 1,
}


def main(arguments: Sequence[str] | None = None) -> JobHandle:
    """Search, and print the families."""
    return run(REQUEST, QUICK, __doc__, arguments)


if __name__ == "__main__":
    main()
