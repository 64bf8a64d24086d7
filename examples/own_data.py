"""Your own data: a file in the worker's data directory becomes the task `data:<name>`.

Here the file is made up: two features that wind around each other. `.npz`, `.csv`, `.parquet`, folders of images and
`datasets` on disk work alike.

    python examples/own_data.py [--quick] [--local]
    python examples/own_data.py --url http://server:8800 --data-dir /srv/actsearch
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from running import parse, service, show, submit

from actsearch import JobHandle

REQUEST = {
    "name": "two spirals from a file",
    "task": "data:example-spirals",
    "architecture": {"name": "mlp", "parameters": {"depth": 4, "width": 32}},
    "families": ["relu", "elu", "gelu", "tanh", "sine", "snake"],
    "learning_rate": (1e-3, 1e-1),
    "trials": 40,
    "epochs": 30,
}
QUICK = {"trials": 3, "epochs": 1}


def write_spirals(data_dir: Path) -> None:
    """Write `datasets/example-spirals.npz` with arrays x (N, 2) and y (N,)."""
    random = np.random.default_rng(0)
    y = random.integers(0, 2, 1200)
    angle = random.uniform(0.5, 3 * np.pi, len(y))
    turned = angle + np.pi * y
    x = np.stack([angle * np.cos(turned), angle * np.sin(turned)], 1) + random.normal(0, 0.2, (len(y), 2))
    directory = data_dir / "datasets"
    directory.mkdir(parents=True, exist_ok=True)
    np.savez(directory / "example-spirals.npz", x=x.astype("float32"), y=y)


def main(arguments: Sequence[str] | None = None) -> JobHandle:
    """Write the file, search, print the families."""
    options = parse(__doc__, arguments)
    with service(options, prepare=write_spirals) as client:
        job = submit(client, {**REQUEST, **(QUICK if options.quick else {})})
        show(job)
        return job


if __name__ == "__main__":
    main()
