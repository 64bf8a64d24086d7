"""The server process."""

from __future__ import annotations

import socket
import sys
from errno import EACCES, EADDRINUSE

import structlog
import uvicorn

from actsearch.errors import FieldProblem, InvalidRequest
from actsearch.logs import configure_logging
from actsearch.settings import Settings
from actsearch.store import open_store
from actsearch_api.app import create_app
from actsearch_api.slots import THREADS

log = structlog.get_logger()

DASHBOARD_THREADS = 10
"""The dashboard's own (`a2wsgi`'s default), each with a connection at most."""

SWITCH_INTERVAL = 0.0005
"""Seconds after which a thread lets the event loop go on; Python's 5 ms, times the threads, is felt by `/healthz`."""


def serve(settings: Settings) -> None:
    """Serve the API until SIGTERM or SIGINT; port 0 takes a free one and logs it.

    Raises:
        InvalidRequest: if nothing can listen at the address.
        StoreError: if the database is unreachable or not migrated.
    """
    configure_logging(settings)
    listening = _listen(settings.host, settings.port)
    engine = open_store(settings, connections=2 * THREADS + DASHBOARD_THREADS)
    app = create_app(settings, engine)
    log.info("serving", url=f"http://{settings.host}:{listening.getsockname()[1]}")
    sys.setswitchinterval(SWITCH_INTERVAL)
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=10)
    try:
        uvicorn.Server(config).run([listening])
    finally:
        engine.dispose()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        message = f"cannot listen on {host} port {port} ({error.strerror}); choose another --host or --port"
        raise InvalidRequest(FieldProblem("port" if error.errno in (EADDRINUSE, EACCES) else "host", message)) from None
