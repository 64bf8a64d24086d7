"""Every endpoint on a real database: what it answers when all is well."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial
from sqlalchemy import Engine, text
from starlette.testclient import TestClient

from actsearch.schemas import JobState
from actsearch.store import OptunaStorage, jobs

Submit = Callable[..., dict[str, Any]]
Finish = Callable[..., None]


def test_a_submitted_job_waits_and_says_that_no_worker_is_online(http: TestClient, engine: Engine) -> None:
    answer = http.post("/v1/jobs", json={"task": "digits", "budget": {"trials": 5}, "parallelism": 3, "name": "mine"})

    job = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    assert (job["state"], job["workers_online"], job["name"]) == ("queued", 0, "mine")
    assert job["progress"] == {
        "budget": 5, "finished": 0, "complete": 0, "pruned": 0, "failed": 0, "running": 0, "waiting": 1,
    }  # fmt: skip
    assert http.get(answer.headers["location"]).json() == job
    with engine.connect() as connection:
        query = text("SELECT count(*) FROM procrastinate_jobs WHERE args ->> 'job_id' = :job AND status = 'todo'")
        assert connection.execute(query, {"job": job["id"]}).scalar() == 3


def test_jobs_are_listed_newest_first_and_by_state(http: TestClient, submit: Submit) -> None:
    first, second = submit(name="first"), submit(name="second")
    http.post(f"/v1/jobs/{first['id']}/cancel")

    def names(**query: str) -> list[str]:
        return [job["name"] for job in http.get("/v1/jobs", params=query).json()["items"]]

    assert names() == ["second", "first"]
    assert names(state="cancelled") == ["first"]
    assert names(state="queued") == [second["name"]]
    assert names(state="failed") == []


def test_a_list_of_jobs_is_short_and_gives_the_rest_where_it_is_asked_for(
    http: TestClient, submit: Submit, finish: Finish
) -> None:
    job = submit(name="mine")
    finish(job["id"], [0.5, 0.75, 0.25])
    [short] = http.get("/v1/jobs").json()["items"]
    whole = http.get(f"/v1/jobs/{job['id']}").json()

    shared = whole.keys() - {"best", "request", "verdict", "notes"}
    assert {name: short[name] for name in shared} == {name: whole[name] for name in shared}
    assert short["best"] == {name: whole["best"][name] for name in ("id", "number", "value", "family")}
    assert (short["request"], short["verdict"], short["notes"]) == (None, None, None)
    [more] = http.get("/v1/jobs", params={"fields": ["request", "notes"]}).json()["items"]
    assert (more["request"], more["verdict"], more["notes"]) == (whole["request"], None, whole["notes"])
    assert http.get(f"/v1/jobs/{job['id']}/request").json() == whole["request"]
    assert http.get("/v1/jobs", params={"fields": "curve"}).status_code == 422
    assert http.get(f"/v1/jobs/{uuid4()}/request").status_code == 404


def test_a_job_shows_progress_and_its_best_trial(http: TestClient, submit: Submit, finish: Finish) -> None:
    job = submit()
    finish(job["id"], [0.5, 0.9, None, 0.7])

    now = http.get(f"/v1/jobs/{job['id']}").json()

    assert now["state"] == "running"
    assert now["progress"]["finished"] == 4
    assert (now["progress"]["complete"], now["progress"]["failed"]) == (3, 1)
    assert (now["best"]["number"], now["best"]["value"]) == (1, 0.9)


def test_cancel_ends_what_waits_and_only_once(http: TestClient, submit: Submit) -> None:
    job = submit()

    cancelled = http.post(f"/v1/jobs/{job['id']}/cancel")
    again = http.post(f"/v1/jobs/{job['id']}/cancel")

    assert cancelled.status_code == 200
    assert cancelled.json()["state"] == "cancelled"
    assert cancelled.json()["progress"]["waiting"] == 0
    assert again.status_code == 409
    assert again.json()["detail"] == "a job that is cancelled cannot be cancelled"
    (trial,) = http.get(f"/v1/jobs/{job['id']}/trials").json()["items"]
    assert trial["failure"]["reason"] == "cancelled"


def test_trials_are_filtered_and_one_comes_with_its_curve(http: TestClient, submit: Submit, finish: Finish) -> None:
    job = submit()
    finish(job["id"], [0.5, 0.9, None, 0.7, 0.6])
    url = f"/v1/jobs/{job['id']}/trials"

    def numbers(**query: str) -> list[int]:
        return [trial["number"] for trial in http.get(url, params=query).json()["items"]]

    assert numbers() == [0, 1, 2, 3, 4]
    assert numbers(sort="-number") == [4, 3, 2, 1, 0]
    assert numbers(sort="-value") == [1, 3, 4, 0]
    assert numbers(sort="value", state="complete") == [0, 4, 3, 1]
    assert numbers(state="failed") == [2]
    assert numbers(family="elu") == [1]
    assert numbers(family="no such family") == []

    listed = http.get(url).json()["items"][1]
    trial = http.get(f"/v1/trials/{listed['id']}").json()
    assert trial == listed | {"curve": [{"epoch": 1, "metrics": {"validation_accuracy": 0.5}}]}


def test_rankings_share_ranks_and_place_the_baseline(http: TestClient, submit: Submit, finish: Finish) -> None:
    job = submit()
    finish(job["id"], [0.5, 0.9, None, 0.9, 0.8])
    url = f"/v1/jobs/{job['id']}/ranking"

    by_trial = http.get(url).json()
    by_family = http.get(url, params={"by": "family", "limit": 2}).json()

    assert [(e["rank"], e["trial"]["number"]) for e in by_trial["entries"]] == [(1, 1), (1, 3), (3, 4), (4, 0)]
    assert (by_trial["baseline"]["rank"], by_trial["baseline"]["trial"]["is_baseline"]) == (4, True)
    assert by_trial["objective"] == {"metric": "accuracy", "direction": "maximize"}
    assert [(e["rank"], e["family"]) for e in by_family["entries"]] == [(1, "elu"), (1, "tanh")]
    relu = by_family["baseline"]
    assert (relu["rank"], relu["family"], relu["trials"], relu["best"]) == (3, "relu", 2, 0.8)
    assert relu["mean"] == pytest.approx(0.65)


def test_activations_are_ranked_with_their_trials_merged(http: TestClient, submit: Submit, finish: Finish) -> None:
    job = submit()
    finish(job["id"], [0.5, 0.9, 0.6, 0.7, 0.8, 0.8])  # the last two have the families of the first two

    ranked = http.get(f"/v1/jobs/{job['id']}/ranking", params={"by": "activation"}).json()

    found = [(e["rank"], e["family"], e["trials"], e["best"], e["is_baseline"]) for e in ranked["entries"]]
    assert found[:2] == [(1, "elu", 2, 0.9, False), (2, "relu", 1, 0.8, False)]
    assert (ranked["baseline"]["best"], ranked["baseline"]["replicates"]) == (0.5, 0)


def test_importances_say_what_the_objective_depends_on(http: TestClient, submit: Submit, engine: Engine) -> None:
    job = submit()
    study = optuna.load_study(study_name=job["id"], storage=OptunaStorage(engine))
    both = {name: FloatDistribution(0, 1) for name in ("matters", "does not")}
    for i in range(24):
        params = {"matters": i / 24, "does not": i * 7 % 24 / 24}
        study.add_trial(create_trial(params=params, distributions=both, value=params["matters"]))

    found = http.get(f"/v1/jobs/{job['id']}/importances").json()

    assert (found["job_id"], found["trials"]) == (job["id"], 24)
    assert found["shared"]["matters"] > 0.9 > 0.1 > found["shared"]["does not"]
    assert http.get(f"/v1/jobs/{job['id']}/importances", params={"evaluator": "tarot"}).status_code == 422


def test_the_leaderboard_has_completed_jobs_of_the_pair(
    http: TestClient, submit: Submit, finish: Finish, engine: Engine
) -> None:
    pair = {"architecture": "mlp", "task": "digits"}
    job, running = (submit()["id"] for _ in range(2))
    finish(job, [0.5, 0.9, 0.4, 0.7])
    finish(running, [0.5, 1.0])
    with engine.begin() as connection:
        jobs.transition(connection, UUID(job), JobState.completed)

    board = http.get("/v1/leaderboard", params=pair).json()

    assert [(e["family"], e["job_id"], e["evidence"]) for e in board["entries"]] == [
        (family, job, "search") for family in ("elu", "tanh", "gelu")
    ]
    assert [e["gain"] for e in board["entries"]] == pytest.approx([0.4, 0.2, -0.1])
    assert http.get("/v1/leaderboard", params=pair | {"task": "wine"}).json()["entries"] == []
    assert http.get("/v1/leaderboard", params={"task": "digits"}).status_code == 422


@pytest.mark.parametrize("subject", ["activations", "architectures", "tasks"])
def test_the_catalogue_says_what_can_be_searched(http: TestClient, subject: str) -> None:
    items = {item["name"]: item for item in http.get(f"/v1/{subject}").json()["items"]}
    assert (
        set(items)
        >= {
            "activations": {"relu", "leaky_relu", "elu", "gelu", "swish_relu_mix"},
            "architectures": {"mlp", "convnet"},
            "tasks": {"digits", "mnist1d", "breast_cancer"},
        }[subject]
    )
    if subject == "activations":
        (slope,) = items["leaky_relu"]["parameters"]
        assert slope["low"] < slope["default"] < slope["high"]
    if subject == "architectures":
        assert {name: items[name]["baseline"]["family"] for name in ("mlp", "rnn")} == {"mlp": "relu", "rnn": "tanh"}


def test_health(http: TestClient) -> None:
    for path in ("/healthz", "/readyz"):
        assert http.get(path).json() == {"status": "ok"}
    assert http.get("/v1/workers").json() == {"items": [], "next_cursor": None}


def test_a_worker_says_why_devices_of_it_take_no_work(http: TestClient, engine: Engine) -> None:
    problem = "cpu takes no work: its process died (exit code -9) while starting; next try after 4 s"
    with engine.begin() as connection:
        for number, problems in enumerate([[], [problem], [problem, problem]]):
            known = "INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id"
            values = {"queue": connection.execute(text(known)).scalar_one(), "problems": problems, "id": uuid4()}
            row = "(:id, :name, :queue, '{cpu, cpu}', :problems)"
            connection.execute(
                text(f"INSERT INTO workers (id, name, queue_worker_id, devices, problems) VALUES {row}"),
                values | {"name": f"worker-{number}"},
            )
    items = http.get("/v1/workers").json()["items"]
    assert {item["name"]: len(item["problems"]) for item in items} == {"worker-0": 0, "worker-1": 1, "worker-2": 2}
    assert {line for item in items for line in item["problems"]} == {problem}
    job = http.post("/v1/jobs", json={"task": "digits"}).json()
    assert job["workers_online"] == 2  # not the one none of whose devices takes work


def test_a_database_that_is_not_migrated_is_not_ready(http: TestClient, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    answer = http.get("/readyz")
    assert answer.status_code == 503
    assert "run `actsearch db upgrade`" in answer.json()["detail"]


def test_every_answer_carries_a_request_id(http: TestClient) -> None:
    assert http.get("/healthz", headers={"X-Request-ID": "abc-1"}).headers["x-request-id"] == "abc-1"
    for unusable in ("", "a b", "x" * 101):
        made_up = http.get("/healthz", headers={"X-Request-ID": unusable}).headers["x-request-id"]
        assert made_up != unusable
        assert len(made_up) == 32
    assert http.get("/nowhere").headers["x-request-id"]


def test_the_home_page_is_the_dashboard(http: TestClient) -> None:
    assert http.get("/").headers["location"] == "/dashboard"


def test_head_answers_like_get_without_a_body(http: TestClient, submit: Submit) -> None:
    job = submit()
    for path in ("/healthz", "/v1/jobs", f"/v1/jobs/{job['id']}", "/v1/activations", "/dashboard"):
        answer = http.head(path)
        assert answer.status_code == http.get(path, follow_redirects=False).status_code, path
        assert answer.content == b"", path


def test_large_answers_are_compressed_and_small_ones_are_not(
    http: TestClient, submit: Callable[..., dict[str, Any]]
) -> None:
    job = http.get(f"/v1/jobs/{submit()['id']}", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in job.headers
    large = http.get("/openapi.json", headers={"Accept-Encoding": "gzip"})
    assert large.headers["content-encoding"] == "gzip"
    plain = http.get("/openapi.json", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.json() == large.json()
