"""What can be asked of the API: one small description a call, without any I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import quote
from uuid import UUID

from actsearch.schemas import (
    ActivationInfo,
    ActivationRanking,
    ArchitectureInfo,
    Chart,
    Evaluation,
    Event,
    FamilyInfo,
    FamilyRanking,
    File,
    Importances,
    Job,
    JobField,
    JobSummary,
    Leaderboard,
    Page,
    ParetoFront,
    Schema,
    TaskInfo,
    TaskValue,
    Trial,
    TrialRanking,
    WorkerInfo,
)

Answer = TypeVar("Answer", bound=Schema)
PAGE = 100


@dataclass(frozen=True)
class Call(Generic[Answer]):
    """One HTTP exchange.

    Args:
        answer: what the body of a successful answer is.
        query: parameters of the URL; those that are None are left out.
        body: JSON document.
        keyed: whether the server knows a repetition by its key, and answers as it did first.
    """

    method: Literal["GET", "POST", "PATCH"]
    path: str
    answer: type[Answer]
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    keyed: bool = False


def after(call: Call[Answer], cursor: str) -> Call[Answer]:
    """The call for the page that `cursor` (a page's `next_cursor`) points at."""
    return replace(call, query={**call.query, "cursor": cursor})


def submit_job(document: Mapping[str, Any]) -> Call[Job]:
    """Submit a search."""
    return Call("POST", "/v1/jobs", Job, body=document, keyed=True)


def get_job(job_id: UUID | str) -> Call[Job]:
    """A job and how far it is."""
    return Call("GET", f"/v1/jobs/{job_id}", Job)


def list_jobs(
    state: str | None = None,
    fields: Sequence[JobField] = (),
    *,
    mine: bool = False,
    filter: str | None = None,  # noqa: A002 - as the service calls it
    sort: str | None = None,
    limit: int = PAGE,
) -> Call[Page[JobSummary]]:
    """Jobs, the newest first unless `sort` says otherwise."""
    chosen = {"state": state, "mine": "true" if mine else None, "filter": filter, "sort": sort}
    query = {**chosen, "fields": list(fields), "limit": limit}
    return Call("GET", "/v1/jobs", Page[JobSummary], query)


def cancel_job(job_id: UUID) -> Call[Job]:
    """Stop a job for good."""
    return Call("POST", f"/v1/jobs/{job_id}/cancel", Job)


def pause_job(job_id: UUID) -> Call[Job]:
    """Begin nothing of a job any more, until it is resumed."""
    return Call("POST", f"/v1/jobs/{job_id}/pause", Job)


def resume_job(job_id: UUID) -> Call[Job]:
    """Let a paused job go on."""
    return Call("POST", f"/v1/jobs/{job_id}/resume", Job)


def change_job(job_id: UUID, changes: Mapping[str, Any]) -> Call[Job]:
    """Change what a job is from now on (`JobChange`)."""
    return Call("PATCH", f"/v1/jobs/{job_id}", Job, body=changes)


def list_trials(
    job_id: UUID,
    *,
    state: str | None = None,
    family: str | None = None,
    filter: str | None = None,  # noqa: A002 - as the service calls it
    sort: str = "number",
    limit: int = PAGE,
) -> Call[Page[Trial]]:
    """Trials of a job, without their curves."""
    query = {"state": state, "family": family, "filter": filter, "sort": sort, "limit": limit}
    return Call("GET", f"/v1/jobs/{job_id}/trials", Page[Trial], query)


def search_trials(filter: str | None = None, sort: str | None = None, limit: int = PAGE) -> Call[Page[Trial]]:  # noqa: A002 - as the service calls it
    """Trials of all jobs, without their curves."""
    return Call("GET", "/v1/trials", Page[Trial], {"filter": filter, "sort": sort, "limit": limit})


def get_trial(trial_id: UUID | str) -> Call[Trial]:
    """One trial with its learning curve."""
    return Call("GET", f"/v1/trials/{trial_id}", Trial)


def list_evaluations(job_id: UUID, limit: int = PAGE) -> Call[Page[Evaluation]]:
    """What a job's confirmation trains."""
    return Call("GET", f"/v1/jobs/{job_id}/evaluations", Page[Evaluation], {"limit": limit})


def list_events(job_id: UUID, limit: int = PAGE) -> Call[Page[Event]]:
    """What happened to a job."""
    return Call("GET", f"/v1/jobs/{job_id}/events", Page[Event], {"limit": limit})


def rank_trials(job_id: UUID, limit: int) -> Call[TrialRanking]:
    """Complete trials, best first."""
    return Call("GET", f"/v1/jobs/{job_id}/ranking", TrialRanking, {"by": "trial", "limit": limit})


def rank_families(job_id: UUID, limit: int) -> Call[FamilyRanking]:
    """Families by their best complete trial."""
    return Call("GET", f"/v1/jobs/{job_id}/ranking", FamilyRanking, {"by": "family", "limit": limit})


def pareto_front(job_id: UUID) -> Call[ParetoFront]:
    """The trials that no other one beats in every objective."""
    return Call("GET", f"/v1/jobs/{job_id}/pareto", ParetoFront)


def report(job_id: UUID) -> Call[File]:
    """A job's report, an HTML page."""
    return Call("GET", f"/v1/jobs/{job_id}/report", File)


def chart(job_id: UUID, name: Chart, form: Literal["svg", "png"]) -> Call[File]:
    """A chart of a job's report."""
    return Call("GET", f"/v1/jobs/{job_id}/report", File, {"chart": name, "format": form})


def rank_activations(job_id: UUID, limit: int) -> Call[ActivationRanking]:
    """Activations by their best complete trial."""
    return Call("GET", f"/v1/jobs/{job_id}/ranking", ActivationRanking, {"by": "activation", "limit": limit})


def get_importances(job_id: UUID, evaluator: str) -> Call[Importances]:
    """How much each searched parameter matters."""
    return Call("GET", f"/v1/jobs/{job_id}/importances", Importances, {"evaluator": evaluator})


def get_leaderboard(architecture: str, task: str, limit: int) -> Call[Leaderboard]:
    """Families across jobs."""
    query = {"architecture": architecture, "task": task, "limit": limit}
    return Call("GET", "/v1/leaderboard", Leaderboard, query)


def list_activations() -> Call[Page[FamilyInfo]]:
    """The catalogue of families."""
    return Call("GET", "/v1/activations", Page[FamilyInfo])


def get_activation(
    family: str,
    parameters: Mapping[str, float],
    *,
    expression: str | None,
    learned: str | None,
    low: float,
    high: float,
    points: int,
) -> Call[ActivationInfo]:
    """A family, and its activation with these parameters."""
    query = {"expression": expression, "learned": learned, "low": low, "high": high, "points": points}
    given = [f"{name}={float(value)!r}" for name, value in parameters.items()]
    return Call("GET", f"/v1/activations/{quote(family, safe='')}", ActivationInfo, {**query, "parameter": given})


def list_architectures() -> Call[Page[ArchitectureInfo]]:
    """The catalogue of architectures."""
    return Call("GET", "/v1/architectures", Page[ArchitectureInfo])


def list_tasks() -> Call[Page[TaskInfo]]:
    """The catalogue of tasks."""
    return Call("GET", "/v1/tasks", Page[TaskInfo])


def get_task(name: str, parameters: Mapping[str, TaskValue]) -> Call[TaskInfo]:
    """A task, own data among them."""
    return Call("GET", f"/v1/tasks/{quote(name)}", TaskInfo, {"parameters": json.dumps(dict(parameters))})


def list_workers() -> Call[Page[WorkerInfo]]:
    """Workers and their devices."""
    return Call("GET", "/v1/workers", Page[WorkerInfo])
