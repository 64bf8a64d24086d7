"""A job as it changes: what to ask for, and what a message means, without I/O."""

from __future__ import annotations

import httpx
from httpx_sse import ServerSentEvent
from pydantic import ValidationError

from actsearch.client.calls import list_events
from actsearch.client.errors import MalformedAnswer
from actsearch.client.exchange import Flow, Pause, build
from actsearch.client.service import Service
from actsearch.schemas import Event, Job, JobSummary

SILENCE = 60.0
"""Seconds without a word after which a stream is dead; the service says something every 15."""

AGAIN = 1.0
"""Seconds before a stream that broke off is asked for again."""


def ask_for_stream(service: Service, job: Job, last: int | None) -> httpx.Request:
    """The request for the stream of a job, from the event after `last` on."""
    plain = build(service, list_events(job.id))
    headers = {"accept": "text/event-stream"} | ({} if last is None else {"last-event-id": str(last)})
    return httpx.Request("GET", plain.url, headers=dict(plain.headers) | headers)


def breath() -> Flow[None]:
    """What to do before a stream that broke off is asked for again."""
    yield Pause(AGAIN)


def told(service: Service, message: ServerSentEvent) -> Event | JobSummary | None:
    """What a message says; None for one that this version does not know.

    Raises:
        MalformedAnswer: it is not what the service says.
    """
    known: dict[str, type[Event] | type[JobSummary]] = {"job": JobSummary, "state": Event, "changed": Event}
    if message.event not in known:
        return None
    try:
        # A newer server may say more than this version knows.
        return known[message.event].model_validate_json(message.data, extra="ignore")
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]["msg"]
        raise MalformedAnswer(service.url, f"the stream of a job: {problem}") from error
