"""The service run by one command: its processes, how they end, and what is said when they cannot start."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from actsearch import Client
from actsearch.cli.extras import MissingExtra, needs_extras
from actsearch.cli.stack import PartFailed, environment_of, free_port
from actsearch.settings import Settings


class Up:
    """`actsearch up` in a process of its own."""

    def __init__(self, database_url: str, directory: Path) -> None:
        self.port = free_port("127.0.0.1", 0)
        self.log = directory / "up.log"
        settings = {"ACTSEARCH_DATABASE_URL": database_url, "ACTSEARCH_DRAIN_TIMEOUT": "5", "OMP_NUM_THREADS": "1"}
        with self.log.open("wb") as output:
            command = [sys.executable, "-m", "actsearch", "up", "--port", str(self.port), "--devices", "cpu"]
            self.process = subprocess.Popen(command, env=os.environ | settings, stdout=output, stderr=output)

    def wait_for(self, text: str) -> None:
        """Return when `text` has been printed."""
        end = time.monotonic() + 120
        while text not in self.printed():
            assert self.process.poll() is None, self.printed()
            assert time.monotonic() < end, self.printed()
            time.sleep(0.1)

    def printed(self) -> str:
        """What has been printed so far."""
        return self.log.read_text(errors="replace")

    def part(self, name: str) -> psutil.Process:
        """The process of a part."""
        [found] = [p for p in psutil.Process(self.process.pid).children() if p.cmdline()[-1] == name]
        return found


@pytest.fixture
def up(database_url: str, tmp_path: Path) -> Iterator[Up]:
    """A running service."""
    started = Up(database_url, tmp_path)
    try:
        started.wait_for("dashboard")
        yield started
    finally:
        family = [p for p in [psutil.Process(os.getpid())] for p in p.children(recursive=True)]
        for process in family:
            if process.is_running() and process.pid == started.process.pid:
                process.send_signal(signal.SIGTERM)
        started.process.wait(60)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_up_runs_everything_and_a_signal_stops_everything(up: Up, signum: signal.Signals) -> None:
    with Client(f"http://127.0.0.1:{up.port}") as client:
        assert [worker.devices for worker in client.workers()] == [["cpu"]]
    assert httpx.get(f"http://127.0.0.1:{up.port}/dashboard", follow_redirects=True).is_success
    children = psutil.Process(up.process.pid).children(recursive=True)
    assert len(children) >= 3  # API, worker, the worker's device

    up.process.send_signal(signum)

    assert up.process.wait(60) == 0, up.printed()
    assert psutil.wait_procs(children, timeout=10)[1] == []
    assert "Traceback" not in up.printed()


@pytest.mark.parametrize("part", ["serve", "worker"])
def test_a_part_that_dies_takes_up_down_with_an_error(up: Up, part: str) -> None:
    up.part(part).kill()

    assert up.process.wait(60) == 1
    assert f"`actsearch {part}` ended by itself" in up.printed()


def test_a_taken_port_is_said_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PartFailed, match=f"port {port}.*--port"):
            free_port("127.0.0.1", port)


def test_settings_reach_other_processes_by_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path, port=1234, devices="cpu,cpu", time_slice=1.5, database_url="postgresql://x/y"
    )
    environment = environment_of(settings)
    assert "postgresql" not in str(environment)

    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert Settings() == settings.model_copy(update={"database_url": Settings().database_url})


def test_a_missing_extra_says_how_to_install_it() -> None:
    with pytest.raises(MissingExtra, match=r"actsearch\[all\]"), needs_extras():
        import a_package_nobody_has  # type: ignore[import-not-found]  # noqa: F401
    with pytest.raises(ModuleNotFoundError, match=r"actsearch\.no_such_module"), needs_extras():
        import actsearch.no_such_module  # type: ignore[import-not-found]  # noqa: F401
