"""Finding the job that a person means."""

from __future__ import annotations

from itertools import islice
from uuid import UUID

from actsearch.client import Client, JobHandle
from actsearch.client.display import label, short_id
from actsearch.errors import ActsearchError, NotFound
from actsearch.schemas import JobSummary

SEARCHED = 1000


def find_job(client: Client, wanted: str) -> JobHandle:
    """The job whose id is `wanted`, or begins or ends with it; `last` is the newest that this client submitted.

    Raises:
        NotFound: there is none, or more than one, among the newest 1000.
    """
    if wanted == "last":
        newest = next(client.jobs(mine=True), None)
        if newest is None:
            others = "; others have: see `actsearch jobs`" if next(client.jobs(), None) else ""
            raise ActsearchError(f"there is no job 'last': this client has submitted none{others}")
        return client.job(newest.id)
    if _is_uuid(wanted):
        return client.job(wanted)
    found = [job for job in islice(client.jobs(), SEARCHED) if matches(job.id, wanted)]
    return client.job(_only(wanted, found).id)


def matches(identity: UUID, wanted: str) -> bool:
    """Whether the id begins or ends with `wanted`; hyphens and case do not matter."""
    text = wanted.replace("-", "").lower()
    return bool(text) and (identity.hex.startswith(text) or identity.hex.endswith(text))


def _only(wanted: str, found: list[JobSummary]) -> JobSummary:
    if len(found) == 1:
        return found[0]
    if found:
        raise NotFound("single job", wanted, [f"{short_id(job.id)} ({label(job)})" for job in found[:10]])
    raise NotFound("job", wanted)


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
