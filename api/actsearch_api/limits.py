"""How often a client may ask. Each process counts for itself, what it has seen in the last seconds."""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from typing import TypeVar, cast

from pyrate_limiter import Decision, InMemoryBucket, MonotonicClock, Rate, RateItem

WINDOW = 10
"""Seconds over which requests are averaged, so that a page with its pictures, or a list page by page, is no offence."""

REMEMBERED = 10_000

K = TypeVar("K")
V = TypeVar("V")


class RequestRates:
    """Counts the requests of each client, and knows by what a request shows whose it was the last time.

    So what is too much costs no query. It is no cache of who may come in: whoever is let through is looked up.

    Args:
        rate: requests per second of a client, averaged over `WINDOW`; 0 for no limit.
    """

    def __init__(self, rate: int) -> None:
        self._rate, self._clock = rate, MonotonicClock()
        self._requests: OrderedDict[str, InMemoryBucket] = OrderedDict()
        self._clients: OrderedDict[bytes, str] = OrderedDict()

    def wait_for(self, shown: str) -> int:
        """Seconds until the client that showed this before may ask; counts a request if it may now (0).

        What was never shown counts for nobody until `remember` says whose it is.
        """
        client = self._clients.get(_digest(shown))
        return 0 if client is None else self.count(client)

    def remember(self, shown: str, client: str) -> int:
        """Say whose it is that was let in; what is new is counted now, as by `wait_for`."""
        digest = _digest(shown)
        if self._clients.get(digest) == client:
            return 0
        _put(self._clients, digest, client)
        return self.count(client)

    def count(self, client: str) -> int:
        """Seconds until a client may ask; counts a request if it may now (0)."""
        if not self._rate:
            return 0
        bucket = self._requests.get(client)
        if bucket is None:
            bucket = InMemoryBucket([Rate(self._rate * WINDOW, WINDOW * 1000)])
        _put(self._requests, client, bucket)
        now = self._clock.now()
        bucket.leak(now)
        decision = cast("Decision", bucket.put_decision(RateItem(client, now)))  # in memory: nothing to await
        return 0 if decision.allowed else max(1, math.ceil((decision.retry_after_ms or 0) / 1000))


def _put(known: OrderedDict[K, V], key: K, value: V) -> None:
    known[key] = value
    known.move_to_end(key)
    if len(known) > REMEMBERED:
        known.popitem(last=False)


def _digest(shown: str) -> bytes:
    return hashlib.sha256(shown.encode()).digest()
