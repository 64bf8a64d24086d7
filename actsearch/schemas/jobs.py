"""Jobs as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from actsearch.schemas.base import Schema
from actsearch.schemas.requests import JobRequest
from actsearch.schemas.states import JobState, StopRule
from actsearch.schemas.trials import ObjectiveInfo, Trial
from actsearch.schemas.verdicts import ConfirmationProgress, Verdict

JobField = Literal["request", "verdict", "notes"]
"""What a list of jobs gives only where it is asked for."""


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


class BestTrial(Schema):
    """The best complete trial so far, in short."""

    id: UUID
    number: int
    value: float
    family: str | None


class _Seen(Schema):
    """What lists and single jobs have in common.

    Args:
        owner: name of the client whose API key it was submitted with; None where none was asked for.
        reason: why the job failed or was cancelled.
        stopped_by: which limit of the budget ended the search; None before, and where it did not come to that.
        confirmation: how far it is, once it has begun.
        words: the verdict in a sentence, once there is one.
        workers_online: workers that could run it now: online, with a device that takes work.
        dashboard: path of the study in the Optuna dashboard on the same server.
    """

    id: UUID
    name: str | None
    labels: list[str] = Field(default_factory=list)
    owner: str | None = None
    state: JobState
    reason: str | None
    stopped_by: StopRule | None = None
    architecture: str
    task: str
    objective: ObjectiveInfo
    progress: Progress
    confirmation: ConfirmationProgress | None = None
    words: str | None = None
    workers_online: int
    dashboard: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class JobSummary(_Seen):
    """A job in a list: `GET /v1/jobs`. `request`, `verdict` and `notes` are there where `fields` asks for them.

    Args:
        best: the best complete trial so far.
        request, verdict, notes: as in `Job`; None where they were not asked for.
    """

    best: BestTrial | None
    request: JobRequest | None = None
    verdict: Verdict | None = None
    notes: list[str] | None = None


class Job(_Seen):
    """A job and how far it is: `GET /v1/jobs/{id}`.

    Args:
        best: the best complete trial so far.
        verdict: what it found, once the job is completed; None where no confirmation was asked for.
        notes: what was guessed of own data when the job was submitted, and what looks strange in them
            (`GET /v1/tasks/{name}` says so before).
    """

    request: JobRequest
    best: Trial | None
    verdict: Verdict | None = None
    notes: list[str] = Field(default_factory=list)
