"""The reconciler: looks at what is, compares it with what should be, and repairs the difference."""

from __future__ import annotations

import asyncio

import structlog
from procrastinate import App
from procrastinate.exceptions import ConnectorException
from sqlalchemy import Engine, text

from actsearch.settings import Settings
from actsearch.store import claims, evaluations
from actsearch.store.queue import RUNNER_QUEUE, defer_runners
from actsearch_workers.handback import fail_cancelled

log = structlog.get_logger()
_LOCK = 0x616374726570  # "actrep": the advisory lock that serialises repairs
PERIOD = 5.0
"""Seconds between two runs; the cron line in `tasks` says the same."""


async def reconcile(app: App, engine: Engine, settings: Settings) -> None:
    """Put runners of vanished workers back on the queue, their trials back to the budget, and close gaps.

    Safe to run at any time, any number of times, on several workers at once.
    """
    # A worker is given up so early that, with the time until this runs, a crash costs no more than the stall timeout.
    silence = max(settings.stall_timeout - PERIOD, 2 * settings.heartbeat_interval)
    stalled = list(await app.job_manager.get_stalled_jobs(queue=RUNNER_QUEUE, seconds_since_heartbeat=silence))
    for job in stalled:
        log.warning("runner lost its worker; back to the queue", job=job.task_kwargs.get("job_id"))
        try:
            await app.job_manager.retry_job(job)
        except ConnectorException:
            log.info("another worker was faster, or the database is away", job=job.task_kwargs.get("job_id"))
    await asyncio.to_thread(_repair, engine, settings)


def _repair(engine: Engine, settings: Settings) -> None:
    with engine.begin() as connection:
        # One at a time: two that count a job's runners at the same moment would both add the missing ones.
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        lost = claims.give_back_orphans(connection, settings.trial_attempts)
        lost += evaluations.give_back_orphans(connection, settings.trial_attempts)
        cancelled = fail_cancelled(connection)
        for job_id, priority, missing in claims.unattended(connection) + evaluations.unattended(connection):
            log.warning("job without enough runners", job=str(job_id), missing=missing)
            defer_runners(connection, job_id, missing, priority)
        connection.execute(text(_CLOSE_WORKERS), {"silence": settings.stall_timeout})
    if lost or cancelled:
        log.warning("trials repaired", given_back=lost, cancelled=cancelled)


_CLOSE_WORKERS = """
    UPDATE workers w SET stopped_at = now()
    WHERE w.stopped_at IS NULL AND NOT EXISTS (
        SELECT 1 FROM procrastinate_workers q
        WHERE q.id = w.queue_worker_id AND q.last_heartbeat > now() - make_interval(secs => :silence))
"""
