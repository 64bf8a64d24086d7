"""The queue's task: working on a job for a slice, and what becomes of it when the slice ends or fails."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from procrastinate import App, JobContext, PsycopgConnector
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from actsearch.errors import IllegalTransition, NotFound
from actsearch.schemas import ACTIVE_STATES, JobState
from actsearch.settings import Settings
from actsearch.store import jobs, queue, runs
from actsearch_workers.device_process import DeviceProcess, ProcessDied
from actsearch_workers.lost_database import is_infrastructure
from actsearch_workers.messages import Broken, Done, Fault, Run
from actsearch_workers.own_tasks import OwnTasks
from actsearch_workers.pool import DevicePool

log = structlog.get_logger()
MAX_CRASHES = 5
"""Slices of a job that may fail in a row, by the job's own fault and without a trial claimed, before the job fails."""
DATABASE_RETRY = 1.0
"""Seconds between two tries of a statement that a lost database did not hear."""

# The pool of connections is given when the app is opened (`main`).
app = App(connector=PsycopgConnector())
own_tasks = OwnTasks(app.connector)
app.job_manager = own_tasks


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


@dataclass(frozen=True)
class Slice:
    """A runner task as this worker fetched it.

    Args:
        order: what the device process is asked to do.
        holder: the queue's id of this worker.
        crashes: slices of the job that failed in a row before this one.
    """

    order: Run
    holder: int
    crashes: int


@dataclass(frozen=True)
class Failure:
    """A slice that failed: what was seen, whose fault it is, and whether it was the first there since one went well."""

    what: str
    fault: Fault
    first: bool


@app.task(name=queue.RUN_TASK, queue=queue.RUNNER_QUEUE, pass_context=True)
async def run_job(context: JobContext, job_id: str, crashes: int = 0) -> None:
    """Work on a job for a time slice on a free device, then go back to the queue's end if work is left."""
    place, job = workplace(context), context.job
    if job.id is None or job.worker_id is None:
        raise AssertionError("a fetched task has an id and a worker")
    settings = place.settings
    order = Run(UUID(job_id), job.id, job.attempts, place.name, settings.time_slice, settings.trial_attempts)
    async with place.devices.free() as device:
        ended = await _work(place, device, order)
    await _until_heard(place, Slice(order, job.worker_id, crashes), ended)


async def _work(place: Workplace, device: DeviceProcess, order: Run) -> Done | Failure:
    """Have a device work on the order; one that fails by its own fault, or for want of a database, rests."""
    try:
        reply = await device.run(order)
    except ProcessDied as death:
        return _failed(place, device, order, f"its process {death.reason} at work on job {order.job_id}", "worker")
    if isinstance(reply, Broken):
        return _failed(place, device, order, f"job {order.job_id} failed there ({reply.detail})", reply.fault)
    place.devices.condition(device).worked()
    return Done(more=isinstance(reply, Done) and reply.more)


def _failed(place: Workplace, device: DeviceProcess, order: Run, what: str, fault: Fault) -> Failure:
    condition = place.devices.condition(device)
    first = condition.failures == 0
    condition.failed(None if fault == "infrastructure" else order.job_id)
    if fault == "job" and len(condition.suspects) > 1:  # nothing goes well there, whatever the job
        fault = "worker"
    log.warning("slice failed", job=str(order.job_id), fault=fault, what=what)
    if fault != "job" and not place.devices.leaving:
        place.devices.rest(device, what, restart=fault == "worker")
    return Failure(what, fault, first)


# --- the end of a slice ---------------------------------------------------------------------------


async def _until_heard(place: Workplace, slice_: Slice, ended: Done | Failure) -> None:
    """Tell the database how the slice ended, as soon as it listens."""
    while True:
        try:
            await asyncio.to_thread(_conclude, place, slice_, ended)
        except (DBAPIError, PoolTimeout) as error:
            if not is_infrastructure(error):
                raise
            if place.devices.leaving:  # the reconciler of another worker will see to it
                return
            await asyncio.sleep(DATABASE_RETRY)
        else:
            return


def _conclude(place: Workplace, slice_: Slice, ended: Done | Failure) -> None:
    """In one transaction: give back what was in training, take the runner off the queue, put it to the queue's end."""
    order = slice_.order
    with place.engine.begin() as connection:
        if isinstance(ended, Done):
            if ended.more and queue.take_off(connection, order.runner, order.lease, slice_.holder):
                _go_on(connection, order.job_id, crashes=0)
            return
        _lock(connection, order.job_id)
        ours = queue.take_off(connection, order.runner, order.lease, slice_.holder)
        blamed = _blames_trials(connection, place, ended)
        given_back = runs.give_back(connection, order.runner, order.attempts, order.worker, blamed=blamed)
        if not ours:
            return
        crashes = slice_.crashes
        if ended.fault == "job":
            crashes = 0 if given_back else crashes + 1
        if crashes < MAX_CRASHES:
            _go_on(connection, order.job_id, crashes)
            return
        with suppress(IllegalTransition, NotFound):  # it ended meanwhile
            reason = f"its runners failed {crashes} times: {ended.what}"
            jobs.transition(connection, order.job_id, JobState.failed, reason)


def _lock(connection: Connection, job_id: UUID) -> None:
    """Lock the job's row, as whoever locks more than it does first."""
    with suppress(NotFound):
        jobs.lock(connection, job_id)


def _blames_trials(connection: Connection, place: Workplace, failure: Failure) -> bool:
    """Whether a trial in training may be to blame: not where one after another fails and others are fit."""
    if failure.fault == "infrastructure" or place.devices.leaving:
        return False
    return failure.first or not _others_are_fit(connection, place)


def _others_are_fit(connection: Connection, place: Workplace) -> bool:
    workers = queue.live_workers(connection, place.settings.stall_timeout)
    elsewhere = any(len(one.problems) < len(one.devices) for one in workers if one.name != place.name)
    return elsewhere or place.devices.fit > 0


def _go_on(connection: Connection, job_id: UUID, crashes: int) -> None:
    """Put a runner of the job to the queue's end, if it is still to run and has not enough."""
    try:
        state, request = jobs.get_request(connection, job_id)
    except NotFound:
        return
    if state in ACTIVE_STATES and queue.active_runners(connection, job_id) < request.runners:
        delay = min(queue.LONGEST_DELAY, 2**crashes - 1)
        queue.defer_runners(connection, job_id, 1, request.priority, crashes=crashes, delay=delay)
