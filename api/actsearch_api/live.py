"""A job as it changes, told as server-sent events.

The tables are the truth: the database only wakes those who follow a job, and each then reads what is new after what it
has told last. A stream that ends is gone on with by `Last-Event-ID`, at whatever process of the service.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeVar
from uuid import UUID

import psycopg
import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.datastructures import State

from actsearch.schemas import FINAL_STATES, Event, JobSummary
from actsearch.store import wakes
from actsearch.store.events import events_after
from actsearch.store.job_views import get_summary
from actsearch_api.slots import Busy
from actsearch_api.together import Together

log = structlog.get_logger()

T = TypeVar("T")

HEARTBEAT = 15.0
"""Seconds of silence after which a line without meaning is sent, so that proxies do not take the stream for dead."""

LONGEST = 900.0
"""Seconds after which a stream ends and is to be asked for again: keys are revoked, and scopes change."""

PACE = 0.25
"""Seconds between two readings of a job for the same stream, however much happens."""

LOOK_AGAIN = 5.0
"""Seconds after which a job is read without having been woken: workers that vanish write nothing."""

RECONNECT = 1.0

MOST = 2000
"""Streams at once of a process."""


@dataclass(frozen=True)
class News:
    """What is new of a job.

    Args:
        events: after what was told last, in order.
        job: in short, as it is now.
        text: the job as JSON.
    """

    events: list[Event]
    job: JobSummary
    text: str


@dataclass
class Live:
    """Who follows which job. One connection listens for all of a process, while there is someone."""

    engine: Engine
    _woken: dict[int, set[asyncio.Event]] = field(default_factory=dict)
    _listener: asyncio.Task[None] | None = None

    @property
    def followers(self) -> int:
        """How many streams are open."""
        return sum(map(len, self._woken.values()))

    @contextmanager
    def following(self, study: int) -> Iterator[asyncio.Event]:
        """An event that is set whenever something of this study's job may have changed."""
        woken = asyncio.Event()
        self._woken.setdefault(study, set()).add(woken)
        if self._listener is None or self._listener.done():
            self._listener = asyncio.get_running_loop().create_task(self._listen())
        try:
            yield woken
        finally:
            self._woken[study].discard(woken)
            if not self._woken[study]:
                del self._woken[study]
            if not self._woken and self._listener is not None:
                self._listener.cancel()
                self._listener = None

    async def _listen(self) -> None:
        while True:
            try:
                async with wakes.listening(self.engine) as studies:
                    self._wake_all()  # of what happened before, nobody was told
                    async for study in studies:
                        self._wake(study)
            except psycopg.Error as error:
                log.warning("not listening", error=type(error).__name__)
            await asyncio.sleep(RECONNECT)

    def _wake(self, study: int) -> None:
        for woken in self._woken.get(study, ()):
            woken.set()

    def _wake_all(self) -> None:
        for study in self._woken:
            self._wake(study)


async def stream_job(state: State, job_id: UUID, last: int) -> EventSourceResponse | None:
    """The stream of a job: its events after `last`, each once and in order, and the job in short when it is another.

    It ends with the job. None where there is nothing to tell any more.

    Args:
        state: of the application.
        last: id of the event that the client has seen last, 0 for none.

    Raises:
        NotFound: no such job.
        Busy: the service has too much to do.
    """
    live: Live = state.live
    if live.followers >= MOST:
        raise Busy(f"{MOST} streams are open already; ask for the job now and then instead")
    study = await _in_a_slot(state, lambda connection: wakes.study_of(connection, job_id))
    news = await _read(state, job_id, last)
    if news.job.state in FINAL_STATES and last and not news.events:
        return None
    told = _told(state, study, job_id, last)
    return EventSourceResponse(
        told, ping=HEARTBEAT, send_timeout=HEARTBEAT, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )


async def _told(state: State, study: int, job_id: UUID, last: int) -> AsyncIterator[ServerSentEvent]:
    live: Live = state.live
    loop = asyncio.get_running_loop()
    until, before = loop.time() + LONGEST, ""
    with live.following(study) as woken:
        while loop.time() < until:
            woken.clear()
            try:
                news = await _read(state, job_id, last)
            except (Busy, OperationalError, PoolTimeout):  # as it goes on, it can wait
                await asyncio.sleep(RECONNECT)
                continue
            for event in news.events:
                yield ServerSentEvent(event.model_dump_json(), event=event.kind, id=str(event.id))
                last = event.id
            if news.text != before:
                yield ServerSentEvent(news.text, event="job")
                before = news.text
            if news.job.state in FINAL_STATES and not news.events:
                yield ServerSentEvent("{}", event="end")
                return
            await asyncio.sleep(PACE)
            if not news.events:
                with suppress(TimeoutError):
                    await asyncio.wait_for(woken.wait(), LOOK_AGAIN)


async def _read(state: State, job_id: UUID, last: int) -> News:
    """What is new; those who ask the same at once are told together."""

    async def read(begin: Callable[[], None]) -> News:
        def work(connection: Connection) -> News:
            begin()
            # The job first: what it became is then among the events, or will be.
            job = get_summary(connection, job_id, state.settings.stall_timeout)
            return News(events_after(connection, job_id, last), job, job.model_dump_json())

        return await _in_a_slot(state, work)

    together: Together[News] = state.news
    return await together.answer((job_id, last), read)


async def _in_a_slot(state: State, work: Callable[[Connection], T]) -> T:
    def done() -> T:
        with state.reads.connect() as connection:
            return work(connection)

    found: T = await state.slots.run(done)
    return found
