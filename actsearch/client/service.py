"""Where the API is, and how it is spoken to."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TypedDict

import httpx

from actsearch.errors import ClientError


@dataclass(frozen=True)
class Service:
    """Where the API is and how patient we are with it.

    Args:
        url: without a trailing slash.
        retries: further attempts after one that failed for a passing reason.
        backoff: seconds before the first of them; doubles with each, less up to half of it at random.
        longest_pause: seconds; the most a pause is, whatever the server asks for.
    """

    url: str
    retries: int = 3
    backoff: float = 0.2
    longest_pause: float = 20.0


class HttpOptions(TypedDict):
    """Options that httpx's two clients share."""

    timeout: httpx.Timeout
    trust_env: bool


def service_at(url: str | None, retries: int) -> Service:
    """The service at `url`, or where the settings say it is (`ACTSEARCH_URL`).

    Raises:
        ClientError: not an http or https URL.
    """
    if url is None:
        from actsearch.settings import settings

        url = settings().url
    parsed = httpx.URL(url)
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ClientError(f"{url!r} is not the address of a service; write http://host:port")
    return Service(url.rstrip("/"), retries)


def http_options(service: Service, timeout: float) -> HttpOptions:
    """Options of the HTTP client; a proxy of the environment is not asked for this machine's own addresses."""
    return {
        "timeout": httpx.Timeout(timeout, connect=min(timeout, 5.0)),
        "trust_env": not _is_loopback(httpx.URL(service.url).host),
    }


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
