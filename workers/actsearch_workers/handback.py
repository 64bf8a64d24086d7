"""What a runner holds goes back: trials of the search and evaluations of the confirmation alike."""

from __future__ import annotations

from sqlalchemy import Connection

from actsearch.store import claims, evaluations


def give_back(
    connection: Connection, runner: int, attempts: int, worker: str | None = None, *, blamed: bool = True
) -> int:
    """Return whatever a crashed runner held, on one worker or wherever it was; how much that was."""
    return claims.give_back(connection, runner, attempts, worker, blamed=blamed) + evaluations.give_back(
        connection, runner, attempts, worker, blamed=blamed
    )


def fail_cancelled(connection: Connection) -> int:
    """Fail what waits in cancelled jobs; how much that was."""
    return claims.fail_cancelled(connection) + evaluations.fail_cancelled(connection)
