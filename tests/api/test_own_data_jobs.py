"""A job on own data tells what its targets were taken as, and a request says otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from actsearch.settings import settings

Submit = Callable[..., dict[str, Any]]


@pytest.fixture
def visits(tmp_path: Path) -> Iterator[str]:
    """A task of 60 samples with whole numbers as targets."""
    (tmp_path / "datasets").mkdir()
    x = np.random.default_rng(0).normal(size=(60, 3))
    np.savez(tmp_path / "datasets" / "visits.npz", x=x, y=np.arange(60) % 4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACTSEARCH_DATA_DIR", str(tmp_path))
        settings.cache_clear()
        yield "data:visits"
    settings.cache_clear()


def test_a_job_tells_what_its_targets_were_taken_as(http: TestClient, submit: Submit, visits: str) -> None:
    guessed = submit(task=visits)
    said = submit(task={"name": visits, "parameters": {"kind": "count"}})
    assert guessed["notes"] == [
        "targets: classification (4 different whole numbers from 0 to 3 without gaps; "
        "`kind`: `count` if they are counts, `regression` if they are quantities or ratings)",
        "training samples by class: 0 9, 1 9, 2 9, 3 9",
    ]
    assert said["notes"] == ["targets: count (as you said)"]
    assert (guessed["objective"]["metric"], said["objective"]["metric"]) == ("accuracy", "poisson_deviance")
    assert http.get(f"/v1/jobs/{said['id']}").json()["notes"] == said["notes"]


def test_a_kind_that_there_is_not_is_named(http: TestClient, visits: str) -> None:
    answer = http.post("/v1/jobs", json={"task": {"name": visits, "parameters": {"kind": "ratings"}}})
    assert answer.status_code == 422
    assert "task.parameters.kind" in answer.text


def test_names_kept_as_bytes_are_names(submit: Submit, visits: str, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(60, 3))
    for names, encoding in ((["ja", "né"], "utf-8"), (["ja", "né"], "latin-1")):
        y = np.array([name.encode(encoding) for name in names])[np.arange(60) % 2]
        np.savez(tmp_path / "datasets" / f"{encoding}.npz", x=x, y=y)
        assert "training samples by class: ja 18, né 18" in submit(task=f"data:{encoding}")["notes"]
