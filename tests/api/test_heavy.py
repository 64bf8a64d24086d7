"""Heavy answers: computed in a process of their own, kept while the job is the same, ended when nobody waits."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, get_args
from uuid import UUID

import anyio
import httpx
import psutil
import pytest
from fastapi import FastAPI
from sqlalchemy import Connection, Engine, text
from starlette.testclient import TestClient

from actsearch.errors import StoreError
from actsearch.schemas import Chart
from actsearch_api.apart import Endless, Failed, run_apart
from actsearch_api.heavy import HeavyAnswers

ENOUGH = 60.0
VALUES = [0.7, 0.8, 0.75, None, 0.72, 0.81, 0.74, 0.6, 0.71, 0.79]


def url_of(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=False)


@pytest.fixture
def job(submit: Callable[..., dict[str, Any]], finish: Callable[[str, Sequence[float | None]], None]) -> str:
    """A job with ten finished trials of twelve."""
    made = submit()["id"]
    finish(made, VALUES)
    return str(made)


@pytest.fixture
def heavy(app: FastAPI) -> HeavyAnswers:
    """Of the application."""
    found: HeavyAnswers = app.state.heavy
    return found


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The answers that were computed, in order."""
    found: list[str] = []

    async def noted(url: str, seconds: float, work: Callable[..., bytes | None], *given: Any) -> bytes | None:
        found.append(work.__name__)
        return await run_apart(url, seconds, work, *given)

    monkeypatch.setattr("actsearch_api.heavy.run_apart", noted)
    return found


def test_an_answer_is_kept_until_the_job_changes(
    http: TestClient, computed: list[str], job: str, finish: Callable[..., None]
) -> None:
    path = f"/v1/jobs/{job}/importances"
    first = http.get(path).json()
    assert first["trials"] == 9
    assert http.get(path).json() == first
    assert computed == ["write_importances"]
    assert http.get(path, params={"evaluator": "fanova"}).json()["evaluator"] == "fanova"
    assert len(computed) == 2
    finish(job, [0.9])
    assert http.get(path).json()["trials"] == 10
    assert len(computed) == 3


def test_what_is_kept_has_a_bound(http: TestClient, heavy: HeavyAnswers, computed: list[str], job: str) -> None:
    bounded = HeavyAnswers(heavy.engine, heavy.slots, kept_bytes=3000)
    http.app.state.heavy = bounded  # type: ignore[attr-defined]
    report, importances = f"/v1/jobs/{job}/report", f"/v1/jobs/{job}/importances"
    assert len(http.get(report).content) > 3000
    http.get(report)
    assert computed == ["write_report"] * 2
    http.get(importances)
    http.get(importances)
    assert computed[2:] == ["write_importances"]
    for chart in get_args(Chart):  # absent ones are few, too
        assert http.get(report, params={"format": "svg", "chart": chart}).status_code in (200, 404)
    assert len(bounded._kept) <= 3  # each counts as a thousand bytes


def work_pid(connection: Connection) -> bytes:
    """What a test has done apart: who does it, and what it may do there."""
    with pytest.raises(Exception, match="read-only"):
        connection.execute(text("CREATE TABLE mine ()"))
    return str(os.getpid()).encode()


def work_long(_: Connection, seconds: float) -> None:
    """Sleep."""
    time.sleep(seconds)


def work_wrong(_: Connection) -> None:
    """Fail."""
    raise ZeroDivisionError("one by zero")


def work_large(_: Connection, megabytes: int) -> bytes:
    """Answer with more than a pipe or a socket holds, written piece by piece."""
    return b"x" * (megabytes << 20)


def work_dies(_: Connection) -> None:
    """End as the kernel does it to who takes too much memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def apart() -> set[int]:
    """Processes that do work at present: children of the one they are forked from."""
    return {child.pid for server in psutil.Process().children() for child in server.children()}


def test_work_is_done_by_a_process_that_is_gone_afterwards(engine: Engine) -> None:
    answer = anyio.run(run_apart, url_of(engine), ENOUGH, work_pid)
    assert answer is not None
    assert int(answer) != os.getpid()
    assert not psutil.pid_exists(int(answer))


@pytest.mark.parametrize("use_uvloop", [True, False])
def test_an_answer_may_be_larger_than_what_lies_between(engine: Engine, use_uvloop: bool) -> None:
    for _ in range(5):
        answer = anyio.run(
            run_apart, url_of(engine), ENOUGH, work_large, 32, backend_options={"use_uvloop": use_uvloop}
        )  # fmt: skip
        assert answer == b"x" * (32 << 20)


@pytest.mark.parametrize("use_uvloop", [True, False])
def test_work_that_ends_amid_its_answer_is_said_and_not_waited_for(engine: Engine, use_uvloop: bool) -> None:
    async def ask(signal_number: int, seconds: float) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(interfere, signal_number)
            with anyio.fail_after(ENOUGH):
                await run_apart(url_of(engine), seconds, work_large, 500)
            tasks.cancel_scope.cancel()

    async def interfere(signal_number: int) -> None:
        while not any(psutil.Process(pid).memory_full_info().uss > 500 << 20 for pid in apart()):  # the whole answer
            await anyio.sleep(0.001)
        await anyio.sleep(0.02)
        for pid in apart():
            os.kill(pid, signal_number)

    for signal_number, seconds, error in ((signal.SIGKILL, ENOUGH, Failed), (signal.SIGSTOP, 3.0, Endless)):
        with pytest.RaisesGroup(pytest.RaisesExc(error)):
            anyio.run(ask, signal_number, seconds, backend_options={"use_uvloop": use_uvloop})
    assert apart() == set()


def test_what_goes_wrong_there_is_said_here(engine: Engine) -> None:
    with pytest.raises(Failed, match="ZeroDivisionError: one by zero"):
        anyio.run(run_apart, url_of(engine), ENOUGH, work_wrong)
    with pytest.raises(Failed, match="memory"):
        anyio.run(run_apart, url_of(engine), ENOUGH, work_dies)
    with pytest.raises(Endless, match="more than 1 seconds"):
        anyio.run(run_apart, url_of(engine), 1.0, work_long, ENOUGH)
    nowhere = engine.url.set(database="no_such_database").render_as_string(hide_password=False)
    with pytest.raises(StoreError, match=r"cannot be reached; try again later$"):  # and not where it is
        anyio.run(run_apart, nowhere, ENOUGH, work_pid)
    assert apart() == set()


@pytest.fixture
def slow(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Importances that take a minute."""
    monkeypatch.setattr("actsearch_api.jobs.routes.write_importances", wait_a_minute)
    yield
    assert apart() == set()


def wait_a_minute(_: Connection, __: UUID, ___: str) -> bytes:
    """Importances that take a minute."""
    time.sleep(60)
    return b"{}"


def test_nobody_computes_for_a_client_that_has_left(
    slow: None, address: str, heavy: HeavyAnswers, submit: Callable[..., dict[str, Any]]
) -> None:
    job = submit()["id"]
    path = f"{address}/v1/jobs/{job}/importances"
    anyio.run(run_apart, url_of(heavy.engine), ENOUGH, work_long, 0.0)  # the first one imports
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(path, timeout=2)
    end = time.monotonic() + 5
    while apart() and time.monotonic() < end:
        time.sleep(0.05)
    assert apart() == set()
    assert httpx.get(f"{address}/v1/jobs/{job}/report", timeout=ENOUGH).status_code == 200  # the turn is free again


def test_others_wait_for_their_turn_and_light_requests_for_nobody(
    slow: None, address: str, heavy: HeavyAnswers, submit: Callable[..., dict[str, Any]]
) -> None:
    job = submit()["id"]
    heavy.turns.patience, heavy.longest = 0.5, 5.0

    async def ask() -> None:
        async with httpx.AsyncClient(base_url=address, timeout=ENOUGH) as client, anyio.create_task_group() as tasks:

            async def first() -> None:
                answer = await client.get(f"/v1/jobs/{job}/importances")
                assert (answer.status_code, answer.json()["detail"]) == (
                    503,
                    "this takes more than 5 seconds to answer",
                )

            tasks.start_soon(first)
            await anyio.sleep(1)
            turned_away = await client.get(f"/v1/jobs/{job}/report")
            assert turned_away.status_code == 503
            assert int(turned_away.headers["retry-after"]) > 0
            for _ in range(10):
                assert (await client.get(f"/v1/jobs/{job}")).status_code == 200

    anyio.run(ask)
