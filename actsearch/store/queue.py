"""The queue's side of the store: runner tasks put on, fetched in turn, put back and taken off; and who is alive.

Tasks themselves live in `actsearch_workers`; here they are only named, so that the API needs no worker code.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from procrastinate import App, SyncPsycopgConnector
from procrastinate.jobs import JobDeferrer
from procrastinate.types import JSONDict
from sqlalchemy import Connection, text

RUNNER_QUEUE = "runners"
RUN_TASK = "run_job"

LONGEST_DELAY = 30
"""Seconds; a task that is to wait longer was deferred before the database's clock was set back, and waits no more."""

# Never opened: every call below brings its own connection.
_app = App(connector=SyncPsycopgConnector())


def defer_runners(
    connection: Connection, job_id: UUID, count: int, priority: int, *, crashes: int = 0, delay: int = 0
) -> None:
    """Put `count` runner tasks of a job on the queue, in the caller's transaction.

    Args:
        priority: higher is fetched first.
        crashes: how many slices of the job failed in a row before this one without having claimed a trial.
        delay: seconds before a worker may fetch them, at most `LONGEST_DELAY`.
    """
    deferrer: JobDeferrer = _app.configure_task(
        RUN_TASK,
        queue=RUNNER_QUEUE,
        priority=priority,
        connection=connection.connection.driver_connection,
        schedule_in={"seconds": min(delay, LONGEST_DELAY)} if delay else None,
    )
    arguments: JSONDict = {"job_id": str(job_id), "crashes": crashes}
    deferrer.batch_defer(*[arguments] * count)


def active_runners(connection: Connection, job_id: UUID) -> int:
    """How many runner tasks of a job are queued or at work."""
    query = f"""SELECT count(*) FROM procrastinate_jobs
        WHERE task_name = '{RUN_TASK}' AND status IN ('todo', 'doing') AND args ->> 'job_id' = :job"""  # noqa: S608
    return int(connection.execute(text(query), {"job": str(job_id)}).scalar_one())


# --- turns ----------------------------------------------------------------------------------------

_DUE = f"""status = 'todo' AND queue_name = '{RUNNER_QUEUE}'
    AND (scheduled_at IS NULL OR scheduled_at NOT BETWEEN now() AND now() + interval '{LONGEST_DELAY} s')"""

# A task that goes back to the queue's end gets a new id (see `take_off`), so the job whose youngest id is the oldest
# has waited longest.
FETCH = f"""
    WITH shares AS (
        SELECT args ->> 'job_id' AS job, count(*) FILTER (WHERE status = 'doing') AS devices, max(id) AS last_turn
        FROM procrastinate_jobs WHERE queue_name = '{RUNNER_QUEUE}' AND status IN ('todo', 'doing') GROUP BY 1
    ), next AS (
        SELECT q.id FROM procrastinate_jobs q JOIN shares ON shares.job = q.args ->> 'job_id'
        WHERE q.{_DUE} AND EXISTS (SELECT 1 FROM procrastinate_workers WHERE id = %(worker)s)
        ORDER BY q.priority DESC, shares.devices, shares.last_turn, q.id
        LIMIT 1 FOR UPDATE OF q SKIP LOCKED
    )
    UPDATE procrastinate_jobs q SET status = 'doing', worker_id = %(worker)s FROM next WHERE q.id = next.id
    RETURNING q.id, q.status, q.task_name, q.priority, q.lock, q.queueing_lock, q.args, q.scheduled_at, q.queue_name,
        q.attempts, q.worker_id
"""  # noqa: S608 - constants of ours
"""Fetches a runner task: of the highest priority, of the job with the fewest devices, of the one served longest ago.

For Procrastinate's connector (`%(worker)s` is the queue's id of the worker). No row where nothing is due, or where the
queue has forgotten the worker.
"""

_OTHERS_WAIT = f"""
    WITH at_work AS (
        SELECT args ->> 'job_id' AS job, count(*) AS devices
        FROM procrastinate_jobs WHERE queue_name = '{RUNNER_QUEUE}' AND status = 'doing' GROUP BY 1
    )
    SELECT EXISTS (
        SELECT 1 FROM procrastinate_jobs q LEFT JOIN at_work USING_JOB
        JOIN jobs mine ON mine.id = :job
        WHERE q.{_DUE} AND q.args ->> 'job_id' <> CAST(:job AS text)
            AND (q.priority > mine.priority OR q.priority = mine.priority AND coalesce(at_work.devices, 0)
                < (SELECT devices FROM at_work WHERE job = CAST(:job AS text)))
    )
""".replace("USING_JOB", "ON at_work.job = q.args ->> 'job_id'")  # noqa: S608 - constants of ours


def others_wait(connection: Connection, job_id: UUID) -> bool:
    """Whether the device of one of the job's runners would go to another job if that runner left it now."""
    return bool(connection.execute(text(_OTHERS_WAIT), {"job": job_id}).scalar_one())


# --- the end of a slice ---------------------------------------------------------------------------

_TAKE_OFF = """
    DELETE FROM procrastinate_jobs
    WHERE id = :task AND attempts = :lease AND worker_id = :worker AND status = 'doing' RETURNING id
"""


def take_off(connection: Connection, task: int, lease: int, worker: int) -> bool:
    """Remove a task from the queue as it was fetched; whether it still was its holder's.

    In one transaction with `defer_runners` it goes to the queue's end: never are there two tasks for one, or none.

    Args:
        lease: the task's `attempts` when it was fetched; whoever puts a task back raises them.
        worker: the queue's id of the worker that fetched it.
    """
    values = {"task": task, "lease": lease, "worker": worker}
    return connection.execute(text(_TAKE_OFF), values).first() is not None


# --- repair ---------------------------------------------------------------------------------------

_PUT_BACK = f"""
    UPDATE procrastinate_jobs SET status = 'todo', worker_id = NULL, attempts = attempts + 1
    WHERE queue_name = '{RUNNER_QUEUE}' AND status = 'doing'
"""  # noqa: S608 - a constant of ours

GHOSTS = _PUT_BACK + "AND worker_id = %(worker)s AND NOT (id = ANY(%(held)s)) RETURNING id"
"""Puts back what the queue believes a worker to have and it has not (`held`); for Procrastinate's connector."""


def put_back(connection: Connection, workers: Collection[int]) -> list[int]:
    """Put the tasks of vanished workers (their queue's ids) back on the queue, and those without one; their ids."""
    query = text(_PUT_BACK + "AND (worker_id IS NULL OR worker_id = ANY(:workers)) RETURNING id")
    return list(connection.execute(query, {"workers": list(workers)}).scalars())


# --- workers --------------------------------------------------------------------------------------

SIGN_OF_LIFE = """
    WITH known AS (
        INSERT INTO procrastinate_workers (id, last_heartbeat) OVERRIDING SYSTEM VALUE VALUES (%(worker)s, now())
        ON CONFLICT (id) DO UPDATE SET last_heartbeat = excluded.last_heartbeat
    )
    UPDATE workers SET stopped_at = NULL, problems = %(problems)s WHERE queue_worker_id = %(worker)s
"""
"""A worker's heartbeat, also of one that was given up meanwhile; for Procrastinate's connector."""

_HEARTBEATS = "SELECT id, last_heartbeat, extract(epoch FROM now() - last_heartbeat) AS age FROM procrastinate_workers"


@dataclass(frozen=True)
class Heartbeat:
    """When a worker (the queue's id) was last heard of, by the database's clock, and how many seconds it is silent."""

    worker: int
    at: datetime
    age: float


def heartbeats(connection: Connection) -> list[Heartbeat]:
    """The last heartbeat of every worker that the queue knows."""
    return [Heartbeat(row.id, row.last_heartbeat, float(row.age)) for row in connection.execute(text(_HEARTBEATS))]


_FORGET = "DELETE FROM procrastinate_workers WHERE id = ANY(:gone)"
_CLOSE = """
    UPDATE workers SET stopped_at = now() WHERE stopped_at IS NULL
        AND NOT EXISTS (SELECT 1 FROM procrastinate_workers q WHERE q.id = queue_worker_id)
"""


def close_workers(connection: Connection, gone: Collection[int]) -> None:
    """Forget workers (the queue's ids) until they are heard again, and mark as stopped whom the queue does not know."""
    connection.execute(text(_FORGET), {"gone": list(gone)})
    connection.execute(text(_CLOSE))


ALIVE = """
    SELECT w.id, w.name, w.devices, w.problems, w.started_at, q.last_heartbeat
    FROM workers w JOIN procrastinate_workers q ON q.id = w.queue_worker_id
    WHERE w.stopped_at IS NULL AND q.last_heartbeat > now() - make_interval(secs => :stall_timeout)
    ORDER BY w.started_at, w.id
"""


@dataclass(frozen=True)
class LiveWorker:
    """A worker whose heartbeat is fresh; `problems` says why devices of it take no work, one line each."""

    id: UUID
    name: str
    devices: Sequence[str]
    problems: Sequence[str]
    started_at: datetime
    last_seen_at: datetime


def live_workers(connection: Connection, stall_timeout: float) -> list[LiveWorker]:
    """Workers with a heartbeat in the last `stall_timeout` seconds, oldest first."""
    return [LiveWorker(*row) for row in connection.execute(text(ALIVE), {"stall_timeout": stall_timeout})]
