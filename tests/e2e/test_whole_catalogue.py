"""Every architecture, every task and every format of own data, each in a job of its own on one running service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from actsearch import Client, InvalidRequestError
from actsearch.architectures import architectures
from actsearch.tasks import load, tasks

SMALL_TASKS: dict[str, dict[str, Any]] = {
    "text": {"characters": 10_000, "context": 12},
    "gan_ring": {"samples": 256},
    "pinn_poisson": {"samples": 64},
    "image_fit": {"size": 8},
    "multi_sine": {"samples": 64},
    "sunspots": {"window": 8},
}
SMALL_SIZES = {"width": 8, "channels": 4, "depth": 2, "blocks": 1, "layers": 1, "stages": 1, "heads": 2}
REFUSED = {
    "data:../private.csv": "is not a path inside",
    "data:/etc/passwd": "is not a path inside",
    "data:leak.csv": "leads out of the data directory",
    "data:nowhere": "data:table.csv",
    "data:table.csv:colour": "colour",
}
OWN = ["data:table.csv:kind", "data:columns.parquet", "data:signals", "data:pictures", "data:saved"]


def covering() -> list[tuple[str, str]]:
    """(task, architecture), so that each of both appears; small tasks first."""
    every = sorted(tasks(), key=lambda name: name not in SMALL_TASKS)
    kinds = {task: load(task, SMALL_TASKS.get(task, {})).input_kind for task in every}
    pairs: list[tuple[str, str]] = []
    for name, architecture in architectures().items():
        fitting = [task for task in every if kinds[task] in architecture.inputs]
        pairs.append((min(fitting, key=[task for task, _ in pairs].count), name))
    left = set(every) - {task for task, _ in pairs}
    return pairs + [(task, next(n for n, a in architectures().items() if kinds[task] in a.inputs)) for task in left]


def request(task: str, architecture: str) -> dict[str, Any]:
    """Two trials of one epoch: the baseline and one more."""
    parameters = {
        p.name: SMALL_SIZES[p.name] for p in architectures()[architecture].parameters if p.name in SMALL_SIZES
    }
    return {
        "task": {"name": task, "parameters": SMALL_TASKS.get(task, {})},
        "architecture": {"name": architecture, "parameters": parameters},
        "space": {"families": ["tanh"]},
        "baseline": {"family": "gelu"},
        "training": {"epochs": 1, "batch_size": 128},
        "budget": {"trials": 2},
        "parallelism": 1,
    }


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One data set of each format in the data directory of the service, and something private beside it."""
    import pandas as pd
    import pyarrow as pa

    root = tmp_path / "data" / "datasets"
    root.mkdir(parents=True)
    monkeypatch.setenv("ACTSEARCH_DATA_DIR", str(root.parent))
    at = np.arange(60)
    frame = pd.DataFrame({"a": at % 7, "b": at * 0.5, "price": at * 1.5 + 0.25, "kind": np.array(["x", "y"])[at % 2]})
    frame.to_csv(root / "table.csv", index=False)
    frame[["a", "b", "price"]].to_parquet(root / "columns.parquet")
    np.savez(root / "signals.npz", x=np.random.default_rng(0).normal(size=(60, 2, 9)), y=at % 3)
    for label in ("cat", "dog"):
        (root / "pictures" / label).mkdir(parents=True)
        for i in range(12):
            Image.new("RGB", (9, 9), (100 * (label == "cat"), 5 * i, 0)).save(root / "pictures" / label / f"{i}.png")
    saved = root / "saved"
    saved.mkdir()
    table = pa.table({"x": [[float(i), 1.0] for i in range(60)], "label": [i % 2 for i in range(60)]})
    with pa.OSFile(str(saved / "data.arrow"), "wb") as stream, pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    features = {"x": {"_type": "Sequence"}, "label": {"_type": "ClassLabel", "names": ["no", "yes"]}}
    (saved / "dataset_info.json").write_text(json.dumps({"features": features}))
    (saved / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data.arrow"}]}))
    frame.rename(columns={"a": "secret"}).to_csv(tmp_path / "private.csv", index=False)
    (root / "leak.csv").symlink_to(tmp_path / "private.csv")
    return root


def test_everything_in_the_catalogue_and_own_data_trains(service: Any, client: Client) -> None:
    service.start("worker", "--devices", "cpu,cpu")
    wanted = [*covering(), *((name, "convnet" if "pictures" in name else "mlp") for name in OWN)]
    jobs = {pair: client.submit(request(*pair)) for pair in wanted}

    for pair, job in jobs.items():
        done = job.wait(timeout=240)
        assert done.state == "completed", (pair, service.log_text())
        trials = list(job.trials())
        assert [trial.state for trial in trials] == ["complete"] * 2, (pair, trials)
        assert {trial.number for trial in trials} == {0, 1}
        assert all("test_" in " ".join(trial.metrics) for trial in trials)

    listed = {info.name: info.architectures for info in client.tasks()}
    assert set(listed) == set(tasks())
    assert {name for names in listed.values() for name in names} == set(architectures())

    for task, said in REFUSED.items():
        with pytest.raises(InvalidRequestError, match=r"task\.name") as caught:
            client.submit(request(task, "mlp"))
        assert said in str(caught.value)
        assert "secret" not in str(caught.value)
