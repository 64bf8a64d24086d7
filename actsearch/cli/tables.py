"""Tables of jobs and trials."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from actsearch.cli.texts import activation_text, duration_text, moment_text, other_parameters, value_text
from actsearch.client.display import STATE_STYLES, best_so_far, label, note, short_id
from actsearch.schemas import Event, Job, JobState, JobSummary, Trial

BASELINE_STYLE = "bold yellow"


def new_table(*columns: str, title: str | None = None, caption: str | None = None) -> Table:
    """An empty table in the house's style."""
    table = Table(box=SIMPLE_HEAD, title=title, caption=caption, title_justify="left", caption_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def add_row(table: Table, *cells: object, style: str = "") -> None:
    """Add a row; text is taken literally, not as markup."""
    table.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in cells), style=style)


def job_table(jobs: Sequence[JobSummary]) -> Table:
    """Jobs, one a line."""
    table = new_table("id", "job", "state", "trials", "best", "submitted", "note")
    for job in jobs:
        state = Text(job.state, style=STATE_STYLES[job.state])
        done = f"{job.progress.finished}/{job.progress.budget}"
        best = best_so_far(job).removeprefix("best ")
        add_row(table, short_id(job.id), label(job), state, done, best, moment_text(job.created_at), note(job))
    return table


def job_details(job: Job) -> RenderableType:
    """Everything about a job."""
    progress = job.progress
    facts = {
        "id": job.id,
        "state": job.state,
        "note": note(job),
        "trials": f"{progress.finished} of {progress.budget} finished: {progress.complete} complete, "
        f"{progress.pruned} pruned, {progress.failed} failed",
        "owner": job.owner or "",
        "labels": ", ".join(job.labels),
        "stopped by": job.stopped_by or "",
        "data": "\n".join(job.notes),
        "objective": f"{job.objective.direction} {job.objective.metric}",
        "best": f"{value_text(job.best.value)}, {activation_text(job.best)}" if job.best else "",
        "dashboard": job.dashboard,
        "submitted": moment_text(job.created_at),
        "started": moment_text(job.started_at),
        "finished": moment_text(job.finished_at),
        "request": json.dumps(job.request.model_dump(mode="json", exclude_unset=True), indent=2),
    }
    return _facts(label(job), facts)


def trial_table(trials: Sequence[Trial], metric: str, *, across_jobs: bool = False) -> Table:
    """Trials, one a line, with their job where they are of several; the baseline stands out."""
    table = new_table(
        *(["job"] if across_jobs else []),
        "trial",
        "state",
        metric,
        "activation",
        "other parameters",
        "attempt",
        "seconds",
    )
    for trial in trials:
        state = f"failed: {trial.failure.reason}" if trial.failure else trial.state
        words = (activation_text(trial), other_parameters(trial), trial.attempt, duration_text(trial))
        style = BASELINE_STYLE if trial.is_baseline else ""
        job = [short_id(trial.job_id)] if across_jobs else []
        add_row(table, *job, trial.number, state, value_text(trial.value), *words, style=style)
    return table


def event_table(events: Sequence[Event], *, header: bool = True) -> Table:
    """What happened to a job, one thing a line."""
    table = new_table("when", "what", "by", "why")
    table.show_header = header
    for event in events:
        data = event.data
        changes = [f"{name} {value}" for name, value in data.items() if name not in ("state", "reason", "verdict")]
        what = (
            Text(data["state"], style=STATE_STYLES[JobState(data["state"])]) if "state" in data else ", ".join(changes)
        )
        before = data["verdict"]["words"] if "verdict" in data else ""
        add_row(table, moment_text(event.at), what, event.by or "", data.get("reason") or before)
    return table


def trial_details(trial: Trial) -> RenderableType:
    """Everything about a trial, with its learning curve."""
    facts = {
        "id": trial.id,
        "state": trial.state,
        "failure": f"{trial.failure.reason}: {trial.failure.detail}" if trial.failure else "",
        "activation": activation_text(trial),
        "value": value_text(trial.value),
        **{f"parameters.{name}": value_text(value) for name, value in trial.parameters.items()},
        **{f"metrics.{name}": value_text(value) for name, value in trial.metrics.items()},
    }
    title = f"trial {trial.number}{' (baseline)' if trial.is_baseline else ''}"
    return Group(_facts(title, facts), _curve(trial))


def _curve(trial: Trial) -> Table:
    names = sorted({name for point in trial.curve for name in point.metrics})
    table = new_table("epoch", *names)
    for point in trial.curve:
        add_row(table, point.epoch, *(value_text(point.metrics.get(name)) for name in names))
    return table


def _facts(title: str, facts: Mapping[str, object]) -> Table:
    table = Table(box=None, show_header=False, title=title, title_justify="left", title_style="bold")
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in facts.items():
        if str(value):
            add_row(table, name, value)
    return table
