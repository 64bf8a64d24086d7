"""Jobs as clients see them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import Field

from actsearch.schemas.base import Schema
from actsearch.schemas.requests import JobRequest
from actsearch.schemas.states import JobState, StopRule
from actsearch.schemas.trials import ObjectiveInfo, Trial
from actsearch.schemas.verdicts import ConfirmationProgress, Verdict


class Progress(Schema):
    """How far a job is, in trials: `finished` = complete + pruned + failed, and ends equal to `budget`.

    `budget` shrinks to the trials begun when another limit than their number ends the search.
    """

    budget: int
    finished: int
    complete: int
    pruned: int
    failed: int
    running: int
    waiting: int


class Job(Schema):
    """A job and how far it is: `GET /v1/jobs/{id}`.

    Args:
        owner: name of the client whose API key it was submitted with; None where none was asked for.
        reason: why the job failed or was cancelled.
        stopped_by: which limit of the budget ended the search; None before, and where it did not come to that.
        workers_online: workers that could run it now: online, with a device that takes work.
        best: the best complete trial so far.
        confirmation: how far it is, once it has begun.
        verdict: what it found, once the job is completed; None where no confirmation was asked for.
        notes: what was guessed of own data when the job was submitted, and what looks strange in them
            (`GET /v1/tasks/{name}` says so before).
        dashboard: path of the study in the Optuna dashboard on the same server.
    """

    id: UUID
    name: str | None
    owner: str | None = None
    state: JobState
    reason: str | None
    stopped_by: StopRule | None = None
    request: JobRequest
    objective: ObjectiveInfo
    progress: Progress
    best: Trial | None
    confirmation: ConfirmationProgress | None = None
    verdict: Verdict | None = None
    workers_online: int
    dashboard: str
    notes: list[str] = Field(default_factory=list)
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
