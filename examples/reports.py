"""The reports in docs/reports: four searches where activations can matter, and one where they hardly do.

python examples/reports.py --local [--output docs/reports]
python examples/reports.py --local --only breast_cancer
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from running import service, show, submit

SMOOTH = ["relu", "tanh", "gelu", "silu", "mish", "telu", "sine"]
COMMON = ["relu", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "tanh"]
REQUESTS = {
    "mnist1d_six_layers": {
        "name": "MNIST-1D: a plain network of six layers",
        "seed": 0,
        "task": "mnist1d",
        "architecture": {"name": "mlp", "parameters": {"depth": 6, "width": 64}},
        "families": COMMON,
        "training": {"schedule": "cosine"},
        "learning_rate": (3e-4, 3e-2),
        "trials": 48,
        "epochs": 40,
        "measures": ["latency_ms", "int8_drop", "activation_cost"],
    },
    "image_fit": {
        "name": "A photo as a function of its coordinates",
        "seed": 0,
        "task": "image_fit",
        "architecture": {"name": "coordinate", "parameters": {"depth": 3, "width": 64}},
        "families": ["relu", "tanh", "gelu", "sine", "finer", "snake"],
        "space": {"architecture": {"input_scale": {"choices": [1.0, 3.0, 10.0]}}},
        "training": {"schedule": "cosine", "batch_size": 256},
        "learning_rate": (3e-4, 1e-2),
        "trials": 36,
        "epochs": 60,
    },
    "pinn_poisson": {
        "name": "A Poisson problem solved by a network",
        "seed": 0,
        "task": "pinn_poisson",
        "architecture": {"name": "coordinate", "parameters": {"depth": 3, "width": 32}},
        "families": SMOOTH,
        "learning_rate": (1e-3, 1e-2),
        "trials": 32,
        "epochs": 100,
    },
    "mnist1d_twelve_layers": {
        "name": "MNIST-1D: a plain network of twelve layers",
        "seed": 0,
        "task": "mnist1d",
        "architecture": {"name": "mlp", "parameters": {"depth": 12, "width": 64}},
        "families": COMMON,
        "learning_rate": (1e-4, 1e-2),
        "trials": 48,
        "epochs": 15,
    },
    "breast_cancer": {
        "name": "Breast cancer: a small network where activations hardly matter",
        "seed": 0,
        "task": "breast_cancer",
        "architecture": {"name": "mlp", "parameters": {"depth": 2, "width": 32}},
        "families": COMMON,
        "learning_rate": (3e-4, 3e-2),
        "trials": 40,
        "epochs": 15,
    },
}
QUICK = {"trials": 3, "epochs": 1}


def main(arguments: Sequence[str] | None = None) -> list[Path]:
    """Search, and write a report each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small searches")
    parser.add_argument("--local", action="store_true", help="start a service for this example alone")
    parser.add_argument("--url", help="address of a running service")
    parser.add_argument("--only", choices=sorted(REQUESTS), action="append", help="this one; may be repeated")
    parser.add_argument("--output", type=Path, default=Path("docs/reports"))
    options = parser.parse_args(arguments)
    options.data_dir = None
    written = []
    with service(options) as client:
        for name in options.only or REQUESTS:
            job = submit(client, {**REQUESTS[name], **(QUICK if options.quick else {})})
            show(job)
            options.output.mkdir(parents=True, exist_ok=True)
            written.append(options.output / f"{name}.html")
            written[-1].write_text(job.report(), encoding="utf-8")
    return written


if __name__ == "__main__":
    main()
