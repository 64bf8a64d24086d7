"""What happened to jobs, in order."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from actsearch.schemas.base import Schema


class Event(Schema):
    """Something that happened to a job.

    Args:
        id: grows; later events have larger ones.
        kind: `state`: it came into another state; `changed`: its request was.
        by: name of the client that asked for it; None where nobody did, or nobody's name was asked.
        data: `state` and `reason`, or what was changed (`name`, `priority`, `parallelism`, `trials`), with the
            verdict that was given before, if any.
    """

    id: int
    kind: Literal["state", "changed"]
    at: datetime
    by: str | None
    data: dict[str, Any]
