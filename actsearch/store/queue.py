"""The queue's side of the store: deferring runner tasks inside our transactions and asking who is alive.

Tasks themselves live in `actsearch_workers`; here they are only named, so that the API needs no worker code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from procrastinate import App, SyncPsycopgConnector
from procrastinate.jobs import JobDeferrer
from procrastinate.types import JSONDict
from sqlalchemy import Connection, text

RUNNER_QUEUE = "runners"
UPKEEP_QUEUE = "upkeep"
RUN_TASK = "run_job"

# Never opened: every call below brings its own connection.
_app = App(connector=SyncPsycopgConnector())


def defer_runners(
    connection: Connection, job_id: UUID, count: int, priority: int, *, crashes: int = 0, delay: int = 0
) -> None:
    """Put `count` runner tasks of a job on the queue, in the caller's transaction.

    Args:
        priority: higher is fetched first.
        crashes: how many runners of the job died in a row before this one without having claimed a trial.
        delay: seconds before a worker may fetch them.
    """
    deferrer: JobDeferrer = _app.configure_task(
        RUN_TASK,
        queue=RUNNER_QUEUE,
        priority=priority,
        connection=connection.connection.driver_connection,
        schedule_in={"seconds": delay} if delay else None,
    )
    arguments: JSONDict = {"job_id": str(job_id), "crashes": crashes}
    deferrer.batch_defer(*[arguments] * count)


def active_runners(connection: Connection, job_id: UUID) -> int:
    """How many runner tasks of a job are queued or at work."""
    query = f"""SELECT count(*) FROM procrastinate_jobs
        WHERE task_name = '{RUN_TASK}' AND status IN ('todo', 'doing') AND args ->> 'job_id' = :job"""  # noqa: S608
    return int(connection.execute(text(query), {"job": str(job_id)}).scalar_one())


_ALIVE = """
    SELECT w.id, w.name, w.devices, w.started_at, q.last_heartbeat
    FROM workers w JOIN procrastinate_workers q ON q.id = w.queue_worker_id
    WHERE w.stopped_at IS NULL AND q.last_heartbeat > now() - make_interval(secs => :stall_timeout)
    ORDER BY w.started_at, w.id
"""


@dataclass(frozen=True)
class LiveWorker:
    """A worker whose heartbeat is fresh."""

    id: UUID
    name: str
    devices: Sequence[str]
    started_at: datetime
    last_seen_at: datetime


def live_workers(connection: Connection, stall_timeout: float) -> list[LiveWorker]:
    """Workers with a heartbeat in the last `stall_timeout` seconds, oldest first."""
    return [LiveWorker(*row) for row in connection.execute(text(_ALIVE), {"stall_timeout": stall_timeout})]


def workers_online(connection: Connection, stall_timeout: float) -> int:
    """How many workers have a heartbeat in the last `stall_timeout` seconds."""
    return len(live_workers(connection, stall_timeout))
