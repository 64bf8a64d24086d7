"""How often a client may ask, and how many wrong keys an address may show.

Each process counts for itself, what it has seen in the last seconds.
"""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from ipaddress import IPv6Address, ip_address
from typing import TypeVar, cast

import structlog
from pyrate_limiter import Decision, InMemoryBucket, MonotonicClock, Rate, RateItem

WINDOW = 10
"""Seconds over which requests are averaged, so that a page with its pictures, or a list page by page, is no offence."""

WRONG_KEYS = 100
"""That an address may show within `WINDOW` seconds."""

REMEMBERED = 10_000

log = structlog.get_logger()
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

    def has_let_in(self, shown: str) -> bool:
        """Whether this was right before."""
        return _digest(shown) in self._clients

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
        bucket = _bucket_of(self._requests, client, self._rate * WINDOW)
        now = self._clock.now()
        bucket.leak(now)
        decision = cast("Decision", bucket.put_decision(RateItem(client, now)))  # in memory: nothing to await
        return 0 if decision.allowed else max(1, math.ceil((decision.retry_after_ms or 0) / 1000))


class WrongKeys:
    """Counts the wrong keys that each address shows, so that trying many costs no query.

    Whoever shows what was right before is not asked about the address: many clients may share one.
    """

    def __init__(self) -> None:
        self._clock = MonotonicClock()
        self._shown: OrderedDict[str, InMemoryBucket] = OrderedDict()

    def wait_for(self, address: str) -> int:
        """Seconds until a key from there is looked up; 0 for now."""
        bucket, now = self._shown.get(_network(address)), self._clock.now()
        if bucket is None:
            return 0
        bucket.leak(now)
        if bucket.count() < WRONG_KEYS:
            return 0
        return max(1, math.ceil((bucket.items[0].timestamp + WINDOW * 1000 - now) / 1000))

    def count(self, address: str) -> None:
        """One more."""
        network = _network(address)
        bucket = _bucket_of(self._shown, network, WRONG_KEYS)
        bucket.put(RateItem(network, self._clock.now()))
        if bucket.count() == WRONG_KEYS:
            log.warning("too many wrong keys", address=address)


def _network(address: str) -> str:
    """Who has one IPv6 address has as many as there are in its /64."""
    try:
        parsed = ip_address(address)
    except ValueError:  # a client of a socket file has none
        return address
    return str(IPv6Address(int(parsed) >> 64 << 64)) if isinstance(parsed, IPv6Address) else address


def _bucket_of(known: OrderedDict[str, InMemoryBucket], name: str, limit: int) -> InMemoryBucket:
    bucket = known.get(name)
    if bucket is None:
        bucket = InMemoryBucket([Rate(limit, WINDOW * 1000)])
    _put(known, name, bucket)
    return bucket


def _put(known: OrderedDict[K, V], key: K, value: V) -> None:
    known[key] = value
    known.move_to_end(key)
    if len(known) > REMEMBERED:
        known.popitem(last=False)


def _digest(shown: str) -> bytes:
    return hashlib.sha256(shown.encode()).digest()
