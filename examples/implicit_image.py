"""Implicit image: from coordinates to colours; where sines shine.

python examples/implicit_image.py [--quick] [--local]
"""

from __future__ import annotations

from collections.abc import Sequence

from running import run

from actsearch import JobHandle

REQUEST = {
    "name": "a photo as a function",
    "task": "image_fit",
    "architecture": {"name": "coordinate", "parameters": {"depth": 3, "width": 64}},
    "families": ["relu", "tanh", "gelu", "sine", "finer", "snake", "gaussian"],
    "learning_rate": (1e-4, 1e-2),  # SIREN's is the smallest: omega multiplies its steps
    "trials": 40,
    "epochs": 40,
}
QUICK = {"architecture": {"name": "coordinate", "parameters": {"depth": 2, "width": 8}}, "trials": 3, "epochs": 1}


def main(arguments: Sequence[str] | None = None) -> JobHandle:
    """Search, and print the families."""
    return run(REQUEST, QUICK, __doc__, arguments)


if __name__ == "__main__":
    main()
