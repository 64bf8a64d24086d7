"""How many jobs a client may have at once."""

from __future__ import annotations

from sqlalchemy import Connection, text

from actsearch.errors import ActsearchError

# Submissions of one client wait for each other from here to the end of their transactions, which is near.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('open jobs ' || :owner, 0))"
_COUNT = """
    SELECT count(*) FROM jobs WHERE owner = :owner AND state IN ('queued', 'running', 'paused', 'confirming')
"""


class TooManyJobs(ActsearchError):
    """The client has as many jobs as it may have at once."""

    def __init__(self, owner: str, most: int) -> None:
        super().__init__(
            f"{owner!r} has {most} jobs that are queued, running, paused or confirming, which is the most that a "
            "client may have at once (ACTSEARCH_OPEN_JOBS of the service); cancel some, or submit when some are done"
        )


def require_room(connection: Connection, owner: str | None, most: int) -> None:
    """Return if a client may have one job more; until the transaction ends no other one can take its place.

    Args:
        owner: name of the client; None for jobs without an owner, which are not counted.
        most: jobs at once; 0 for any.

    Raises:
        TooManyJobs: it may not.
    """
    if owner is None or not most:
        return
    connection.execute(text(_LOCK), {"owner": owner})
    if connection.execute(text(_COUNT), {"owner": owner}).scalar_one() >= most:
        raise TooManyJobs(owner, most)
