"""Sends the service generated requests for some minutes, with keys of every scope and none, and judges every answer.

`python scripts/fuzz.py [MINUTES]`; schemathesis makes the requests from the OpenAPI document, with all checks that
apply. The service runs in this process on a database of its own. Exit code 1 if an answer is wrong or an error was
unexpected.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import structlog
import uvicorn
from sqlalchemy import Engine

from actsearch.schemas import KeyScope
from actsearch.settings import Settings
from actsearch.store.embedded import forget_dead_users, normalise_url, start_embedded
from actsearch.store.engine import create_store_engine
from actsearch.store.keys import create_key
from actsearch.store.migrate import upgrade
from actsearch_api.app import create_app
from actsearch_api.connections import Impatient

SECRET = "fuzz" * 8
SHARES = {KeyScope.admin: 0.4, KeyScope.submit: 0.3, KeyScope.read: 0.2, None: 0.1}
JOBS = [{"task": "digits"}, {"task": "wine", "space": {"families": ["relu", "elu"]}, "budget": {"trials": 3}}]
# Beside what schemathesis expects: what is too long for a document's bounds may be so for the address, too.
REFUSALS = """[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 428, 429, 431]
"""
CONFIG = '[headers]\nAuthorization = "Bearer ${FUZZ_KEY}"\n'


def main() -> int:
    """Fuzz with each key in turn."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    unexpected: list[str] = []
    structlog.configure(processors=[lambda _, __, said: _keep(said, unexpected)])
    with tempfile.TemporaryDirectory() as directory, _database(Path(directory)) as engine, _service(engine) as url:
        failed = [
            scope or "no key"
            for scope, share in SHARES.items()
            if _fuzz(url, engine, scope, 60 * minutes * share, Path(directory))
        ]
    for said in unexpected:
        print(said)
    print(json.dumps({"minutes": minutes, "failed": failed, "unexpected_errors": len(unexpected)}))
    return 1 if failed or unexpected else 0


def _fuzz(url: str, engine: Engine, scope: KeyScope | None, seconds: float, directory: Path) -> int:
    with engine.begin() as connection:
        token, _ = create_key(connection, [SECRET.encode()], f"fuzz-{scope}", scope or KeyScope.admin)
    key = {"Authorization": f"Bearer {token}"}
    document, config = directory / "openapi.json", directory / "schemathesis.toml"
    document.write_bytes(httpx.get(f"{url}/openapi.json", headers=key).content)
    config.write_text(REFUSALS if scope is None else CONFIG + REFUSALS)
    if scope in (KeyScope.admin, KeyScope.submit):
        for job in JOBS:
            made = httpx.post(f"{url}/v1/jobs", json=job, headers=key, timeout=60).raise_for_status().json()
            # The first report of a server loads libraries for it, which is no answer's time.
            httpx.get(f"{url}/v1/jobs/{made['id']}/report", headers=key, timeout=60).raise_for_status()
    print(f"\n== {scope or 'no key'}, {seconds:.0f} s", flush=True)
    # No document can say which tasks there are, what is a cursor, and that `high` is above `low`.
    excluded = ["positive_data_acceptance"]
    if scope not in (KeyScope.admin, KeyScope.submit):
        # Who may not change anything is told so before it is told that nothing takes this method.
        excluded.append("unsupported_method")
    checks = ["--checks", "all", "--exclude-checks", ",".join(excluded)]
    command = ["--config-file", config, "run", document, "--url", url, *checks]
    options = ["--max-time", str(int(seconds)), "--continue-on-failure", "--no-color", "--request-timeout", "60"]
    schemathesis = Path(sys.executable).with_name("schemathesis")
    # In the environment, not among the arguments, which other users see.
    return subprocess.run(
        [schemathesis, *command, *options], env=os.environ | {"FUZZ_KEY": token}, check=False
    ).returncode


def _keep(said: structlog.typing.EventDict, unexpected: list[str]) -> str:
    if said.get("event") == "unexpected error":
        unexpected.append(repr(said.get("exc_info")))
    raise structlog.DropEvent


@contextmanager
def _database(directory: Path) -> Iterator[Engine]:
    server = start_embedded(directory / "postgresql", cleanup_mode="delete")
    url = normalise_url(server.get_uri())
    upgrade(url)
    engine = create_store_engine(url)
    yield engine
    engine.dispose()
    forget_dead_users(server)
    server.cleanup()


@contextmanager
def _service(engine: Engine) -> Iterator[str]:
    """The service as it is where others reach it, without limits: what is too much tells nothing of an answer."""
    settings = Settings(_env_file=None, require_key=True, key_secret=SECRET, request_rate=0, open_jobs=0)
    server = uvicorn.Server(uvicorn.Config(create_app(settings, engine), port=0, http=Impatient, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


if __name__ == "__main__":
    sys.exit(main())
