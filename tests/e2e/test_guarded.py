"""A service that others can reach: what it is told in confidence it tells nobody, and `actsearch up` speaks TLS."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url

from actsearch import Client
from actsearch.cli.stack import only_this
from actsearch.schemas import KeyScope
from actsearch.store.keys import create_key

Eventually = Callable[[Callable[[], bool], float], None]

KEY_SECRET, PASSWORD = "the-secret-of-keys-" + "k" * 20, "the-password-of-the-database"
CERTIFICATE = Path(__file__).parents[1] / "api" / "certificates" / "cert.pem"
JOB: dict[str, Any] = {
    "task": "digits",
    "architecture": {"name": "mlp", "parameters": {"depth": 1, "width": 8}},
    "space": {"families": ["relu", "gelu"]},
    "training": {"epochs": 1},
    "budget": {"trials": 8},
    "confirmation": {"finalists": 1, "seeds": 3},
}


@pytest.fixture
def user(engine: Engine) -> Iterator[str]:
    """URL of the test's database for a user with a password."""
    name = f"user_{uuid4().hex}"
    with engine.begin() as connection:
        connection.execute(text(f"CREATE ROLE {name} SUPERUSER LOGIN PASSWORD '{PASSWORD}'"))
    yield make_url(engine.url).set(username=name, password=PASSWORD).render_as_string(hide_password=False)
    with engine.begin() as connection:
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = :name"), {"name": name}
        )
        connection.execute(text(f"REASSIGN OWNED BY {name} TO CURRENT_USER"))
        connection.execute(text(f"DROP ROLE {name}"))


def test_secrets_are_in_no_log_process_list_report_or_row(service: Any, engine: Engine, user: str) -> None:
    with engine.begin() as connection:
        token, _ = create_key(connection, [KEY_SECRET.encode()], "ada", KeyScope.submit)
    service.stop()
    service.environment |= {
        "ACTSEARCH_DATABASE_URL": user,
        "ACTSEARCH_KEY_SECRET": KEY_SECRET,
        "ACTSEARCH_REQUIRE_KEY": "true",
        "ACTSEARCH_LOG_LEVEL": "debug",
    }
    service.start_api()
    service.start_worker()
    service.start("worker", ACTSEARCH_DATABASE_URL=user.replace("postgresql", "mysql", 1))
    seen: list[str] = []
    headers = {"Authorization": f"Bearer {token}"}
    with Client(service.url, api_key=token) as client, httpx.Client(base_url=service.url, headers=headers) as http:
        job = client.submit(JOB)
        while job.refresh().state not in ("completed", "failed"):
            seen += commands(service)
        assert job.state == "completed", service.log_text()
        session = http.post("/login", data={"key": token}).cookies["actsearch-session"]
        paths = [f"/v1/jobs/{job.id}{rest}" for rest in ("", "/report", "/importances", "/trials", "/evaluations")]
        told = [http.get(path, timeout=60).text for path in [*paths, "/v1/workers", "/api/studies", "/dashboard"]]
        told.append(http.get("/v1/jobs", params={"cursor": token}).text)
        seen += commands(service)
    assert any("device_main" in command for command in seen)
    assert any("forkserver" in command for command in seen)
    with engine.connect() as connection:
        tables = connection.execute(
            text("SELECT tablename FROM pg_tables WHERE schemaname IN ('public','procrastinate')")
        )
        rows = [str(connection.execute(text(f'SELECT * FROM "{table}"')).all()) for table in tables.scalars().all()]
    assert any("ada" in row for row in rows)
    everything = "\n".join([service.log_text(), *seen, *told, *rows])
    for secret in (KEY_SECRET, PASSWORD, token[12:], session):
        assert secret not in everything


def commands(service: Any) -> list[str]:
    """What a list of processes shows of the service's."""
    found = []
    for process in service.processes:
        if psutil.pid_exists(process.pid):
            family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            for one in family:
                try:
                    found.append(" ".join([one.name(), *one.cmdline()]))
                except psutil.Error:
                    continue
    return found


def test_up_speaks_tls(database_url: str, tmp_path: Path, eventually: Eventually, free_port: int) -> None:
    command = [sys.executable, "-m", "actsearch", "up", "--port", str(free_port), "--devices", "cpu"]
    command += ["--tls-cert", str(CERTIFICATE), "--tls-key", str(CERTIFICATE.with_name("key.pem"))]
    command += ["--data-dir", str(tmp_path)]
    out = tmp_path / "out"
    with out.open("wb") as output:
        up = subprocess.Popen(
            command, env=os.environ | {"ACTSEARCH_DATABASE_URL": database_url}, stdout=output, stderr=output
        )
    try:
        eventually(lambda: up.poll() is not None or "dashboard" in out.read_text(), 120)
        assert up.poll() is None, out.read_text()
        url = next(word for word in out.read_text().split() if word.startswith("https://"))
        with httpx.Client(base_url=url, verify=only_this(CERTIFICATE)) as http:
            assert len(http.get("/v1/workers").json()["items"]) == 1
            assert http.get("/docs").is_success
        with pytest.raises((httpx.TransportError, ssl.SSLError)):
            httpx.get(url.replace("https", "http") + "/healthz")
        up.send_signal(signal.SIGINT)
        up.wait(timeout=60)
    finally:
        for child in psutil.Process(up.pid).children(recursive=True) if up.poll() is None else []:
            child.kill()
        up.kill()
