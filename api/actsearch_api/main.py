"""The server process."""

from __future__ import annotations

import socket

import structlog
import uvicorn

from actsearch.logs import configure_logging
from actsearch.settings import Settings
from actsearch.store import open_store
from actsearch_api.app import create_app

log = structlog.get_logger()


def serve(settings: Settings) -> None:
    """Serve the API until SIGTERM or SIGINT; port 0 takes a free one and logs it.

    Raises:
        StoreError: if the database is unreachable or not migrated.
    """
    configure_logging(settings)
    engine = open_store(settings)
    app = create_app(settings, engine)
    listening = socket.create_server((settings.host, settings.port), family=_family(settings.host), backlog=2048)
    log.info("serving", url=f"http://{settings.host}:{listening.getsockname()[1]}")
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=10)
    try:
        uvicorn.Server(config).run([listening])
    finally:
        engine.dispose()


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
