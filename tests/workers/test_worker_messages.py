"""What worker and device processes say to each other survives the line; anything else is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from actsearch_workers.messages import (
    Beat,
    Broken,
    Done,
    Drain,
    Order,
    Ready,
    Reply,
    Run,
    parse_order,
    parse_reply,
    to_line,
)

_seconds = st.floats(0, 1e9)
orders = st.builds(Drain, _seconds, kind=st.just("drain")) | st.builds(
    Run,
    st.uuids(),
    st.integers(1, 2**62),
    st.integers(0, 2**31),
    st.text(max_size=200),
    _seconds,
    st.integers(1, 9),
    kind=st.just("run"),
)
replies = (
    st.sampled_from([Ready(), Done(more=True), Done(more=False)])
    | st.builds(Broken, st.text(max_size=3000), st.sampled_from(["job", "worker", "infrastructure"]))
    | st.builds(Beat, st.integers(0, 2**62), st.integers(0, 2**62), stepping=st.booleans())
)


@given(orders)
def test_orders_survive_the_line(order: Order) -> None:
    line = to_line(order)
    assert line.count(b"\n") == 1
    assert parse_order(line) == order


@given(replies)
def test_replies_survive_the_line(reply: Reply) -> None:
    line = to_line(reply)
    assert line.count(b"\n") == 1
    assert parse_reply(line) == reply


@pytest.mark.parametrize(
    "line", [b"", b"\n", b"{}", b'{"kind": "run"}', b"hello", b'{"kind": "drain", "seconds": "x"}']
)
def test_anything_else_is_refused(line: bytes) -> None:
    for parse in (parse_order, parse_reply):
        with pytest.raises(ValidationError):
            parse(line)
