"""The worker process: registers itself, fetches runner tasks, drains on SIGTERM."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import platform
import signal
import socket
from contextlib import suppress

import structlog
from procrastinate.worker import Worker
from psycopg_pool import AsyncConnectionPool
from sqlalchemy import insert, text
from sqlalchemy.exc import OperationalError
from uuid_utils.compat import uuid7

from actsearch.errors import StoreError
from actsearch.logs import configure_logging
from actsearch.settings import Settings
from actsearch.store import create_store_engine, database_url, libpq_url, require_current
from actsearch.store.models import WorkerRow
from actsearch.store.queue import RUNNER_QUEUE, UPKEEP_QUEUE
from actsearch_workers.device_process import DeviceProcess
from actsearch_workers.lost_database import silence_libraries
from actsearch_workers.pool import DevicePool, device_names, threads_each
from actsearch_workers.tasks import Workplace, app
from actsearch_workers.upkeep import reconcile

log = structlog.get_logger()


def run_worker(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT.

    Raises:
        StoreError: if the database is unreachable, not migrated, or lost on the way.
        InvalidRequest: if a device does not exist.
    """
    configure_logging(settings)
    silence_libraries()
    names = device_names(settings.devices)
    url = database_url(settings)
    engine = create_store_engine(url)
    require_current(engine)
    threads = threads_each(names)
    devices = DevicePool([DeviceProcess(name, threads, url) for name in names])
    place = Workplace(f"{socket.gethostname()}:{os.getpid()}", engine, devices, settings)
    asyncio.run(_run(place, url, names))


async def _run(place: Workplace, url: str, names: list[str]) -> None:
    await place.devices.start()
    conninfo = libpq_url(url)
    pool = AsyncConnectionPool(conninfo, min_size=1, max_size=4, open=False)
    async with pool, app.open_async(pool):
        await reconcile(app, place.engine, place.settings)
        workers = [_worker(place, RUNNER_QUEUE, len(names)), _worker(place, UPKEEP_QUEUE, 1)]
        try:
            await _serve(place, workers, names)
        finally:
            await place.devices.stop()
            await asyncio.to_thread(_sign_off, place)


def _worker(place: Workplace, queue: str, concurrency: int) -> Worker:
    return Worker(
        app,
        queues=[queue],
        name=f"{place.name}/{queue}",
        concurrency=concurrency,
        additional_context={"workplace": place},
        install_signal_handlers=False,
        update_heartbeat_interval=place.settings.heartbeat_interval,
        stalled_worker_timeout=place.settings.stall_timeout,
        fetch_job_polling_interval=5.0,
        delete_jobs="successful",
    )


async def _serve(place: Workplace, workers: list[Worker], names: list[str]) -> None:
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    running = [asyncio.create_task(worker.run()) for worker in workers]
    while workers[0].worker_id is None and not running[0].done():  # noqa: ASYNC110 - the queue has no such event
        await asyncio.sleep(0.01)
    await asyncio.to_thread(_sign_on, place, workers[0].worker_id, names)
    log.info("worker online", name=place.name, devices=names)
    stopping = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait([stopping, *running], return_when=asyncio.FIRST_COMPLETED)
    log.info("worker draining", seconds=place.settings.drain_timeout)
    for worker in workers:
        worker.stop()
    heartbeat = asyncio.create_task(_heartbeat(place, workers[0].worker_id))
    await place.devices.drain(place.settings.drain_timeout)
    await asyncio.gather(*running, return_exceptions=True)  # where the database is gone, each says so in its own way
    heartbeat.cancel()
    stopping.cancel()
    if stopping not in done:
        raise StoreError("the worker lost its database; restart it when the database is back")


async def _heartbeat(place: Workplace, worker_id: int | None) -> None:
    """Stay alive in the queue's eyes while draining: its own heartbeat ends when it stops fetching."""
    while worker_id is not None:
        await asyncio.sleep(place.settings.heartbeat_interval)
        await app.job_manager.update_heartbeat(worker_id)


def _sign_on(place: Workplace, queue_worker_id: int | None, names: list[str]) -> None:
    versions = {"python": platform.python_version()} | {
        name: importlib.metadata.version(name) for name in ("actsearch", "torch", "optuna")
    }
    row = {"id": uuid7(), "name": place.name, "queue_worker_id": queue_worker_id, "devices": names}
    with place.engine.begin() as connection:
        connection.execute(insert(WorkerRow).values(row | {"versions": versions}))


def _sign_off(place: Workplace) -> None:
    with suppress(OperationalError), place.engine.begin() as connection:  # the reconciler will know without us
        connection.execute(
            text("UPDATE workers SET stopped_at = now() WHERE name = :name AND stopped_at IS NULL"),
            {"name": place.name},
        )
