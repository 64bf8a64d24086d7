"""The reconciler: looks at what is, compares it with what should be, and repairs the difference."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from sqlalchemy import Engine, text

from actsearch.settings import Settings
from actsearch.store import attendance, queue, runs

log = structlog.get_logger()
_LOCK = 0x616374726570  # "actrep": the advisory lock that serialises repairs
PERIOD = 5.0
"""Seconds between two repairs of a worker."""


@dataclass
class Observer:
    """Knows which workers are silent, by the database's clock and by our own, which nobody sets back.

    Whoever looks for the first time believes the database. After a time in which it could not look, because it slept or
    the database was away, it believes only what it sees from then on: nobody else could be heard either.
    """

    clock: Callable[[], float] = time.monotonic
    _changed: dict[int, tuple[datetime, float]] = field(default_factory=dict)
    _looked: float | None = None
    _since: float = float("-inf")

    def silent(self, heartbeats: Sequence[queue.Heartbeat], seconds: float) -> list[int]:
        """Ids of the workers whose last heartbeat is older than that, or has been the same for longer than that."""
        now = self.clock()
        if self._looked is not None and now - self._looked > max(seconds, 2 * PERIOD):
            self._changed, self._since = {}, now
        self._looked = now
        before, self._changed = self._changed, {}
        for one in heartbeats:
            at, since = before.get(one.worker, (one.at, now))
            self._changed[one.worker] = (one.at, since if at == one.at else now)
        return [one.worker for one in heartbeats if self._age(one, now) > seconds]

    def _age(self, one: queue.Heartbeat, now: float) -> float:
        return max(min(one.age, now - self._since), now - self._changed[one.worker][1])


def reconcile(engine: Engine, settings: Settings, observer: Observer) -> None:
    """Put runners of vanished workers back on the queue, their trials back to the budget; mend the number of runners.

    One transaction. Safe to run at any time, any number of times, on several workers at once.
    """
    # A worker is given up so early that, with the time until this runs, a crash costs no more than the stall timeout.
    silence = max(settings.stall_timeout - PERIOD, 2 * settings.heartbeat_interval)
    with engine.begin() as connection:
        if not connection.execute(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _LOCK}).scalar_one():
            return  # another worker is at it
        gone = observer.silent(queue.heartbeats(connection), silence)
        put_back = queue.put_back(connection, gone)
        lost = runs.give_back_orphans(connection, settings.trial_attempts)
        cancelled = runs.fail_cancelled(connection)
        runners = attendance.mend(connection)
        queue.close_workers(connection, gone)
    if put_back:
        log.warning("runners lost their workers; back to the queue", tasks=put_back)
    if lost or cancelled:
        log.warning("trials repaired", given_back=lost, cancelled=cancelled)
    for job, change in runners.items():
        log.warning("wrong number of runners", job=str(job), added=change)
