"""`/v1/jobs`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Header, Path, Query, Request, Response
from pydantic import Field
from sqlalchemy import Connection

from actsearch.schemas import (
    FINAL_STATES,
    PRINTABLE,
    ActivationRanking,
    Evaluation,
    Event,
    FamilyRanking,
    Importances,
    Job,
    JobChange,
    JobField,
    JobRequest,
    JobState,
    JobSummary,
    Page,
    Schema,
    Trial,
    TrialRanking,
    TrialState,
)
from actsearch.settings import Settings
from actsearch.store import changes, evaluations, events, job_views, jobs, quotas, ranking, submissions, trials
from actsearch.study import prepare
from actsearch.study.judging.importances import Evaluator
from actsearch_api import live
from actsearch_api.callers import Asking, Caller
from actsearch_api.dependencies import ServiceSettings
from actsearch_api.heavy import Heavy
from actsearch_api.jobs.importances import write_importances
from actsearch_api.lists import Filter, JobSort, Limit, PageOf, TrialSort
from actsearch_api.problems import documented
from actsearch_api.serving import in_transaction, reading

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

JobId = Annotated[UUID, Path(description="id of the job, as given when it was submitted")]
EventId = Annotated[int, Field(ge=0, lt=2**63)]
STREAM = "text/event-stream"
Key = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$")]


class JobFilter(PageOf):
    """Which jobs to list."""

    state: JobState | None = None
    filter: Filter | None = None
    sort: JobSort | None = None
    fields: Annotated[list[JobField], Field(max_length=3)] = Field(default_factory=list)
    mine: Annotated[bool, Field(description="only jobs of the client that asks")] = False
    limit: Limit = 50


class TrialFilter(PageOf):
    """Which trials to list; sorted by value, only those that have one."""

    state: TrialState | None = None
    family: Annotated[str, Field(max_length=1000, pattern=PRINTABLE)] | None = None
    filter: Filter | None = None
    sort: TrialSort = "number"


class ImportancesFilter(Schema):
    """How importances are computed."""

    evaluator: Evaluator = "ped_anova"


class RankingFilter(Schema):
    """Which ranking."""

    by: Literal["trial", "activation", "family"] = "trial"
    limit: Limit = 100


@router.post("", status_code=201, responses=documented(400, 409, 413, 415, 422, 503))
@in_transaction
def submit(
    *,
    request: JobRequest,
    connection: Connection,
    settings: ServiceSettings,
    caller: Asking,
    response: Response,
    key: Annotated[Key | None, Header(alias=submissions.HEADER)] = None,
) -> Job:
    """Submit a search; it is queued at once, whether or not a worker is up. `notes` say what was guessed.

    Sent again with the same `Idempotency-Key` within 24 hours, it answers with the job that it made first.
    """
    job_id = submissions.submitted_before(connection, caller.name, key, request) if key else None
    if job_id is None:
        job_id = _created(connection, request, caller.name, settings.open_jobs)
        if key:
            submissions.remember(connection, caller.name, key, request, job_id)
    response.headers["Location"] = f"/v1/jobs/{job_id}"
    return job_views.get_job(connection, job_id, settings.stall_timeout)


def _created(connection: Connection, request: JobRequest, owner: str | None, most: int) -> UUID:
    prepared = prepare(request)
    quotas.require_room(connection, owner, most)
    return jobs.create_job(
        connection,
        request,
        prepared.objective,
        prepared.baseline_activations,
        prepared.baseline_parameters,
        further_objectives=prepared.objectives[1:],
        notes=prepared.notes,
        owner=owner,
    )


@router.get("", responses=documented(422, 503))
@reading
def list_jobs(
    wanted: Annotated[JobFilter, Query()], connection: Connection, settings: ServiceSettings, caller: Asking
) -> Page[JobSummary]:
    """Jobs in short, newest first; `fields=request&fields=verdict` give more of each.

    `mine`: those submitted with a key of the same name; without a key, those without one.
    """
    return job_views.list_jobs(
        connection,
        settings.stall_timeout,
        state=wanted.state,
        fields=wanted.fields,
        of=job_views.Owner(caller.name) if wanted.mine else None,
        filter=wanted.filter,
        sort=wanted.sort,
        limit=wanted.limit,
        cursor=wanted.cursor,
    )


@router.get("/{job_id}", responses=documented(404, 422, 503))
@reading
def get_job(job_id: JobId, connection: Connection, settings: ServiceSettings) -> Job:
    """A job and how far it is."""
    return job_views.get_job(connection, job_id, settings.stall_timeout)


@router.get("/{job_id}/request", responses=documented(404, 422, 503))
@reading
def get_request(job_id: JobId, connection: Connection) -> JobRequest:
    """The request that a job was submitted with, defaults filled in."""
    return jobs.get_request(connection, job_id)[1]


@router.post("/{job_id}/cancel", responses=documented(404, 409, 422, 503))
@in_transaction
def cancel(job_id: JobId, connection: Connection, settings: ServiceSettings, caller: Asking) -> Job:
    """Cancel a job: what waits ends now, what trains ends at its next rung."""
    return _steered(job_id, connection, settings, caller, jobs.cancel)


@router.post("/{job_id}/pause", responses=documented(404, 409, 422, 503))
@in_transaction
def pause(job_id: JobId, connection: Connection, settings: ServiceSettings, caller: Asking) -> Job:
    """Pause a job: nothing is begun any more; what trains goes back to the budget at its next rung."""
    return _steered(job_id, connection, settings, caller, jobs.pause)


@router.post("/{job_id}/resume", responses=documented(404, 409, 422, 503))
@in_transaction
def resume(job_id: JobId, connection: Connection, settings: ServiceSettings, caller: Asking) -> Job:
    """Let a paused job go on where it stopped."""
    return _steered(job_id, connection, settings, caller, jobs.resume)


def _steered(job_id: UUID, connection: Connection, settings: Settings, caller: Caller, how: Callable[..., None]) -> Job:
    caller.require_change(jobs.get_owner(connection, job_id))
    how(connection, job_id, by=caller.name)
    return job_views.get_job(connection, job_id, settings.stall_timeout)


@router.patch("/{job_id}", responses=documented(400, 404, 409, 413, 415, 422, 429, 503))
@in_transaction
def change(
    *, job_id: JobId, wanted: JobChange, connection: Connection, settings: ServiceSettings, caller: Asking
) -> Job:
    """Change a job's name, priority, parallelism or number of trials; what is left out stays as it is.

    A completed job that gets more trials searches on from what it knows and gives its verdict anew.
    """
    owner = jobs.get_owner(connection, job_id)
    caller.require_change(owner)
    jobs.lock(connection, job_id)  # so that of two changes at once none undoes the other
    state, before = jobs.get_request(connection, job_id)
    after = wanted.applied_to(before)
    if after.budget != before.budget:
        prepare(after)
        if state in FINAL_STATES:
            quotas.require_room(connection, owner, settings.open_jobs)
    changes.change(connection, job_id, after, by=caller.name)
    return job_views.get_job(connection, job_id, settings.stall_timeout)


@router.get("/{job_id}/trials", responses=documented(404, 422, 503))
@reading
def list_trials(job_id: JobId, wanted: Annotated[TrialFilter, Query()], connection: Connection) -> Page[Trial]:
    """A job's trials, without their learning curves."""
    return trials.list_trials(
        connection,
        job_id,
        state=wanted.state,
        family=wanted.family,
        filter=wanted.filter,
        sort=wanted.sort,
        limit=wanted.limit,
        cursor=wanted.cursor,
    )


@router.get("/{job_id}/evaluations", responses=documented(404, 422, 503))
@reading
def list_evaluations(job_id: JobId, wanted: Annotated[PageOf, Query()], connection: Connection) -> Page[Evaluation]:
    """What confirmation trains: finalists and baseline on fresh seeds, by seed."""
    return evaluations.list_evaluations(connection, job_id, limit=wanted.limit, cursor=wanted.cursor)


@reading
def _events(job_id: UUID, wanted: PageOf, connection: Connection) -> Page[Event]:
    return events.list_events(connection, job_id, limit=wanted.limit, cursor=wanted.cursor)


_STREAM: dict[str, Any] = {"content": {STREAM: {"schema": {"type": "string"}}}, "description": "a page, or the stream"}


@router.get(
    "/{job_id}/events",
    response_model=Page[Event],
    responses=documented(404, 422, 503) | {200: _STREAM, 204: {"description": "the job is over, and all was told"}},
)
async def get_events(
    http: Request,
    job_id: JobId,
    wanted: Annotated[PageOf, Query()],
    last: Annotated[EventId | None, Header(alias="Last-Event-ID")] = None,
) -> Response:
    """What happened to a job, in order: its states, who changed what, and verdicts that were given anew since.

    Asked for as `text/event-stream`, it goes on while the job does: each event once and in order, `job` with the job in
    short whenever that is another, and `end`. `Last-Event-ID` goes on where a stream broke off.
    """
    if STREAM in http.headers.get("accept", ""):
        stream = await live.stream_job(http.app.state, job_id, last or 0)
        return stream or Response(status_code=204)
    return await _events(http=http, job_id=job_id, wanted=wanted)


@router.get("/{job_id}/ranking", responses=documented(404, 422, 503))
@reading
def rank(
    job_id: JobId, wanted: Annotated[RankingFilter, Query()], connection: Connection
) -> TrialRanking | ActivationRanking | FamilyRanking:
    """A job's complete trials, activations or families, best first, with the baseline's place."""
    if wanted.by == "family":
        return ranking.rank_families(connection, job_id, wanted.limit)
    if wanted.by == "activation":
        return ranking.rank_activations(connection, job_id, wanted.limit)
    return ranking.rank_trials(connection, job_id, wanted.limit)


@router.get("/{job_id}/importances", response_model=Importances, responses=documented(404, 422, 503))
async def get_importances(
    request: Request, job_id: JobId, wanted: Annotated[ImportancesFilter, Query()], heavy: Heavy
) -> Response:
    """How much of the objective's variation each searched parameter explains."""
    body = await heavy.answer(request, job_id, write_importances, wanted.evaluator)
    return Response(body, media_type="application/json")
