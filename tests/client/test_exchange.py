"""One call: what is sent, when it is sent again, what the answer means. No socket: exchanges are driven by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actsearch.client import calls
from actsearch.client.calls import Call
from actsearch.client.errors import (
    AccessDenied,
    AnswerError,
    ConflictError,
    InvalidRequestError,
    MalformedAnswer,
    NoAnswer,
    NotFoundError,
    ServerError,
    ServerUnreachable,
)
from actsearch.client.exchange import Pause, Reply, Send, exchange
from actsearch.client.service import Service
from actsearch.errors import ClientError
from actsearch.schemas import Page, WorkerInfo

SERVICE = Service("http://service", retries=3)
GET, POST = calls.list_workers(), Call("POST", "/v1/jobs/1/cancel", Page[WorkerInfo])
KEYED = Call("POST", "/v1/jobs", Page[WorkerInfo], body={"task": "digits"}, keyed=True)
EMPTY = {"items": [], "next_cursor": None}
PROBLEM = {
    "title": "Unprocessable Content",
    "status": 422,
    "detail": "space.families.0: no family 'relo'",
    "errors": [{"field": "space.families.0", "message": "no family 'relo'", "allowed": ["relu", "elu"]}],
}


def answer(status: int, body: Any = EMPTY, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.Response(status, content=content, headers=headers, request=httpx.Request("GET", "http://service/x"))


def drive(call: Call[Any], replies: Sequence[Reply], service: Service = SERVICE) -> tuple[Any, list[Send], list[Pause]]:
    """Result (or error), requests and pauses of a call to which the network replies so, the last one for ever."""
    flow, sent, paused, reply = exchange(service, call), [], [], None
    while True:
        try:
            step = flow.send(reply)
        except StopIteration as end:
            return end.value, sent, paused
        except ClientError as error:
            return error, sent, paused
        if isinstance(step, Pause):
            paused.append(step)
            reply = None
        else:
            reply = replies[min(len(sent), len(replies) - 1)]
            sent.append(step)


never_sent = st.sampled_from([httpx.ConnectError("refused"), httpx.ConnectTimeout("slow")])
lost_midway = st.sampled_from([httpx.ReadError("reset"), httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("gone")])
overload = st.sampled_from([429, 502, 503, 504]).map(answer)


def kind_of(failure: Reply) -> type[ClientError]:
    """What a call ends with whose last attempt failed so."""
    if isinstance(failure, httpx.ConnectError | httpx.ConnectTimeout):
        return ServerUnreachable
    return NoAnswer if isinstance(failure, httpx.TransportError) else ServerError


@given(st.lists(never_sent | lost_midway | overload, max_size=6), st.integers(0, 5))
def test_a_reading_call_outlives_as_many_passing_failures_as_it_has_retries(
    failures: list[Reply], retries: int
) -> None:
    result, sent, paused = drive(GET, [*failures, answer(200)], Service("http://service", retries))

    assert len(sent) == min(len(failures), retries) + 1
    assert len(paused) == len(sent) - 1
    if len(failures) <= retries:
        assert result == Page[WorkerInfo](items=[])
    else:
        assert type(result) is kind_of(failures[retries])


@given(st.lists(never_sent, max_size=3), lost_midway | overload)
def test_a_writing_call_is_sent_again_only_if_it_cannot_have_arrived(refused: list[Reply], lost: Reply) -> None:
    result, sent, _ = drive(POST, [*refused, lost, answer(200)])

    assert type(result) is kind_of(lost)
    assert len(sent) == len(refused) + 1
    assert all("idempotency-key" not in step.request.headers for step in sent)


in_progress = st.just(answer(409, **{"Retry-After": "1"}))


@given(st.lists(never_sent | lost_midway | overload | in_progress, max_size=6), st.integers(0, 5))
def test_a_keyed_call_is_sent_again_like_a_reading_one_with_the_same_key(failures: list[Reply], retries: int) -> None:
    result, sent, _ = drive(KEYED, [*failures, answer(200)], Service("http://service", retries))

    assert len(sent) == min(len(failures), retries) + 1
    assert (result == Page[WorkerInfo](items=[])) is (len(failures) <= retries)
    assert len({step.request.headers["idempotency-key"] for step in sent}) == 1


def test_a_conflict_without_a_time_lasts() -> None:
    assert len(drive(KEYED, [answer(409, PROBLEM)])[1]) == 1


def test_two_keyed_calls_have_different_keys() -> None:
    keys = {drive(KEYED, [answer(200)])[1][0].request.headers["idempotency-key"] for _ in range(2)}
    assert len(keys) == 2


@pytest.mark.parametrize("status", [400, 404, 409, 422, 500])
def test_lasting_failures_are_not_tried_again(status: int) -> None:
    _, sent, _ = drive(GET, [answer(status, PROBLEM)])
    assert len(sent) == 1


def test_pauses_double_with_some_chance_in_them() -> None:
    _, _, paused = drive(GET, [answer(503)], Service("http://service", retries=8, backoff=0.2, longest_pause=5.0))
    assert len(paused) == 8
    for attempt, pause in enumerate(paused):
        assert 0.5 * min(0.2 * 2**attempt, 5) <= pause.seconds <= min(0.2 * 2**attempt, 5)
    _, _, again = drive(GET, [answer(503)], Service("http://service", retries=8, backoff=0.2, longest_pause=5.0))
    assert paused != again


@pytest.mark.parametrize(("asked", "seconds"), [("3", 3.0), ("0", 0.0), ("20", 20.0)])
def test_the_server_may_say_how_long_to_pause(asked: str, seconds: float) -> None:
    _, _, paused = drive(GET, [answer(429, **{"Retry-After": asked}), answer(200)])
    assert paused == [Pause(seconds)]


def test_who_is_to_come_back_much_later_is_told_so_at_once() -> None:
    error, sent, paused = drive(GET, [answer(429, PROBLEM, **{"Retry-After": "21"})])
    assert isinstance(error, ServerError)
    assert (len(sent), paused) == (1, [])


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequestError),
        (413, InvalidRequestError),
        (415, InvalidRequestError),
        (422, InvalidRequestError),
        (404, NotFoundError),
        (409, ConflictError),
        (429, ServerError),
        (500, ServerError),
        (503, ServerError),
        (401, AccessDenied),
        (403, AccessDenied),
        (418, AnswerError),
    ],
)
@pytest.mark.parametrize("body", [PROBLEM, b"<html>bad gateway</html>", b"", b"\xff\xfe"])
def test_every_refusal_has_its_error(status: int, kind: type[AnswerError], body: Any) -> None:
    error, _, _ = drive(POST, [answer(status, body)])
    assert type(error) is kind
    assert str(error)
    if body is not PROBLEM:
        assert str(status) in str(error)


def test_an_invalid_request_names_field_mend_and_allowed_values() -> None:
    error, _, _ = drive(POST, [answer(422, PROBLEM)])
    assert error.errors[0].field == "space.families.0"
    assert "space.families.0: no family 'relo' (allowed: relu, elu)" in str(error)


@pytest.mark.parametrize(
    "reply",
    [
        answer(200, b"<html>welcome to my router</html>"),
        answer(200, b'{"items": ['),
        answer(200, b""),
        answer(200, {"items": [{"id": "not a uuid"}]}),
        answer(200, []),
        answer(302, location="http://elsewhere"),
    ],
)
def test_what_does_not_speak_the_api_is_told_apart(reply: Reply) -> None:
    error, sent, _ = drive(GET, [reply])
    assert isinstance(error, MalformedAnswer)
    assert "http://service" in str(error)
    assert len(sent) == 1


def test_a_newer_server_may_say_more() -> None:
    worker = {
        "id": "0190a8f0-0000-7000-8000-000000000000",
        "name": "w",
        "devices": ["cpu"],
        "started_at": "2026-01-01T00:00:00Z",
        "last_seen_at": "2026-01-01T00:00:00Z",
        "mood": "good",
    }
    page, _, _ = drive(GET, [answer(200, {"items": [worker], "next_cursor": None, "total": 1})])
    assert page.items[0].name == "w"


def test_no_connection_says_where_and_how_to_start_one() -> None:
    error, _, _ = drive(GET, [httpx.ConnectError("Connection refused")])
    assert "http://service" in str(error)
    assert "actsearch up" in str(error)
    assert isinstance(error.__cause__, httpx.ConnectError)


def test_a_lost_answer_is_no_lost_connection() -> None:
    error, _, _ = drive(POST, [httpx.ReadTimeout("timed out")])
    assert "http://service" in str(error)
    assert "may still have carried out" in str(error)
    assert "actsearch up" not in str(error)


def test_query_parameters_that_are_none_are_left_out() -> None:
    _, sent, _ = drive(calls.list_jobs(state=None, limit=7), [answer(200)])
    assert str(sent[0].request.url) == "http://service/v1/jobs?limit=7"


def test_numbers_that_json_cannot_say_reach_the_server() -> None:
    _, sent, _ = drive(Call("POST", "/v1/jobs", Page[WorkerInfo], body={"x": float("nan")}), [answer(200)])
    assert sent[0].request.content == b'{"x":NaN}'
