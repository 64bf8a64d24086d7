"""The server process."""

from __future__ import annotations

import gc
import socket
import sys
from errno import EACCES, EADDRINUSE

import structlog
import uvicorn
from sqlalchemy import Engine

from actsearch.errors import FieldProblem, InvalidRequest
from actsearch.logs import configure_logging
from actsearch.settings import Settings
from actsearch.store import open_store
from actsearch.store.key_secrets import read_secrets
from actsearch.store.keys import why_unusable
from actsearch_api.app import create_app
from actsearch_api.callers import asks_for_keys
from actsearch_api.connections import Impatient
from actsearch_api.slots import THREADS
from actsearch_api.tls import tls_options

log = structlog.get_logger()

DASHBOARD_THREADS = 10
"""The dashboard's own (`a2wsgi`'s default), each with a connection at most."""

SWITCH_INTERVAL = 0.0005
"""Seconds after which a thread lets the event loop go on; Python's 5 ms, times the threads, is felt by `/healthz`."""


def serve(settings: Settings) -> None:
    """Serve the API until SIGTERM or SIGINT; port 0 takes a free one and logs it.

    Raises:
        InvalidRequest: if nothing can listen at the address, others can reach it and there is no API key, or the
            certificate or the names of proxies are wrong.
        StoreError: if the database is unreachable or not migrated.
    """
    configure_logging(settings)
    tls = tls_options(settings)
    with _listen(settings.host, settings.port) as listening:
        engine = open_store(settings, connections=THREADS + DASHBOARD_THREADS)
        try:
            app = create_app(settings, engine)
            _require_keys(settings, engine)
            log.info("serving", url=f"{'https' if tls else 'http'}://{settings.host}:{listening.getsockname()[1]}")
            sys.setswitchinterval(SWITCH_INTERVAL)
            gc.collect()
            gc.freeze()  # a million objects of libraries: to look through them again and again takes 0.3 s each time
            # Not uvicorn's own `proxy_headers`: it believes all of this machine, and hides from us who the proxy is.
            config = uvicorn.Config(
                app, http=Impatient, ws="none", log_level="warning", access_log=False, timeout_graceful_shutdown=10,
                proxy_headers=False, **tls,
            )  # fmt: skip
            uvicorn.Server(config).run([listening])
        finally:
            engine.dispose()


def _require_keys(settings: Settings, engine: Engine) -> None:
    """Return if there is a key wherever one is asked for.

    Raises:
        InvalidRequest: there is none; says how to make the first.
    """
    secrets = read_secrets(settings)
    if not asks_for_keys(settings) or settings.trusted_user_header:  # then people come without keys, by the proxy
        return
    with engine.connect() as connection:
        problem = why_unusable(connection, secrets)
    if problem:
        way_out = "" if settings.require_key or settings.trusted_proxies else "; or listen on 127.0.0.1"
        message = f"the service asks for API keys at {settings.host}, but {problem}{way_out}"
        raise InvalidRequest(FieldProblem("host", message))


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        message = f"cannot listen on {host} port {port} ({error.strerror}); choose another --host or --port"
        raise InvalidRequest(FieldProblem("port" if error.errno in (EADDRINUSE, EACCES) else "host", message)) from None
