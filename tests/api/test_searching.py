"""Jobs and trials found by what they are, within a job and across jobs, in pages that stay right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DataError
from starlette.testclient import TestClient

from actsearch.store import searching

Submit = Callable[..., dict[str, Any]]
Finish = Callable[..., None]
VALUES = [0.5, 0.9, None, 0.9, 0.1, 0.5, None, 0.5, 0.7, 0.9, 0.2]


def paged(http: TestClient, path: str, limit: int, **query: Any) -> list[dict[str, Any]]:
    """Everything that a list gives, page after page."""
    items: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        answer = http.get(path, params=query | {"limit": limit} | ({"cursor": cursor} if cursor else {}))
        assert answer.status_code == 200, answer.text
        items += answer.json()["items"]
        cursor = answer.json()["next_cursor"]
        if cursor is None:
            return items


def told(answer: Any) -> tuple[int, str, str]:
    """Status of a refusal, with the field and the message of its only problem."""
    [problem] = answer.json()["errors"]
    return answer.status_code, problem["field"], problem["message"]


@pytest.fixture
def job(submit: Submit, finish: Finish) -> dict[str, Any]:
    """A job with trials that tie and trials that failed."""
    made = submit(name="first", labels=["ablation", "b"])
    finish(made["id"], VALUES)
    return made


@pytest.mark.parametrize(
    ("written", "holds"),
    [
        ("value > 0.5", lambda n, v: v is not None and v > 0.5),
        ("value == None", lambda n, v: v is None),
        ('state == "failed" or number < 2', lambda n, v: v is None or n < 2),
        ("metrics.validation_accuracy >= 0.9", lambda n, v: v is not None and v >= 0.9),
        ('family == "elu" and not value > 0.6', lambda n, v: n % 4 == 1 and not (v is not None and v > 0.6)),
        ('failure == "diverged"', lambda n, v: v is None),
        ("is_baseline", lambda n, v: n == 0),
        ('"a" in worker and seconds >= 0 and number > 3', lambda n, v: False),
        ('"ork" in worker and seconds >= 0 and number > 3', lambda n, v: n > 3),
    ],
)
@pytest.mark.parametrize(("limit", "sort"), [(3, "number"), (1000, "-number"), (2, "-value"), (2, "seconds")])
def test_trials_of_a_job(
    http: TestClient, job: dict[str, Any], written: str, holds: Callable[..., bool], limit: int, sort: str
) -> None:
    found = paged(http, f"/v1/jobs/{job['id']}/trials", limit, filter=written, sort=sort)
    expected = {n for n, v in enumerate(VALUES) if holds(n, v) and not (v is None and sort == "-value")}
    assert sorted(trial["number"] for trial in found) == sorted(expected)
    if sort == "-value":
        assert [trial["value"] for trial in found] == sorted((trial["value"] for trial in found), reverse=True)


def test_trials_are_sorted_by_a_metric_and_nothing_else_is_said_of_them(http: TestClient, job: dict[str, Any]) -> None:
    path = f"/v1/jobs/{job['id']}/trials"
    by_metric = paged(http, path, 2, sort="-metrics.validation_accuracy")
    assert by_metric == paged(http, path, 100, sort="-value")


def test_trials_of_all_jobs(http: TestClient, job: dict[str, Any], submit: Submit, finish: Finish) -> None:
    other = submit(task="wine")
    finish(other["id"], [0.1, 0.95])
    everything = paged(http, "/v1/trials", 4)
    assert len(everything) == len(VALUES) + 2
    assert [trial["job_id"] for trial in everything[:2]] == [other["id"]] * 2
    good = paged(http, "/v1/trials", 2, filter="value >= 0.9", sort="-value")
    assert [trial["value"] for trial in good] == [0.95, 0.9, 0.9, 0.9]
    assert len(paged(http, "/v1/trials", 5, filter='job.task == "digits" and "ablation" in job.labels')) == len(VALUES)
    assert len(paged(http, "/v1/trials", 5, filter=f'job.id == "{other["id"]}"')) == 2
    assert paged(http, "/v1/trials", 5, filter='job.name == "nobody"') == []


def test_what_arrives_between_two_pages_moves_nothing(
    http: TestClient, job: dict[str, Any], submit: Submit, finish: Finish
) -> None:
    wanted = {"filter": "value > 0", "sort": "-value", "limit": 3}
    first = http.get("/v1/trials", params=wanted).json()
    finish(submit()["id"], [0.99, 0.05])
    rest = paged(http, "/v1/trials", 3, filter="value > 0", sort="-value", cursor=first["next_cursor"])
    cursor, seen = first["next_cursor"], list(first["items"])
    while cursor:
        page = http.get("/v1/trials", params={**wanted, "cursor": cursor}).json()
        seen += page["items"]
        cursor = page["next_cursor"]
    assert rest
    assert len({trial["id"] for trial in seen}) == len(seen)
    assert [t["value"] for t in seen] == [0.9, 0.9, 0.9, 0.7, 0.5, 0.5, 0.5, 0.2, 0.1, 0.05]


def test_jobs(http: TestClient, job: dict[str, Any], submit: Submit, finish: Finish) -> None:
    other = submit(task="wine", priority=5, labels=["b"])
    finish(other["id"], [0.95])
    third = submit(name="Third Run", seed=3)
    names = {job["id"]: "first", other["id"]: "other", third["id"]: "third"}

    def found(written: str | None = None, sort: str | None = None) -> list[str]:
        query = {name: value for name, value in {"filter": written, "sort": sort}.items() if value}
        return [names[item["id"]] for item in paged(http, "/v1/jobs", 1, **query)]

    assert found() == ["third", "other", "first"]
    assert found('"b" in labels') == ["other", "first"]
    assert found('"ablation" in labels and state == "running"') == ["first"]
    assert found('"run" in name') == ["third"]
    assert found("request.seed == 3") == ["third"]
    assert sorted(found("request.budget.trials == 12", "name")) == ["first", "third"]
    assert found("priority > 0 or failed == 2", "priority") == ["first", "other"]
    assert found(None, "-value") == ["other", "first"]
    assert found('task in ["wine"] and created_at > "2020-01-01"') == ["other"]
    assert found('created_at < "2020-01-01"') == []
    assert http.get("/v1/jobs", params={"filter": "mine"}).status_code == 422


def test_labels_are_changed(http: TestClient, job: dict[str, Any]) -> None:
    assert job["labels"] == ["ablation", "b"]
    path = f"/v1/jobs/{job['id']}"
    assert http.patch(path, json={"labels": ["c", "c"]}).json()["labels"] == ["c"]
    assert http.patch(path, json={"priority": 1}).json()["labels"] == ["c"]
    assert http.patch(path, json={"labels": []}).json()["labels"] == []
    for wrong in ([""], ["a\nb"], ["x" * 51], [str(n) for n in range(21)], "c"):
        assert http.patch(path, json={"labels": wrong}).status_code == 422


@pytest.mark.parametrize(
    ("query", "field", "says"),
    [
        ({"filter": "metrics.validation_acuracy > 0.5"}, "filter", "did you mean metrics.validation_accuracy?"),
        ({"sort": "-metrics.validation_acuracy"}, "sort", "did you mean metrics.validation_accuracy?"),
        ({"filter": "valu > 0.5"}, "filter", "did you mean value"),
        ({"filter": "value = 0.5"}, "filter", "write == to compare"),
        ({"filter": 'state == "completed"'}, "filter", "did you mean complete?"),
        ({"sort": "valu"}, "sort", "did you mean value"),
        ({"filter": "value > 0.5", "cursor": "x"}, "cursor", "not a cursor of this list"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/trials", "/v1/jobs/{id}/trials"])
def test_what_is_mistyped_is_told(
    http: TestClient, job: dict[str, Any], path: str, query: dict[str, str], field: str, says: str
) -> None:
    status, named, message = told(http.get(path.format(**job), params=query))
    assert (status, named) == (422, field)
    assert says in message


def test_a_cursor_is_of_one_filter_and_order(http: TestClient, job: dict[str, Any]) -> None:
    first = http.get("/v1/trials", params={"filter": "value > 0", "limit": 2}).json()
    for other in ({"filter": "value > 0.1"}, {"filter": "value > 0", "sort": "value"}, {}):
        assert told(http.get("/v1/trials", params=other | {"cursor": first["next_cursor"]}))[:2] == (422, "cursor")


def test_what_no_trial_of_a_young_job_has_yet_is_no_mistake(http: TestClient, submit: Submit) -> None:
    path = f"/v1/jobs/{submit()['id']}/trials"
    assert http.get(path, params={"filter": "metrics.validation_accuracy > 0.5"}).json()["items"] == []


def test_a_search_that_takes_long_is_ended_and_leaves_nothing(
    http: TestClient, job: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "PATIENCE", 0.05)
    monkeypatch.setattr("actsearch.store.trials._FROM", "FROM trials t JOIN jobs j USING (study_id), pg_sleep(0.2)")
    status, field, message = told(http.get("/v1/trials", params={"filter": "value > 0.5"}))
    assert (status, field) == (422, "filter")
    assert "narrow it" in message
    monkeypatch.undo()
    for _ in range(5):  # whichever connection of the pool
        assert http.get("/v1/trials", params={"filter": "value > 0.5"}).status_code == 200


def test_to_sort_by_what_holds_no_numbers_is_told(http: TestClient, job: dict[str, Any], engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE trials SET params = CAST(:params AS jsonb)"), {"params": '{"gate": "tanh"}'})
    path = f"/v1/jobs/{job['id']}/trials"
    assert len(http.get(path, params={"filter": 'params.gate == "tanh"'}).json()["items"]) == len(VALUES)
    status, field, message = told(http.get(path, params={"sort": "params.gate"}))
    assert (status, field) == (422, "sort")
    assert "params.gate holds no numbers" in message


def test_whatever_goes_wrong_a_connection_keeps_no_limit(http: TestClient) -> None:
    with http.app.state.reads.connect() as connection:  # type: ignore[attr-defined]
        with pytest.raises(DataError):
            searching._patiently(connection, "SELECT 1 / 0", {})
        assert connection.exec_driver_sql("SHOW statement_timeout").scalar() == "0"


def test_every_connection_waits_again_as_long_as_it_takes(http: TestClient, job: dict[str, Any]) -> None:
    paged(http, "/v1/trials", 2, filter="value > 0.5")
    for _ in range(5):
        with http.app.state.reads.connect() as connection:  # type: ignore[attr-defined]
            assert connection.exec_driver_sql("SHOW statement_timeout").scalar() == "0"
