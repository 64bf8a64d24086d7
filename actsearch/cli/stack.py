"""API, worker and database as one: the first two as child processes, the last held by this one."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from actsearch.cli.extras import needs_extras, require_extras
from actsearch.cli.output import say
from actsearch.errors import ActsearchError
from actsearch.settings import Settings

PARTS = ("serve", "worker")
START_TIMEOUT = 120.0  # the first import of PyTorch on a cold disk takes its time
STOP_MARGIN = 15.0
STEP = 0.1


class PartFailed(ActsearchError):
    """A part of the service did not start, or ended by itself."""


class Stack:
    """The processes that make up the service on one machine.

    Args:
        settings: of the service, with the port that it listens on.
        database_url: of a migrated database.
        logs: directory for what the processes print, a file each; None for this process's own output.
    """

    def __init__(self, settings: Settings, database_url: str, logs: Path | None = None) -> None:
        self.url = _api_url(settings)
        self._settings, self._database_url, self._logs = settings, database_url, logs
        self._trusted = True if settings.tls_cert is None else only_this(settings.tls_cert)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start all parts and return when the API answers and the worker is online.

        Raises:
            PartFailed: one ended, or took too long.
        """
        for part in PARTS:
            self._spawn(part)
        self._wait_for(self._api_answers, "the API")
        self._wait_for(self._worker_is_online, "the worker")

    def check(self) -> None:
        """Return if all parts run.

        Raises:
            PartFailed: one ended by itself.
        """
        for part, process in self._processes.items():
            if (code := process.poll()) is not None:
                raise PartFailed(f"`actsearch {part}` ended by itself (exit code {code}){self._last_words(part)}")

    def run(self) -> None:
        """Run until a part ends by itself or a signal interrupts.

        Raises:
            PartFailed: one ended by itself.
        """
        while True:
            self.check()
            time.sleep(STEP)

    def stop(self) -> None:
        """Have all parts finish their current work and end; what takes longer than the drain timeout is killed."""
        for process in self._processes.values():
            process.terminate()
        end = time.monotonic() + self._settings.drain_timeout + STOP_MARGIN
        with suppress(KeyboardInterrupt):  # asked a second time: no more patience
            while any(process.poll() is None for process in self._processes.values()) and time.monotonic() < end:
                time.sleep(STEP)
        for part, process in self._processes.items():
            if process.poll() is None:
                say(f"`actsearch {part}` did not end in time: killed")
                _kill(process)

    def _spawn(self, part: str) -> None:
        """Start `actsearch PART` out of reach of the terminal's Ctrl-C: stopping is ours to do, once."""
        output = None if self._logs is None else self._log(part).open("ab")
        self._processes[part] = subprocess.Popen(
            [sys.executable, "-m", "actsearch", part],
            env=os.environ | environment_of(self._settings) | {"ACTSEARCH_DATABASE_URL": self._database_url},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        if output is not None:
            output.close()

    def _wait_for(self, holds: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + START_TIMEOUT
        while not holds():
            self.check()
            if time.monotonic() > end:
                raise PartFailed(f"{what} is not up after {START_TIMEOUT:g} s")
            time.sleep(STEP)

    def _api_answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", trust_env=False, verify=self._trusted).is_success
        except httpx.TransportError:
            return False

    def _worker_is_online(self) -> bool:
        """Asked of the database: the API may want a key."""
        from actsearch.store import create_store_engine
        from actsearch.store.queue import live_workers

        engine = create_store_engine(self._database_url)
        try:
            with engine.connect() as connection:
                return bool(live_workers(connection, self._settings.stall_timeout))
        finally:
            engine.dispose()

    def _log(self, part: str) -> Path:
        return (self._logs or Path()) / f"{part}.log"

    def _last_words(self, part: str) -> str:
        if self._logs is None:
            return ""
        lines = self._log(part).read_text(errors="replace").splitlines()[-20:]
        return "".join(f"\n  {line}" for line in lines)


@contextmanager
def running(settings: Settings, logs: Path | None = None) -> Iterator[Stack]:
    """The whole service on this machine, for as long as the context lasts; SIGTERM and SIGHUP count as Ctrl-C.

    Args:
        settings: port 0 is replaced by a free one.

    Raises:
        MissingExtra: the service is not installed.
        PartFailed: the port is taken, or a part does not start.
        StoreError: the database cannot be reached, or does not start.
    """
    require_extras()
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.default_int_handler)
    settings = settings.model_copy(update={"port": free_port(settings.host, settings.port)})
    stack = Stack(settings, _migrated_database(settings), logs)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


def environment_of(settings: Settings) -> dict[str, str]:
    """The environment variables that give another process the same settings, but for database and secrets."""
    values = settings.model_dump(mode="json", exclude={"database_url", "key_secret", "api_key"})
    return {f"ACTSEARCH_{name.upper()}": "" if value is None else str(value) for name, value in values.items()}


def free_port(host: str, port: int) -> int:
    """`port` if nobody listens there, any free one for 0.

    Raises:
        PartFailed: it is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family) as probe:
            free: int = probe.getsockname()[1]
            return free
    except OSError as error:
        raise PartFailed(
            f"cannot listen on {host} port {port} ({error.strerror}); choose another with --port"
        ) from None


def _migrated_database(settings: Settings) -> str:
    """The URL of the database, at the current schema; the embedded one runs until this process ends."""
    with needs_extras():
        from actsearch.store import database_url, upgrade
    url = database_url(settings)
    upgrade(url)
    return url


def _api_url(settings: Settings) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - not bound here
    scheme = "http" if settings.tls_cert is None else "https"
    return f"{scheme}://[{host}]:{settings.port}" if ":" in host else f"{scheme}://{host}:{settings.port}"


def only_this(certificate: Path) -> ssl.SSLContext:
    """Trust in one certificate, whatever name it is for: that of our own child process.

    Raises:
        PartFailed: it cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(certificate)
    except (OSError, ssl.SSLError) as error:
        raise PartFailed(f"cannot read the certificate {certificate} ({error.strerror or error})") from None
    return context


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the process with all its children."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()
