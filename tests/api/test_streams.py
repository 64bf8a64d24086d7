"""A job followed as it changes: nothing missed, nothing twice, whatever ends the stream; others are served, too."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, text
from starlette.testclient import TestClient

from actsearch.store import jobs
from actsearch_api import live

Submit = Callable[..., dict[str, Any]]
Finish = Callable[..., None]
ASKED = {"accept": "text/event-stream"}


def messages(answer: httpx.Response) -> Iterator[dict[str, Any]]:
    """What a stream says, without its heart-beats."""
    told: dict[str, Any] = {}
    for line in answer.iter_lines():
        if line:
            name, _, value = line.partition(": ")
            told[name] = value
        else:
            if "event" in told:
                yield told | {"data": json.loads(told["data"])}
            told = {}


def follow(address: str, job: str, last: int | None = None) -> list[dict[str, Any]]:
    """All that the stream of a job says until its end."""
    headers = ASKED | ({"last-event-id": str(last)} if last is not None else {})
    with httpx.stream("GET", f"{address}/v1/jobs/{job}/events", headers=headers, timeout=60) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        return list(messages(answer))


def states(told: list[dict[str, Any]]) -> list[str]:
    return [message["data"]["data"]["state"] for message in told if message["event"] == "state"]


def steer(engine: Engine, job: str, how: Callable[..., None]) -> None:
    with engine.begin() as connection:
        how(connection, UUID(job))


def test_a_job_is_told_to_its_end(address: str, submit: Submit, finish: Finish, engine: Engine) -> None:
    job = submit()["id"]
    told: list[dict[str, Any]] = []
    reader = threading.Thread(target=lambda: told.extend(follow(address, job)))
    reader.start()
    time.sleep(0.5)
    begin = time.monotonic()
    for values in ([0.5, 0.6], [0.7], [0.8, None]):
        finish(job, values)
        time.sleep(0.4)
    steer(engine, job, jobs.pause)
    steer(engine, job, jobs.resume)
    steer(engine, job, jobs.cancel)
    reader.join(30)
    assert time.monotonic() - begin < live.LOOK_AGAIN  # woken, and not found by looking
    assert states(told) == ["queued", "running", "paused", "queued", "cancelled"]
    ids = [int(message["id"]) for message in told if "id" in message]
    assert ids == sorted(set(ids))
    finished = [message["data"]["progress"]["finished"] for message in told if message["event"] == "job"]
    assert finished == sorted(finished)
    assert {2, 3, 5} <= set(finished)
    assert [message["event"] for message in told].count("end") == 1
    assert told[-1]["event"] == "end"
    assert told[-2]["data"]["state"] == "cancelled"


def test_a_broken_stream_goes_on_without_gap_or_double(address: str, submit: Submit, engine: Engine) -> None:
    job = submit()["id"]
    for _ in range(4):
        steer(engine, job, jobs.pause)
        steer(engine, job, jobs.resume)
    steer(engine, job, jobs.cancel)
    whole = [message for message in follow(address, job) if "id" in message]
    assert len(whole) == 10
    for cut in range(len(whole) - 1):
        rest = follow(address, job, int(whole[cut]["id"]))
        assert [message["id"] for message in rest if "id" in message] == [m["id"] for m in whole[cut + 1 :]]
    over = httpx.get(f"{address}/v1/jobs/{job}/events", headers=ASKED | {"last-event-id": whole[-1]["id"]}, timeout=60)
    assert over.status_code == 204  # a browser asks no more


def test_what_cannot_be_followed(http: TestClient, submit: Submit) -> None:
    path = f"/v1/jobs/{submit()['id']}/events"
    assert http.get("/v1/jobs/00000000-0000-0000-0000-000000000000/events", headers=ASKED).status_code == 404
    for wrong in ("x", "-1", str(2**63), "1.5"):
        refused = http.get(path, headers=ASKED | {"last-event-id": wrong})
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["field"].lower() == "last-event-id"
    assert http.get(path).json()["items"][0]["data"] == {"state": "queued"}


def test_a_lost_listener_is_made_anew(address: str, submit: Submit, engine: Engine) -> None:
    job = submit()["id"]
    told: list[dict[str, Any]] = []
    reader = threading.Thread(target=lambda: told.extend(follow(address, job)))
    reader.start()
    time.sleep(1)
    with engine.begin() as connection:
        listens = "query LIKE 'LISTEN %' AND datname = current_database()"
        ended = text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {listens}")
        assert connection.execute(ended).scalars().all() == [True]
    steer(engine, job, jobs.pause)
    time.sleep(live.RECONNECT + 1)
    begin = time.monotonic()
    steer(engine, job, jobs.cancel)
    reader.join(30)
    assert time.monotonic() - begin < live.LOOK_AGAIN - 1
    assert states(told) == ["queued", "paused", "cancelled"]


def test_hundred_streams_leave_room_for_others_and_end_at_shutdown(
    app: FastAPI, address: str, submit: Submit, engine: Engine, finish: Finish
) -> None:
    job = submit()["id"]
    counts: list[list[str]] = []

    def read() -> None:
        counts.append(states(follow(address, job)))

    readers = [threading.Thread(target=read) for _ in range(100)]
    for reader in readers:
        reader.start()
    time.sleep(3)
    finish(job, [0.5])
    took = []
    for _ in range(10):
        begin = time.monotonic()
        assert httpx.get(f"{address}/v1/jobs/{job}", timeout=30).status_code == 200
        took.append(time.monotonic() - begin)
    steer(engine, job, jobs.cancel)
    for reader in readers:
        reader.join(60)
    assert sorted(took)[5] < 1
    assert counts == [["queued", "running", "cancelled"]] * 100
    assert app.state.live._listener is None  # nobody follows any more


def test_shutdown_does_not_wait_for_streams(engine: Engine, submit: Submit, tmp_path: Path) -> None:
    job = submit()["id"]
    url = engine.url.render_as_string(hide_password=False)
    environment = os.environ | {"ACTSEARCH_DATABASE_URL": url, "ACTSEARCH_PORT": "0", "ACTSEARCH_LOG_FORMAT": "json"}
    log = tmp_path / "log"
    with log.open("wb") as out:
        server = subprocess.Popen([sys.executable, "-m", "actsearch", "serve"], env=environment, stdout=out, stderr=out)
    try:
        while not (found := re.search(r"http://127\.0\.0\.1:\d+", log.read_text())):
            assert server.poll() is None, log.read_text()
            time.sleep(0.1)
        with httpx.stream("GET", f"{found.group()}/v1/jobs/{job}/events", headers=ASKED, timeout=60) as answer:
            going_on = messages(answer)  # closed with the last name for it
            first = next(going_on)
            begin = time.monotonic()
            server.terminate()
            with suppress(httpx.RemoteProtocolError):  # cut off: a client goes on with it elsewhere
                assert [message["event"] for message in going_on] == ["job"]
        assert server.wait(30) == -signal.SIGTERM  # as uvicorn ends, having closed all
    finally:
        server.kill()
    assert first["event"] == "state"
    assert time.monotonic() - begin < 5


def test_a_stream_too_many_is_told_to_come_later(address: str, submit: Submit, monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"{address}/v1/jobs/{submit()['id']}/events"
    monkeypatch.setattr(live, "MOST", 1)
    with httpx.stream("GET", path, headers=ASKED, timeout=60) as first:
        going_on = messages(first)
        next(going_on)
        refused = httpx.get(path, headers=ASKED, timeout=60)
        assert refused.status_code == 503
        assert "retry-after" in refused.headers
        assert httpx.get(path, timeout=60).status_code == 200
        assert next(going_on)["event"] == "job"


def test_a_quiet_stream_is_kept_alive(address: str, submit: Submit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "HEARTBEAT", 0.3)
    monkeypatch.setattr(live, "LONGEST", 3.0)
    path = f"{address}/v1/jobs/{submit()['id']}/events"
    with httpx.stream("GET", path, headers=ASKED, timeout=60) as answer:
        assert len([line for line in answer.iter_lines() if line.startswith(": ping")]) >= 3


def test_a_stream_ends_now_and_then(address: str, submit: Submit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "LONGEST", 0.5)
    told = follow(address, submit()["id"])
    assert states(told) == ["queued"]
    assert "end" not in [message["event"] for message in told]
