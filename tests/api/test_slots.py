"""Many clients at once: none is turned away for nothing, and whether the process lives can be asked beside them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import anyio
import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, text
from starlette.testclient import TestClient

from actsearch_api.slots import Busy, Slots

PATIENT = 60.0


def test_a_hundred_readers_of_one_job_are_all_answered(
    address: str, app: FastAPI, submit: Callable[..., dict[str, Any]]
) -> None:
    job = submit()["id"]
    app.state.slots.patience = PATIENT

    async def read(end: float) -> set[int]:
        async with httpx.AsyncClient(base_url=address, timeout=PATIENT, verify=False) as http:
            statuses = set()
            while time.monotonic() < end:
                statuses.add((await http.get(f"/v1/jobs/{job}")).status_code)
            return statuses

    async def all_of_them() -> list[set[int]]:
        return await asyncio.gather(*(read(time.monotonic() + 2) for _ in range(100)))

    assert asyncio.run(all_of_them()) == [{200}] * 100


def wait_until_one_is_held_up(engine: Engine) -> None:
    """By a lock of this database."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    end = time.monotonic() + PATIENT
    while time.monotonic() < end:
        with engine.connect() as connection:
            if connection.execute(text(query)).scalar_one():
                return
        time.sleep(0.02)
    raise AssertionError("no reader has come to the lock")


def test_liveness_waits_for_neither_threads_nor_the_database(
    address: str, app: FastAPI, submit: Callable[..., dict[str, Any]]
) -> None:
    job = submit()["id"]
    app.state.slots.patience = 0.3
    with app.state.engine.begin() as connection, httpx.Client(base_url=address, timeout=PATIENT) as http:
        connection.execute(text("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE"))
        readers = [threading.Thread(target=httpx.get, args=[f"{address}/v1/jobs/{job}"]) for _ in range(8)]
        for reader in readers:
            reader.start()
        wait_until_one_is_held_up(app.state.engine)
        assert http.get("/healthz").status_code == 200
        turned_away = http.get(f"/v1/jobs/{job}")
        assert turned_away.status_code == 503
        assert int(turned_away.headers["retry-after"]) > 0
        connection.execute(text("SELECT 1"))
        connection.rollback()
        for reader in readers:
            reader.join()
        app.state.slots.patience = PATIENT
        assert http.get(f"/v1/jobs/{job}").status_code == 200


def test_what_fails_or_waits_in_vain_gives_its_slot_back() -> None:
    slots = Slots(at_once=1, patience=0.05)

    async def run() -> None:
        with pytest.raises(ZeroDivisionError):
            await slots.run(lambda: 1 / 0)
        release = threading.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(slots.run, release.wait)
            await anyio.sleep(0.02)
            with pytest.raises(Busy):
                await slots.run(lambda: 1)
            release.set()
        assert await slots.run(lambda: 4) == 4

    anyio.run(run)


def test_an_unfinished_change_is_not_kept(http: TestClient, app: FastAPI) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("actsearch.store.job_views.get_job", broken)  # after the job was written
        assert http.post("/v1/jobs", json={"task": "digits"}).status_code == 500
    assert http.get("/v1/jobs").json()["items"] == []
