"""A worker's side of the queue: it fetches when it can, ends only what it has, and outlives a lost database."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import structlog
from procrastinate import exceptions
from procrastinate.connector import BaseConnector
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager, NotificationCallback

from actsearch.store.queue import FETCH, GHOSTS, SIGN_OF_LIFE

log = structlog.get_logger()
RECONNECT = 1.0
"""Seconds between two tries to listen to a database that is away."""
_SAY_AGAIN = 60.0

_FINISH = """
    WITH own AS (SELECT id FROM procrastinate_jobs
                 WHERE id = %(job)s AND worker_id = %(worker)s AND attempts = %(attempts)s AND status = 'doing'
                 FOR UPDATE)
    SELECT procrastinate_finish_job_v1(id, %(status)s, %(delete)s) FROM own
"""


class OwnTasks(JobManager):
    """Procrastinate's, but that it knows which tasks are the worker's, and that no lost connection ends the worker.

    Attributes:
        capacity: how many tasks the worker can work on now; it fetches none beyond.
        problems: why devices take no work, told with each heartbeat.
    """

    capacity: Callable[[], int]
    problems: Callable[[], Sequence[str]]

    def __init__(self, connector: BaseConnector) -> None:
        super().__init__(connector)
        self._held: set[int] = set()
        self._fetching = asyncio.Lock()
        self._said_at = float("-inf")
        self.capacity = lambda: sys.maxsize
        self.problems = list

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        """The task whose turn it is; None also where no device is free or the database is away."""
        async with self._fetching:
            if len(self._held) >= self.capacity():
                return None
            try:
                rows = await self.connector.execute_query_all_async(FETCH, worker=worker_id)
            except exceptions.ConnectorException as error:
                self._tell(error)
                return None
            if not rows:
                return None
            job = Job.from_row(rows[0])
            self._held.add(_id(job))
            return job

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:
        """End a task as it was fetched; nothing happens if it went to another worker, or was ended by one.

        Where the database does not hear it, `drop_ghosts` repairs what is left.
        """
        values: dict[str, Any] = {"job": job.id, "worker": job.worker_id, "attempts": job.attempts}
        try:
            await self.connector.execute_query_async(_FINISH, **values, status=status.value, delete=delete_job)
        except exceptions.ConnectorException as error:
            self._tell(error)
        finally:
            self._held.discard(_id(job))

    async def drop_ghosts(self, worker_id: int) -> None:
        """Put back what the queue believes this worker to be working on although it is not.

        Such a task stays behind when the connection is lost amid the statement that ends or fetches it.
        """
        async with self._fetching:  # none is on its way here meanwhile
            try:
                rows = await self.connector.execute_query_all_async(GHOSTS, worker=worker_id, held=sorted(self._held))
            except exceptions.ConnectorException as error:
                self._tell(error)
                return
        if rows:
            log.warning("tasks that nobody worked on; back to the queue", tasks=[row["id"] for row in rows])

    async def prune_stalled_workers(self, seconds_since_heartbeat: float) -> list[int]:
        """Left to the reconciler, which puts their tasks back in the same transaction."""
        return []

    async def update_heartbeat(self, worker_id: int) -> None:
        """Say that the worker lives, also where it was given up for dead, and what is wrong with its devices."""
        try:
            await self.connector.execute_query_async(SIGN_OF_LIFE, worker=worker_id, problems=list(self.problems()))
        except exceptions.ConnectorException as error:
            self._tell(error)

    async def listen_for_jobs(
        self, *, on_notification: NotificationCallback, queues: Iterable[str] | None = None
    ) -> None:
        """Procrastinate's, again and again; tasks are looked for every few seconds besides."""
        while True:
            try:
                await super().listen_for_jobs(on_notification=on_notification, queues=queues)
            except exceptions.ConnectorException as error:
                self._tell(error)
            await asyncio.sleep(RECONNECT)

    def _tell(self, error: BaseException) -> None:
        """One line a minute: a lost database is met by every statement."""
        now = time.monotonic()
        if now - self._said_at >= _SAY_AGAIN:
            self._said_at = now
            reason = str(error.__cause__ or error).strip()
            log.warning("the database does not answer; the worker goes on when it does", error=reason)


def _id(job: Job) -> int:
    if job.id is None:
        raise AssertionError("a fetched task has an id")
    return job.id
