"""What is refused, and how it is said: problem details (RFC 9457) that name the field; nothing is created."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any
from uuid import uuid4

import pytest
from httpx import Response
from sqlalchemy import Engine, text
from starlette.testclient import TestClient

from actsearch.settings import Settings
from actsearch_api.app import create_app

Submit = Callable[..., dict[str, Any]]
CURSORS = ("x", "e30=", "bnVsbA==", "WzFd", "é", "\u0000", "A" * 1001)
FINE: dict[str, Any] = {"task": "digits", "budget": {"trials": 3}}


def assert_problem(answer: Response, status: int) -> dict[str, Any]:
    """The answer is a problem detail."""
    problem: dict[str, Any] = answer.json()
    assert answer.status_code == status, problem
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    return problem


@pytest.fixture(scope="module")
def refusing(module_engine: Engine) -> Iterator[TestClient]:
    """A client of the service, for requests that leave no trace."""
    with TestClient(
        create_app(Settings(_env_file=None), module_engine), "http://localhost", raise_server_exceptions=False
    ) as client:
        yield client


@pytest.fixture
def nothing_created(module_engine: Engine) -> Callable[[], None]:
    """Check that no table has a row of a job."""

    def check() -> None:
        with module_engine.connect() as connection:
            for table in ("jobs", "studies", "trials", "events", "procrastinate_jobs"):
                assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar() == 0, table

    return check


@pytest.mark.parametrize(
    ("changes", "field", "allowed"),
    [
        ({"space": {"families": ["relu", "relux"]}}, "space.families.1.name", "gelu"),
        (
            {"space": {"families": [{"name": "leaky_relu", "parameters": {"slope": {"low": 0.1, "high": 1e9}}}]}},
            "space.families.0.parameters.slope.high",
            None,
        ),
        (
            {"space": {"families": [{"name": "elu", "parameters": {"slope": 0.1}}]}},
            "space.families.0.parameters.slope",
            "alpha",
        ),
        ({"space": {"families": []}}, "space.families", None),
        ({"space": {"placement": "everywhere"}}, "space.placement", "network"),
        ({"space": {"training": {"learning_rate": {"low": -1, "high": 1}}}}, "space.training.learning_rate.low", None),
        ({"space": {"architecture": {"widht": {"choices": [8]}}}}, "space.architecture.widht", "width"),
        ({"task": "digitz"}, "task.name", "digits"),
        ({"task": 7}, "task", None),
        ({"architecture": "resnet9000"}, "architecture.name", "mlp"),
        ({"architecture": {"name": "mlp", "parameters": {"depth": 0}}}, "architecture.parameters.depth", None),
        ({"baseline": {"family": "nothing"}}, "baseline.family", "relu"),
        ({"baseline": {"family": "elu", "parameters": {"alpha": -5}}}, "baseline.parameters.alpha", None),
        ({"budget": {"trials": -1}}, "budget.trials", None),
        ({"budget": {"trials": 10**9}}, "budget.trials", None),
        ({"objective": {"metric": "beauty"}}, "objective.metric", "accuracy"),
        ({"sampler": "oracle"}, "sampler", "tpe"),
        ({"pruner": {"name": "axe"}}, "pruner.name", "hyperband"),
        ({"training": {"learning_rate": 0}}, "training.learning_rate", None),
        ({"parallelism": 0}, "parallelism", None),
        ({"name": "bell\u0007"}, "name", None),
        ({"surprise": 1}, "surprise", None),
    ],
)
def test_a_wrong_request_is_refused_by_field(
    refusing: TestClient, nothing_created: Callable[[], None], changes: dict[str, Any], field: str, allowed: str | None
) -> None:
    problem = assert_problem(refusing.post("/v1/jobs", json=FINE | changes), 422)

    found = {error["field"]: error for error in problem["errors"]}
    assert field in found
    assert found[field]["message"]
    if allowed is not None:
        assert allowed in found[field]["allowed"]
    nothing_created()


def test_every_offending_field_is_named_at_once(refusing: TestClient) -> None:
    wrong = {"task": "digitz", "baseline": {"family": "nothing"}, "space": {"families": ["relux"]}}
    problem = assert_problem(refusing.post("/v1/jobs", json=wrong), 422)
    assert {error["field"] for error in problem["errors"]} == {
        "task.name", "baseline.family", "space.families.0.name",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (json.dumps(FINE | {"name": "x" * 2_000_000}), {"Content-Type": "application/json"}, 413),
        (json.dumps(FINE), {"Content-Type": "text/plain"}, 415),
        (json.dumps(FINE), {"Content-Type": "multipart/form-data; boundary=x"}, 415),
        (json.dumps(FINE), {}, 415),
        ("{not json", {"Content-Type": "application/json"}, 400),
        ('{"task": NaN}', {"Content-Type": "application/json"}, 422),
        ("[" * 100_000, {"Content-Type": "application/json"}, 400),
        (b'{"task": "\xff\xfe"}', {"Content-Type": "application/json"}, 400),
        ("", {"Content-Type": "application/json"}, 422),
        ("[]", {"Content-Type": "application/json"}, 422),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(
    refusing: TestClient, nothing_created: Callable[[], None], body: str | bytes, headers: dict[str, str], status: int
) -> None:
    assert_problem(refusing.post("/v1/jobs", content=body, headers=headers), status)
    nothing_created()


@pytest.mark.parametrize("path", ["", "/trials", "/ranking", "/cancel"])
def test_an_unknown_job_is_404_and_a_bad_id_422(refusing: TestClient, path: str) -> None:
    ask = refusing.post if path == "/cancel" else refusing.get
    unknown = assert_problem(ask(f"/v1/jobs/{uuid4()}{path}"), 404)
    assert unknown["detail"].startswith("there is no job")
    malformed = assert_problem(ask(f"/v1/jobs/not-an-id{path}"), 422)
    assert malformed["errors"][0]["field"] == "job_id"


def test_an_unknown_trial_is_404_and_a_bad_id_422(refusing: TestClient) -> None:
    assert_problem(refusing.get(f"/v1/trials/{uuid4()}"), 404)
    malformed = assert_problem(refusing.get("/v1/trials/0"), 422)
    assert malformed["errors"][0]["field"] == "trial_id"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"state": "sleeping"}, "state"),
        ({"sort": "beauty"}, "sort"),
        ({"family": "a\u0000b"}, "family"),
        ({"colour": "red"}, "colour"),
        *[({"cursor": cursor}, "cursor") for cursor in CURSORS],
    ],
)
def test_a_wrong_query_is_refused_by_field(refusing: TestClient, query: dict[str, Any], field: str) -> None:
    # The query is checked before the job is looked for, but a cursor can only be checked with the list at hand.
    lists = [f"/v1/jobs/{uuid4()}/trials"] * (field != "cursor") + ["/v1/jobs"] * (field in ("limit", "cursor"))
    for path in lists:
        problem = assert_problem(refusing.get(path, params=query), 422)
        assert [error["field"] for error in problem["errors"]] == [field]


def test_a_made_up_cursor_of_trials_is_refused(http: TestClient, submit: Submit) -> None:
    path = f"/v1/jobs/{submit()['id']}/trials"
    for cursor, sort in product(CURSORS, ("number", "-value")):
        problem = assert_problem(http.get(path, params={"cursor": cursor, "sort": sort}), 422)
        assert [error["field"] for error in problem["errors"]] == ["cursor"]


def test_a_cursor_of_another_list_is_refused(http: TestClient, submit: Submit) -> None:
    job = submit()
    submit()
    cursor = http.get("/v1/jobs", params={"limit": 1}).json()["next_cursor"]
    assert_problem(http.get(f"/v1/jobs/{job['id']}/trials", params={"cursor": cursor}), 422)


def test_unknown_paths_and_methods_are_problems_too(refusing: TestClient) -> None:
    assert_problem(refusing.get("/v2/jobs"), 404)
    refused = refusing.put("/v1/jobs", json={})
    assert_problem(refused, 405)
    assert refused.headers["allow"]


RANGE = {"low": -1, "high": 1, "log": True}
ELU = {"name": "elu", "parameters": {"alpha": RANGE}}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"space": {"training": {"learning_rate": RANGE}}}, "space.training.learning_rate"),
        ({"space": {"architecture": {"width": {"low": 1}}}}, "space.architecture.width.high"),
        ({"space": {"architecture": {"width": {"choices": []}}}}, "space.architecture.width.choices"),
        ({"space": {"families": [ELU]}}, "space.families.0.parameters.alpha"),
        ({"space": {"families": "al"}}, "space.families"),
        ({"confirmation": {"finalists": "x"}}, "confirmation.finalists"),
        ({"warm_start": ["x"]}, "warm_start.0"),
    ],
)
def test_one_mistake_gives_one_error(refusing: TestClient, changes: dict[str, Any], field: str) -> None:
    """Not one for each type that the value might have had."""
    errors = assert_problem(refusing.post("/v1/jobs", json=FINE | changes), 422)["errors"]
    assert [error["field"] for error in errors] == [field]
    assert " or " not in errors[0]["message"]


def test_allow_names_every_method_of_a_path(http: TestClient) -> None:
    document = http.get("/openapi.json").json()
    for path, operations in document["paths"].items():
        answer = http.delete(path.replace("{", "").replace("}", ""))
        wanted = {method.upper() for method in operations} | ({"HEAD"} if "get" in operations else set())
        assert answer.status_code == 405, path
        assert set(answer.headers["allow"].split(", ")) == wanted, path


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"priority": True}, "priority"),
        ({"seed": False}, "seed"),
        ({"budget": {"trials": True}}, "budget.trials"),
        ({"budget": {"target": True}}, "budget.target"),
        ({"training": {"epochs": True}}, "training.epochs"),
        ({"sampler": {"name": "tpe", "n_startup_trials": True}}, "sampler.n_startup_trials"),
    ],
)
def test_true_is_not_one(http: TestClient, change: dict[str, Any], field: str) -> None:
    answer = http.post("/v1/jobs", json={"task": "digits"} | change)
    assert answer.status_code == 422, answer.text
    [error] = answer.json()["errors"]
    assert error["field"].endswith(field.rsplit(".", 1)[-1])
    assert "must be a number, not true or false" in error["message"]
