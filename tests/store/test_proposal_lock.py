"""The turn to propose: one runner of a job at a time, and nobody waits for ever."""

from __future__ import annotations

import threading
import time
from uuid import uuid4

import pytest
from sqlalchemy import Engine

from actsearch.store import proposal_lock


def test_a_second_runner_of_the_job_waits_and_one_of_another_job_does_not(engine: Engine) -> None:
    job, order = uuid4(), []

    def second() -> None:
        with proposal_lock.proposing(engine, job):
            order.append("second")

    waiting = threading.Thread(target=second)
    with proposal_lock.proposing(engine, job):
        waiting.start()
        with proposal_lock.proposing(engine, uuid4()):
            order.append("another job")
        waiting.join(0.2)
        order.append("first")
    waiting.join()
    assert order == ["another job", "first", "second"]


def test_who_has_waited_long_enough_goes_on_and_not_before(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proposal_lock, "_PATIENCE", "300ms")
    job = uuid4()
    with proposal_lock.proposing(engine, job):
        began = time.monotonic()
        with proposal_lock.proposing(engine, job):
            assert 0.29 < time.monotonic() - began < 10


def test_a_turn_ends_with_the_block_even_if_it_raises(engine: Engine) -> None:
    job = uuid4()
    with pytest.raises(ZeroDivisionError), proposal_lock.proposing(engine, job):
        raise ZeroDivisionError
    held = "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database AND datname = current_database()"
    with engine.connect() as connection:
        assert connection.exec_driver_sql(f"{held} WHERE locktype = 'advisory'").scalar() == 0
