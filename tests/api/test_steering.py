"""Jobs that are paused, resumed and changed through the API: who may, what is refused, and what happens twice."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, text
from starlette.testclient import TestClient

from actsearch.schemas import KeyScope
from actsearch.settings import Settings
from actsearch.store.keys import create_key
from actsearch_api.app import create_app

SECRET = "s" * 32
Submit = Callable[..., dict[str, Any]]


def complete(engine: Engine, job: str) -> None:
    """Mark a job as completed."""
    done = "UPDATE jobs SET state = 'completed', finished_at = now() WHERE id = :id"
    with engine.begin() as connection:
        connection.execute(text(done), {"id": job})


def test_what_is_changed_is_seen_everywhere(http: TestClient, submit: Submit) -> None:
    path = f"/v1/jobs/{submit(name='before', seed=1)['id']}"
    changes = {"name": "after", "priority": 5, "parallelism": 2, "budget": {"trials": 30}}
    for _ in range(2):  # sent again after a lost answer
        job = http.patch(path, json=changes).json()
        assert (job["name"], job["progress"]["budget"]) == ("after", 30)
    request = http.get(f"{path}/request").json()
    assert (request["name"], request["priority"], request["parallelism"]) == ("after", 5, 2)
    assert (request["budget"]["trials"], request["seed"]) == (30, 1)
    [listed] = http.get("/v1/jobs").json()["items"]
    assert (listed["name"], listed["progress"]["budget"]) == ("after", 30)
    kept = http.patch(path, json={"priority": 6}).json()["request"]
    assert (kept["name"], kept["parallelism"]) == ("after", 2)
    assert http.patch(path, json={"name": None, "parallelism": None}).json()["request"]["parallelism"] is None
    assert http.get(path).json()["name"] is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({}, "body"),
        ({"budget": {"trials": 0}}, "budget.trials"),
        ({"budget": {"seconds": 5}}, "budget.trials"),
        ({"priority": 1001}, "priority"),
        ({"priority": True}, "priority"),
        ({"budget": {"trials": True}}, "budget.trials"),
        ({"parallelism": 0}, "parallelism"),
        ({"name": "a\nb"}, "name"),
        ({"name": "a\x9b31m"}, "name"),
        ({"name": "a\u202eb"}, "name"),
        ({"space": {}}, "space"),
        ({"budget": {"trials": 10**7}}, "budget.trials"),
    ],
)
def test_what_cannot_be_asked_for_is_named(
    changes: dict[str, Any], field: str, http: TestClient, submit: Submit
) -> None:
    space = {"families": ["relu", "gelu"], "training": {"learning_rate": {"choices": [0.1, 0.01]}}}
    job = submit(space=space, budget={"trials": 3}, sampler="brute_force")
    answer = http.patch(f"/v1/jobs/{job['id']}", json=changes)
    assert answer.status_code == 422, answer.text
    assert field in [error["field"] for error in answer.json()["errors"]]
    assert http.get(f"/v1/jobs/{job['id']}").json()["request"] == job["request"]


def test_states_that_do_not_allow_it_are_named(http: TestClient, submit: Submit) -> None:
    path = f"/v1/jobs/{submit()['id']}"
    assert http.post(f"{path}/resume").status_code == 409
    assert http.post(f"{path}/pause").json()["state"] == "paused"
    refused = http.post(f"{path}/pause").json()
    assert refused["detail"] == "a job that is paused cannot be paused; it can be cancelled or resumed"
    assert http.post(f"{path}/cancel").json()["state"] == "cancelled"
    for refused in (
        http.post(f"{path}/pause"),
        http.post(f"{path}/resume"),
        http.patch(path, json={"budget": {"trials": 50}}),
    ):
        assert (refused.status_code, "cancelled" in refused.json()["detail"]) == (409, True)
    for verb in ("pause", "resume"):
        assert http.post(f"/v1/jobs/00000000-0000-4000-8000-000000000000/{verb}").status_code == 404


def test_what_happened_is_listed_in_order_and_in_pages(http: TestClient, submit: Submit) -> None:
    path = f"/v1/jobs/{submit()['id']}"
    http.post(f"{path}/pause")
    http.patch(path, json={"priority": 3})
    http.post(f"{path}/resume")
    http.post(f"{path}/cancel")
    told = http.get(f"{path}/events").json()["items"]
    assert [(event["kind"], event["data"]) for event in told] == [
        ("state", {"state": "queued"}),
        ("state", {"state": "paused"}),
        ("changed", {"priority": 3}),
        ("state", {"state": "queued"}),
        ("state", {"state": "cancelled", "reason": "cancelled on request"}),
    ]
    seen, cursor = [], None
    while True:
        page = http.get(f"{path}/events", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        seen += page["items"]
        if (cursor := page["next_cursor"]) is None:
            break
    assert seen == told
    assert http.get("/v1/jobs/00000000-0000-4000-8000-000000000000/events").status_code == 404


def test_of_two_changes_at_once_none_undoes_the_other(http: TestClient, submit: Submit) -> None:
    path = f"/v1/jobs/{submit()['id']}"
    with ThreadPoolExecutor(4) as pool:
        for turn in range(1, 11):
            wanted: list[dict[str, Any]] = [{"name": f"n{turn}"}, {"priority": turn}, {"parallelism": turn}]
            changes = [*wanted, {"budget": {"trials": 20 + turn}}]
            list(pool.map(lambda change: http.patch(path, json=change).raise_for_status(), changes))
            request = http.get(path).json()["request"]
            found = (request["name"], request["priority"], request["parallelism"], request["budget"]["trials"])
            assert found == (f"n{turn}", turn, turn, 20 + turn)


@pytest.fixture
def guarded(engine: Engine) -> FastAPI:
    """A service that asks for keys, and lets a client have one open job."""
    return create_app(Settings(_env_file=None, require_key=True, key_secret=SECRET, open_jobs=1), engine)


def test_clients_steer_their_own_jobs_within_their_limits(guarded: FastAPI, engine: Engine) -> None:
    def key(name: str, scope: str) -> dict[str, str]:
        with engine.begin() as connection:
            token, _ = create_key(connection, [SECRET.encode()], name, KeyScope(scope))
        return {"Authorization": f"Bearer {token}"}

    mine, others, reader, admin = key("ci", "submit"), key("you", "submit"), key("eye", "read"), key("root", "admin")
    with TestClient(guarded, "http://localhost") as http:
        job = http.post("/v1/jobs", json={"task": "digits", "budget": {"trials": 2}}, headers=mine).json()["id"]
        path = f"/v1/jobs/{job}"
        for headers in (others, reader, {}):
            status = 403 if headers else 401
            assert http.post(f"{path}/pause", headers=headers).status_code == status
            assert http.post(f"{path}/resume", headers=headers).status_code == status
            assert http.patch(path, json={"priority": 9}, headers=headers).status_code == status
        assert http.post(f"{path}/pause", headers=mine).status_code == 200
        assert http.post(f"{path}/resume", headers=admin).status_code == 200
        complete(engine, job)
        assert http.post("/v1/jobs", json={"task": "digits"}, headers=mine).status_code == 201
        again = http.patch(path, json={"budget": {"trials": 9}}, headers=mine)
        assert (again.status_code, "ci' has 1 jobs" in again.json()["detail"]) == (429, True)
        assert http.patch(path, json={"name": "old"}, headers=mine).json()["state"] == "completed"
    query = "SELECT data ->> 'by' FROM events WHERE job_id = :job ORDER BY id"
    with engine.connect() as connection:
        assert connection.execute(text(query), {"job": job}).scalars().all() == ["ci", "ci", "root", "ci"]
