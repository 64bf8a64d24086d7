"""Following jobs until they are done: flows that both clients drive."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from actsearch.client.calls import get_job
from actsearch.client.errors import NoAnswer, ServerError, ServerUnreachable, WaitTimeout
from actsearch.client.exchange import Flow, Pause, exchange
from actsearch.client.service import Service
from actsearch.schemas import FINAL_STATES, Job

PATIENCE = 60.0
"""Seconds without an answer after which a job is no longer waited for; a restart of the API takes less."""


class Display(Protocol):
    """Shows how far jobs are, each time it is told."""

    def update(self, jobs: Sequence[Job]) -> None:
        """Show them; always the same jobs in the same order."""


def follow(
    service: Service, job_ids: Sequence[UUID], poll: float, timeout: float | None = None, display: Display | None = None
) -> Flow[list[Job]]:
    """Ask for the jobs every `poll` seconds until all of them are in a final state; returns them.

    Raises:
        WaitTimeout: `timeout` seconds went by before that.
        ServerUnreachable, NoAnswer, ServerError: no answer for `PATIENCE` seconds.
    """
    begin = time.monotonic()
    while True:
        jobs = yield from _ask(service, job_ids, poll)
        if display is not None:
            display.update(jobs)
        if all(job.state in FINAL_STATES for job in jobs):
            return jobs
        left = float("inf") if timeout is None else begin + timeout - time.monotonic()
        if left <= 0:
            raise WaitTimeout(_still(jobs))
        yield Pause(min(poll, left))


def _ask(service: Service, job_ids: Sequence[UUID], poll: float) -> Flow[list[Job]]:
    """The jobs as they are now, however often that takes to ask within `PATIENCE` seconds."""
    begin = time.monotonic()
    while True:
        jobs = []
        try:
            for job_id in job_ids:
                jobs.append((yield from exchange(service, get_job(job_id))))  # noqa: PERF401 - no yield in one
        except (ServerUnreachable, NoAnswer, ServerError):
            if time.monotonic() - begin > PATIENCE:
                raise
            yield Pause(poll)
        else:
            return jobs


def _still(jobs: Sequence[Job]) -> str:
    return "; ".join(
        f"job {job.id} is still {job.state}, with {job.progress.finished} of {job.progress.budget} trials finished"
        for job in jobs
        if job.state not in FINAL_STATES
    )
