"""Who did what: events. Those of jobs are written where jobs change, the others here."""

from __future__ import annotations

from typing import Literal

from sqlalchemy import Connection, insert

from actsearch.store.models import EventRow

Kind = Literal["key", "session"]


def record(connection: Connection, kind: Kind, by: str | None, **data: str) -> None:
    """Write down what happened, in the caller's transaction.

    Args:
        kind: what it happened to: an API key, or the session of a person.
        by: who did it: name of a client, or of the user of the machine where a command was run.
        data: what was done, for those who look; never a secret.
    """
    connection.execute(insert(EventRow).values({"kind": kind, "data": data | ({"by": by} if by else {})}))
