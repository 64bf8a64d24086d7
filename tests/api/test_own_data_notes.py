"""What was guessed of own data is told where people look: the task, and the answer to a submission."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from actsearch.settings import settings

CSV = "id;width;y\n" + "".join(f"{i};{i},5;{i % 2}\n" for i in range(40))


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory of own data, with a table and an array in it."""
    monkeypatch.setenv("ACTSEARCH_DATA_DIR", str(tmp_path))
    settings.cache_clear()
    folder = tmp_path / "datasets"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "t.csv").write_text(CSV)
    np.savez(folder / "a.npz", x=np.zeros((30, 128, 9)), y=np.arange(30) % 2)
    yield folder
    monkeypatch.undo()
    settings.cache_clear()


def test_a_task_on_own_data_tells_what_was_guessed(own: Path, http: TestClient) -> None:
    told = http.get("/v1/tasks/data:deep/t.csv:y").json()
    assert told["input_shape"] == [2]
    assert "mlp" in told["architectures"]
    assert "decimals stand after a comma" in told["notes"]
    assert any("'id' looks like an identifier" in note for note in told["notes"])
    parameters = {"leave_out": ["id"], "decimal": "comma", "separator": "semicolon"}
    told = http.get("/v1/tasks/data:deep/t.csv:y", params={"parameters": json.dumps(parameters)}).json()
    assert told["input_shape"] == [1]
    assert [note.split(":")[0] for note in told["notes"]] == ["targets", "training samples by class"]


@pytest.mark.parametrize(
    ("name", "parameters", "status", "field"),
    [
        ("nothing", "{}", 404, None),
        ("data:deep/t", '{"leave_out": ["ident"]}', 422, "parameters.leave_out"),
        ("data:deep/t", '{"leave": []}', 422, "parameters.leave"),
        ("data:a", "{}", 422, "name"),
        ("data:a", "[", 422, "parameters"),
        ("data:a", '{"layout": {}}', 422, "parameters"),
    ],
)
def test_a_task_that_cannot_be_shown(
    own: Path, http: TestClient, name: str, parameters: str, status: int, field: str | None
) -> None:
    answer = http.get(f"/v1/tasks/{name}", params={"parameters": parameters})
    assert answer.status_code == status, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == ([field] if field else [])


def test_a_declared_task_is_shown_too(http: TestClient) -> None:
    assert http.get("/v1/tasks/digits").json()["notes"] == []


def test_the_answer_to_a_submission_has_the_notes(own: Path, http: TestClient) -> None:
    request = {"task": "data:deep/t:y", "budget": {"trials": 2}}
    job = http.post("/v1/jobs", json=request).json()
    assert "decimals stand after a comma" in job["notes"]


def test_parameters_make_a_task_of_what_is_refused_without(own: Path, http: TestClient) -> None:
    request = {"task": "data:a", "architecture": "tcn", "budget": {"trials": 2}}
    refused = http.post("/v1/jobs", json=request)
    assert refused.status_code == 422
    assert "say `layout`" in refused.text
    wrong = http.post("/v1/jobs", json=request | {"task": {"name": "data:a", "parameters": {"layout": "NXX"}}})
    assert [error["field"] for error in wrong.json()["errors"]] == ["task.parameters.layout"]
    job = http.post("/v1/jobs", json=request | {"task": {"name": "data:a", "parameters": {"layout": "NLC"}}})
    assert job.status_code == 201, job.text
    assert job.json()["request"]["task"]["parameters"] == {"layout": "NLC"}
