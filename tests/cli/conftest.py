"""The real API on a real database, behind a real socket."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from sqlalchemy import Engine

from actsearch.settings import Settings
from actsearch_api.app import create_app


@pytest.fixture
def api_settings() -> Settings:
    """Settings of the API; a module may have its own."""
    return Settings()


@pytest.fixture
def api_url(engine: Engine, api_settings: Settings) -> Iterator[str]:
    """Address of a running API on a fresh database, without workers."""
    server = uvicorn.Server(uvicorn.Config(create_app(api_settings, engine), log_level="warning"))
    listening = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join()
