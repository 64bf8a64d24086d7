"""Live progress of jobs: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self
from uuid import UUID

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from actsearch.schemas import FINAL_STATES, Job, JobState, JobSummary

STATE_STYLES = {
    JobState.queued: "yellow",
    JobState.running: "cyan",
    JobState.paused: "yellow",
    JobState.confirming: "cyan",
    JobState.completed: "green",
    JobState.failed: "red",
    JobState.cancelled: "red",
}


def short_id(identity: UUID) -> str:
    """The end of an id, enough to name it by: the beginning of a UUIDv7 is its time."""
    return identity.hex[-8:]


def label(job: Job | JobSummary) -> str:
    """The job as people call it."""
    return job.name or f"{job.task} / {job.architecture}"


def best_so_far(job: Job | JobSummary) -> str:
    """Metric, value and family of the best trial, in a few words."""
    if job.best is None or job.best.value is None:
        return f"best {job.objective.metric}: none yet"
    return f"best {job.objective.metric} {job.best.value:.4g} ({job.best.family})"


def note(job: Job | JobSummary) -> str:
    """What else is worth saying: nobody to work on it, trials that did not complete, why it ended."""
    if job.reason:
        return job.reason
    if job.words is not None:
        return job.words
    if job.state is JobState.paused:
        return "goes on with `actsearch resume`"
    if job.state not in FINAL_STATES and job.workers_online == 0:
        return "no worker online: start one with `actsearch worker`"
    if job.state is JobState.confirming and job.confirmation is not None:
        return f"{job.confirmation.finished} of {job.confirmation.planned} networks on fresh seeds"
    counts = {"pruned": job.progress.pruned, "failed": job.progress.failed}
    if job.state not in FINAL_STATES:
        counts = {"in training": job.progress.running} | counts
    words = [f"{count} {word}" for word, count in counts.items() if count]
    if job.state not in FINAL_STATES:
        words.append(f"{job.workers_online} worker{'s' if job.workers_online != 1 else ''} online")
    return ", ".join(words)


class Bars:
    """A bar a job, redrawn in place; for terminals."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            TextColumn("{task.fields[state]}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[best]}", markup=False),
            TextColumn("{task.fields[note]}", style="dim", markup=False),
            TimeElapsedColumn(),
            console=console,
            refresh_per_second=4,
        )
        self._rows: dict[UUID, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._progress.stop()

    def update(self, jobs: Sequence[Job]) -> None:
        """Redraw."""
        for job in jobs:
            if job.id not in self._rows:
                self._rows[job.id] = self._progress.add_task(label(job), state="", best="", note="", total=1)
            style = STATE_STYLES[job.state]
            shown = job.confirmation if job.state is JobState.confirming else None
            self._progress.update(
                self._rows[job.id],
                total=shown.planned if shown else job.progress.budget,
                completed=shown.finished if shown else job.progress.finished,
                state=f"[{style}]{job.state}[/{style}]",
                best=best_so_far(job),
                note=note(job),
            )
            if job.state in FINAL_STATES:
                self._progress.stop_task(self._rows[job.id])


class Lines:
    """A line a job when something has changed, at most every `every` seconds; for files and pipes."""

    def __init__(self, console: Console, every: float = 3.0) -> None:
        self._console = console
        self._every = every
        self._begin = time.monotonic()
        self._said: dict[UUID, tuple[str, JobState, float]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        pass

    def update(self, jobs: Sequence[Job | JobSummary]) -> None:
        """Print what has changed; a change of state at once."""
        now = time.monotonic() - self._begin
        for job in jobs:
            text = (
                f"{label(job)}: {job.state}, {job.progress.finished}/{job.progress.budget} trials, {best_so_far(job)}"
            )
            text = ", ".join(filter(None, [text, note(job)]))
            said, state, at = self._said.get(job.id, ("", None, 0.0))
            if text != said and (state != job.state or now - at >= self._every):
                self._console.print(f"[{now:5.0f} s] {text}", markup=False, highlight=False, soft_wrap=True)
                self._said[job.id] = (text, job.state, now)


def progress_display(console: Console | None = None) -> Bars | Lines:
    """What suits the console (standard output if None): a context manager to `update` with jobs."""
    console = console or Console()
    return Bars(console) if console.is_terminal else Lines(console)
