"""A generative adversarial network: points on a ring; activations of generator and discriminator are searched.

python examples/gan.py [--quick] [--local]
"""

from __future__ import annotations

from collections.abc import Sequence

from running import run

from actsearch import JobHandle

REQUEST = {
    "name": "ring of eight, GAN",
    "task": "gan_ring",
    "architecture": {"name": "gan2d", "parameters": {"depth": 2, "width": 64}},
    "families": ["relu", "leaky_relu", "elu", "gelu", "tanh", "softplus"],
    "learning_rate": (1e-4, 3e-3),
    "trials": 30,
    "epochs": 50,
}
QUICK = {"architecture": {"name": "gan2d", "parameters": {"depth": 1, "width": 8}}, "trials": 3, "epochs": 1}


def main(arguments: Sequence[str] | None = None) -> JobHandle:
    """Search, and print the families."""
    return run(REQUEST, QUICK, __doc__, arguments)


if __name__ == "__main__":
    main()
