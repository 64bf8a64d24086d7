"""Who asks the same at the same time is answered together, and nobody is told less than was there when he asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import anyio
import httpx
import pytest
from anyio import to_thread
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from actsearch_api.slots import Busy, Slots
from actsearch_api.together import Together

Begin = Callable[[], None]


@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from("ab")), min_size=1, max_size=25), st.integers(1, 12))
@settings(max_examples=40)
def test_an_answer_is_read_after_it_was_asked_for(asked: list[tuple[int, str]], takes: int) -> None:
    """Requests come whenever; time is counted in steps, at each of which what is there to be read changes."""
    now, reads = 0, 0
    told: list[tuple[int, int]] = []

    async def run() -> None:
        nonlocal now, reads
        together = Together[bytes](Slots())

        async def read(begin: Begin) -> bytes:
            nonlocal reads
            reads += 1
            begin()
            seen = now
            while now < seen + takes:
                await anyio.sleep(0)
            return str(seen).encode()

        async def ask(question: str) -> None:
            came = now
            told.append((came, int(await together.answer(question, read))))

        async with anyio.create_task_group() as tasks:
            for now in range(31 + 3 * takes):
                for _ in range(sum(1 for when, question in asked if when == now and question == "a")):
                    tasks.start_soon(ask, "a")
                for _ in range(sum(1 for when, question in asked if when == now and question == "b")):
                    tasks.start_soon(ask, "b")
                for _ in range(10):
                    await anyio.sleep(0)
            now += 10 * takes

    anyio.run(run)
    assert len(told) == len(asked)
    assert all(seen >= came for came, seen in told)
    assert reads <= len(asked)


def test_those_who_wait_are_answered_by_one_reading() -> None:
    reads = 0

    async def run() -> None:
        together = Together[bytes](Slots())

        async def read(begin: Begin) -> bytes:
            nonlocal reads
            begin()
            reads += 1
            await anyio.sleep(0.05)
            return b"%d" % reads

        answers: list[bytes] = []

        async def ask(question: str) -> None:
            answers.append(await together.answer(question, read))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, "same")
            await anyio.sleep(0.01)
            for _ in range(50):
                tasks.start_soon(ask, "same")
        assert sorted(answers) == [b"1", *[b"2"] * 50]
        await together.answer("same", read)
        assert reads == 3

    anyio.run(run)


def test_what_fails_fails_for_those_who_waited_and_for_nobody_after() -> None:
    async def run() -> None:
        together = Together[bytes](Slots())
        failures: list[str] = []

        async def wrong(_: Begin) -> bytes:
            await anyio.sleep(0.01)
            raise ZeroDivisionError

        async def right(_: Begin) -> bytes:
            return b"right"

        async def ask() -> None:
            try:
                await together.answer("same", wrong)
            except ZeroDivisionError:
                failures.append("divided")

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(ask)
        assert failures == ["divided"] * 3
        assert await together.answer("same", right) == b"right"

        async def follow() -> None:
            with pytest.raises(Busy):
                await together.answer("same", right)

        async with anyio.create_task_group() as tasks:
            with anyio.CancelScope() as scope:
                tasks.start_soon(follow)

                async def long(_: Begin) -> bytes:
                    scope.cancel()
                    await anyio.sleep(10)
                    return b""

                await together.answer("same", long)
        assert await together.answer("same", right) == b"right"

    anyio.run(run)


def test_many_readers_cost_few_readings_and_each_sees_what_was_there(
    address: str,
    app: FastAPI,
    submit: Callable[..., dict[str, Any]],
    finish: Callable[[str, Sequence[float | None]], None],
) -> None:
    job = submit()["id"]
    app.state.slots.patience = 60.0
    statements: list[str] = []
    event.listen(app.state.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    stopped, answers, wrong = threading.Event(), [0], []
    done = 0

    async def poll() -> None:
        async with httpx.AsyncClient(base_url=address, timeout=60) as http:
            while not stopped.is_set():
                before = done
                seen = (await http.get(f"/v1/jobs/{job}")).json()["progress"]["complete"]
                answers[0] += 1
                if seen < before:
                    wrong.append((before, seen))

    async def all_of_them() -> None:
        nonlocal done
        async with anyio.create_task_group() as tasks:
            for _ in range(30):
                tasks.start_soon(poll)
            for _ in range(10):
                await to_thread.run_sync(finish, job, [0.5])
                done += 1
                await anyio.sleep(0.05)
            stopped.set()

    begin = time.monotonic()
    anyio.run(all_of_them)
    assert wrong == []
    readings = sum("best_trials" in one or "j.budget_trials" in one for one in statements)
    assert answers[0] > 3 * readings > 0, (answers, readings, time.monotonic() - begin)
