"""The queue's tasks: running a job's slices, and the upkeep that repairs what crashes leave."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from procrastinate import App, JobContext, PsycopgConnector
from sqlalchemy import Engine

from actsearch.errors import IllegalTransition
from actsearch.schemas import ACTIVE_STATES, JobState
from actsearch.settings import Settings
from actsearch.store import jobs
from actsearch.store.queue import RUN_TASK, RUNNER_QUEUE, UPKEEP_QUEUE, defer_runners
from actsearch_workers.device_process import ProcessDied
from actsearch_workers.handback import give_back
from actsearch_workers.messages import Broken, Run
from actsearch_workers.own_tasks import OwnTasks
from actsearch_workers.pool import DevicePool
from actsearch_workers.upkeep import reconcile

log = structlog.get_logger()
MAX_CRASHES = 5

# The pool of connections is given when the app is opened (`main`).
app = App(connector=PsycopgConnector())
app.job_manager = OwnTasks(app.connector)


@dataclass(frozen=True)
class Workplace:
    """What tasks need of the worker they run in."""

    name: str
    engine: Engine
    devices: DevicePool
    settings: Settings


def workplace(context: JobContext) -> Workplace:
    """The workplace that `main` put into the task's context."""
    found: Mapping[str, Any] = context.additional_context
    place: Workplace = found["workplace"]
    return place


@app.task(name=RUN_TASK, queue=RUNNER_QUEUE, pass_context=True)
async def run_job(context: JobContext, job_id: str, crashes: int = 0) -> None:
    """Work on a job for a time slice on a free device, then go back to the queue's end if work is left."""
    place, job, runner = workplace(context), UUID(job_id), context.job.id
    assert runner is not None  # noqa: S101 - a fetched task has an id
    order = Run(job, runner, place.name, place.settings.time_slice, place.settings.trial_attempts)
    try:
        async with place.devices.free() as device:
            reply = await device.run(order)
    except ProcessDied as death:
        log.warning("device process died", job=job_id, exit_code=death.code)
        await asyncio.to_thread(_after_crash, place, order, crashes, f"exit code {death.code}")
        return
    if isinstance(reply, Broken):
        await asyncio.to_thread(_after_crash, place, order, crashes, reply.detail)
    elif reply.more:
        await asyncio.to_thread(_again, place, job)


def _again(place: Workplace, job_id: UUID, crashes: int = 0, delay: int = 0) -> None:
    with place.engine.begin() as connection:
        state, request = jobs.get_request(connection, job_id)
        if state in ACTIVE_STATES:
            defer_runners(connection, job_id, 1, request.priority, crashes=crashes, delay=delay)


def _after_crash(place: Workplace, order: Run, crashes: int, what: str) -> None:
    """Give the interrupted trials back and try again; a job whose runners only ever die without a trial fails."""
    with place.engine.begin() as connection:
        given_back = give_back(connection, order.runner, order.attempts, worker=order.worker)
    crashes = 0 if given_back else crashes + 1
    if crashes < MAX_CRASHES:
        _again(place, order.job_id, crashes, delay=min(30, 2**crashes - 1))
        return
    with place.engine.begin() as connection:
        try:
            jobs.transition(connection, order.job_id, JobState.failed, f"its runners died {crashes} times: {what}")
        except IllegalTransition:
            log.info("job ended meanwhile", job=str(order.job_id))


@app.periodic(cron="* * * * * */5")
@app.task(name="upkeep", queue=UPKEEP_QUEUE, queueing_lock="upkeep", pass_context=True)
async def upkeep(context: JobContext, timestamp: int) -> None:
    """Repair what crashes left behind, every five seconds on one worker."""
    place = workplace(context)
    await reconcile(app, place.engine, place.settings)
