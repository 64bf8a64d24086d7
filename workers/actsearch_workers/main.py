"""The worker process: registers itself, fetches runner tasks, repairs, drains on SIGTERM."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import platform
import signal
import socket
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog
from procrastinate.worker import Worker
from psycopg_pool import AsyncConnectionPool
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from uuid_utils.compat import uuid7

from actsearch.errors import StoreError
from actsearch.logs import configure_logging
from actsearch.settings import Settings
from actsearch.store import connection_options, create_store_engine, database_url, libpq_url, require_current
from actsearch.store.models import WorkerRow
from actsearch.store.queue import RUNNER_QUEUE
from actsearch_workers.device_process import DeviceProcess
from actsearch_workers.lost_database import is_infrastructure, silence_libraries
from actsearch_workers.pool import DevicePool, device_names, threads_each
from actsearch_workers.tasks import Workplace, app, own_tasks
from actsearch_workers.upkeep import PERIOD, Observer, reconcile

log = structlog.get_logger()
DRAIN_MARGIN = 5.0
"""Seconds beyond the drain timeout that a device process gets to reach its next rung before it is ended."""
LAST_WORDS = 5.0
"""Seconds that a worker gets for its last statements once its device processes have ended."""


def run_worker(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT; where the database goes away, wait for it.

    Raises:
        StoreError: if the database is unreachable at the start, or not migrated.
        InvalidRequest: if a device does not exist.
    """
    configure_logging(settings)
    silence_libraries()
    asyncio.run(_run(settings))


async def _run(settings: Settings) -> None:
    """The worker's life; a signal ends it at any time, also while it starts."""
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    life = asyncio.create_task(_live(settings, stop))
    asked = asyncio.create_task(stop.wait())
    await asyncio.wait([life, asked], return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    await life


async def _live(settings: Settings, stop: asyncio.Event) -> None:
    names = await asyncio.to_thread(device_names, settings.devices)
    url = await asyncio.to_thread(database_url, settings)
    place = _workplace(settings, url, names)
    await asyncio.to_thread(require_current, place.engine)
    try:
        if not await _unless(stop, place.devices.start()):
            return
        async with _queue(url, settings.stall_timeout):
            await _serve(place, names, stop)
    finally:
        await place.devices.stop()
        await asyncio.to_thread(_sign_off, place)


def _workplace(settings: Settings, url: str, names: list[str]) -> Workplace:
    threads, silence, patience = threads_each(names), settings.stall_timeout, settings.hang_timeout
    devices = DevicePool([DeviceProcess(name, threads, url, silence, patience) for name in names])
    # What is stopped amid a transaction is to lose its locks about when others give it up: they repair what it left.
    engine = create_store_engine(url, longest_pause=silence)
    return Workplace(f"{socket.gethostname()}:{os.getpid()}", engine, devices, settings)


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Await some work; whether it came to its end before the worker was asked to stop."""
    if stop.is_set():
        work.close()
        return False
    doing, asked = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    await asyncio.wait([doing, asked], return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if doing.done():
        doing.result()
        return not stop.is_set()
    doing.cancel()
    await asyncio.gather(doing, return_exceptions=True)
    return False


@asynccontextmanager
async def _queue(url: str, longest_pause: float) -> AsyncIterator[None]:
    """The queue's connections; one that was lost while idle is replaced unnoticed."""
    check = AsyncConnectionPool.check_connection
    options = {"options": connection_options(longest_pause)}
    pool = AsyncConnectionPool(
        libpq_url(url), kwargs=options, min_size=1, max_size=4, open=False, check=check, timeout=5.0
    )
    async with pool, app.open_async(pool):
        yield


def _worker(place: Workplace, names: list[str]) -> Worker:
    own_tasks.capacity = lambda: place.devices.fit
    own_tasks.problems = lambda: place.devices.problems
    return Worker(
        app,
        queues=[RUNNER_QUEUE],
        name=place.name,
        concurrency=len(names),
        additional_context={"workplace": place},
        install_signal_handlers=False,
        update_heartbeat_interval=place.settings.heartbeat_interval,
        stalled_worker_timeout=place.settings.stall_timeout,
        fetch_job_polling_interval=PERIOD,
        shutdown_graceful_timeout=place.settings.drain_timeout + DRAIN_MARGIN + LAST_WORDS,
        delete_jobs="successful",
    )


async def _serve(place: Workplace, names: list[str], stop: asyncio.Event) -> None:
    """Work until the worker is asked to stop; then let it finish what it can."""
    worker = _worker(place, names)
    running = asyncio.create_task(worker.run())
    while worker.worker_id is None and not running.done():  # noqa: ASYNC110 - the queue has no such event
        await asyncio.sleep(0.01)
    if worker.worker_id is None:
        raise StoreError("the worker lost its database while starting") from running.exception()
    queue_id = worker.worker_id
    await asyncio.to_thread(_sign_on, place, queue_id, names)
    upkeep = asyncio.create_task(_upkeep(place, queue_id))
    log.info("worker online", name=place.name, devices=names)
    asked = asyncio.create_task(stop.wait())
    await asyncio.wait([asked, running], return_when=asyncio.FIRST_COMPLETED)
    upkeep.cancel()
    ended_by_itself = not asked.done()
    asked.cancel()
    await _drain(place, worker, running, queue_id)
    if ended_by_itself:
        raise StoreError("the worker ended by itself; see its log") from running.exception()


async def _drain(place: Workplace, worker: Worker, running: asyncio.Task[None], queue_id: int) -> None:
    seconds = place.settings.drain_timeout
    log.info("worker draining", seconds=seconds)
    worker.stop()
    heartbeat = asyncio.create_task(_heartbeat(place, queue_id))
    await place.devices.drain(seconds)
    await asyncio.wait([running], timeout=seconds + DRAIN_MARGIN)
    await place.devices.kill()  # what still works then hangs, or has no rung in sight
    await asyncio.wait([running], timeout=LAST_WORDS)
    heartbeat.cancel()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)  # where the database is gone, it says so in its own way


async def _heartbeat(place: Workplace, queue_id: int) -> None:
    """Stay alive in the queue's eyes while draining: its own heartbeat ends when it stops fetching."""
    while True:
        await asyncio.sleep(place.settings.heartbeat_interval)
        await own_tasks.update_heartbeat(queue_id)


async def _upkeep(place: Workplace, queue_id: int) -> None:
    """Repair what crashes left, every few seconds by a clock that nobody sets."""
    observer = Observer()
    while True:
        try:
            await own_tasks.update_heartbeat(queue_id)  # first: after an outage, our own is as old as the others'
            await own_tasks.drop_ghosts(queue_id)
            await asyncio.to_thread(reconcile, place.engine, place.settings, observer)
        except Exception as error:  # whatever it is, the next repair may do better
            if not is_infrastructure(error):
                log.exception("repair failed")
        await asyncio.sleep(PERIOD)


def _sign_on(place: Workplace, queue_worker_id: int, names: list[str]) -> None:
    versions = {"python": platform.python_version()} | {
        name: importlib.metadata.version(name) for name in ("actsearch", "torch", "optuna")
    }
    row = {"id": uuid7(), "name": place.name, "queue_worker_id": queue_worker_id, "devices": names}
    row |= {"problems": place.devices.problems, "versions": versions}
    with place.engine.begin() as connection:
        connection.execute(insert(WorkerRow).values(row))


def _sign_off(place: Workplace) -> None:
    with suppress(DBAPIError, PoolTimeout), place.engine.begin() as connection:  # the reconciler will know without us
        connection.execute(
            text("UPDATE workers SET stopped_at = now() WHERE name = :name AND stopped_at IS NULL"),
            {"name": place.name},
        )
