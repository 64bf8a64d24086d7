"""Where the API is, and how it is spoken to."""

from __future__ import annotations

import ipaddress
import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
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
        longest_pause: seconds; the most a pause is. Where the server asks for more, its refusal is raised at once.
        api_key: shown with every request; None for none.
        ca_cert: file with the certificates that are trusted; None for those of the system.
    """

    url: str
    retries: int = 3
    backoff: float = 0.2
    longest_pause: float = 20.0
    api_key: str | None = field(default=None, repr=False)
    ca_cert: Path | None = None


class HttpOptions(TypedDict):
    """Options that httpx's two clients share."""

    timeout: httpx.Timeout
    trust_env: bool
    verify: ssl.SSLContext | bool


def service_at(url: str | None, retries: int, api_key: str | None = None) -> Service:
    """The service at `url`, or where the settings say it is (`ACTSEARCH_URL`).

    Args:
        url: None for the settings'.
        retries: see `Service`.
        api_key: None for the settings' (`ACTSEARCH_API_KEY`), empty for none.

    Raises:
        ClientError: not an http or https URL, or a key that no header can carry.
    """
    from actsearch.settings import settings

    url = settings().url if url is None else url
    of_settings = settings().api_key
    api_key = of_settings.get_secret_value() if api_key is None and of_settings is not None else api_key
    api_key = (api_key or "").strip()
    if not re.fullmatch(r"[\x21-\x7e]*", api_key):
        raise ClientError("the API key (ACTSEARCH_API_KEY or `api_key`) has characters that no API key has")
    parsed = httpx.URL(url)
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ClientError(f"{url!r} is not the address of a service; write http://host:port")
    return Service(url.rstrip("/"), retries, api_key=api_key or None, ca_cert=settings().ca_cert)


def http_options(service: Service, timeout: float) -> HttpOptions:
    """Options of the HTTP client; a proxy of the environment is not asked for this machine's own addresses."""
    return {
        "timeout": httpx.Timeout(timeout, connect=min(timeout, 5.0)),
        "verify": _trusted(service.ca_cert),
        "trust_env": not _is_loopback(httpx.URL(service.url).host),
    }


def _trusted(ca_cert: Path | None) -> ssl.SSLContext | bool:
    if ca_cert is None:
        return True
    try:
        return ssl.create_default_context(cafile=ca_cert)
    except (OSError, ssl.SSLError) as error:
        raise ClientError(f"cannot read certificates from {ca_cert} (ACTSEARCH_CA_CERT): {error}") from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
