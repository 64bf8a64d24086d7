"""What a handle knows of its job without asking."""

from __future__ import annotations

from uuid import UUID

from actsearch.client.errors import NoResult
from actsearch.schemas import Job, JobState, Progress, Trial, Verdict


class SeenJob:
    """A job as last seen.

    Attributes:
        snapshot: the job when the server was last asked about it.
    """

    def __init__(self, snapshot: Job) -> None:
        self.snapshot = snapshot

    @property
    def id(self) -> UUID:
        """The job's id."""
        return self.snapshot.id

    @property
    def state(self) -> JobState:
        """The state when last seen; `refresh` asks."""
        return self.snapshot.state

    @property
    def progress(self) -> Progress:
        """How far it was when last seen; `refresh` asks."""
        return self.snapshot.progress

    def __repr__(self) -> str:
        done = f"{self.progress.finished}/{self.progress.budget} trials"
        return f"<{type(self).__name__} {self.id} {self.state} {done}>"


def verdict_of(job: Job) -> Verdict:
    """What confirmation found.

    Raises:
        NoResult: there is no verdict, or not yet.
    """
    if job.verdict is None:
        wanted = "asks for no confirmation" if job.request.confirmation_wanted is None else f"is {job.state}"
        raise NoResult(f"job {job.id} has no verdict: it {wanted}")
    return job.verdict


def best_of(job: Job) -> Trial:
    """The best complete trial so far.

    Raises:
        NoResult: there is none.
    """
    if job.best is None:
        progress = job.progress
        raise NoResult(
            f"job {job.id} ({job.state}) has no complete trial: {progress.finished} of {progress.budget} are finished, "
            f"{progress.pruned} pruned, {progress.failed} failed"
        )
    return job.best
