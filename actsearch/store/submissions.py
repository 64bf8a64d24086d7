"""Submissions that a client may repeat: with the same key it gets the job that it got first.

After the IETF's draft "The Idempotency-Key HTTP Header Field"; keys are remembered for a day.
"""

from __future__ import annotations

import hashlib
import json
from uuid import UUID

from sqlalchemy import Connection, text

from actsearch.errors import ActsearchError, FieldProblem, InvalidRequest
from actsearch.schemas import JobRequest

HEADER = "Idempotency-Key"

_FORGET = "DELETE FROM submissions WHERE created_at < now() - INTERVAL '24 hours'"
_FIND = "SELECT job_id, digest FROM submissions WHERE owner = :owner AND key = :key"
_REMEMBER = "INSERT INTO submissions (owner, key, digest, job_id) VALUES (:owner, :key, :digest, :job)"
_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended(:owner || ' ' || :key, 0))"


class SubmissionInProgress(ActsearchError):
    """The first submission under this key has not ended yet."""

    def __init__(self) -> None:
        super().__init__(f"a request with this {HEADER} is in progress; try again in a moment")


def submitted_before(connection: Connection, owner: str | None, key: str, request: JobRequest) -> UUID | None:
    """The job that this key made within 24 hours; None if it is new, and then the caller's until its transaction ends.

    Args:
        owner: whose key it is: two clients may use the same one and know nothing of each other.
        key: as the client chose it.
        request: what is submitted with it now.

    Raises:
        SubmissionInProgress: another transaction has the key.
        InvalidRequest: the key was used for another request.
    """
    whose = {"owner": owner or "", "key": key}
    if not connection.execute(text(_LOCK), whose).scalar_one():
        raise SubmissionInProgress
    connection.execute(text(_FORGET))
    found = connection.execute(text(_FIND), whose).first()
    if found is None:
        return None
    if found.digest != _digest(request):
        message = "was used for another request within 24 hours; take a new key for a new request"
        raise InvalidRequest(FieldProblem(HEADER, message))
    job: UUID = found.job_id
    return job


def remember(connection: Connection, owner: str | None, key: str, request: JobRequest, job: UUID) -> None:
    """Keep which job a key made, in the job's own transaction."""
    values = {"owner": owner or "", "key": key, "digest": _digest(request), "job": job}
    connection.execute(text(_REMEMBER), values)


def _digest(request: JobRequest) -> str:
    said = json.dumps(request.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()
