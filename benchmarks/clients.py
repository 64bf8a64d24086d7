"""Many clients poll jobs at once: does the service stand, does it stay alive beside them, and is it as fast as for few?

A real server process on a real PostgreSQL with 1,000 jobs of 1,000 trials. Pollers, each with a connection of its own,
ask for jobs as `Client.wait` does, for a minute; `/healthz` is asked beside them. The last line is JSON: errors (all
but 200, and lost connections) of 256 pollers, the 99th percentile of `/healthz` beside them, and their requests a
second as a share of what 8 pollers get in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import psycopg
from sqlalchemy import Engine, text

from actsearch.schemas import JobRequest
from actsearch.store import jobs
from actsearch.store.embedded import forget_dead_users, normalise_url, start_embedded
from actsearch.store.engine import create_store_engine, libpq_url
from actsearch.store.migrate import upgrade
from actsearch.study import prepare

_TRIALS = """
    INSERT INTO trials (uid, study_id, number, state, runner, worker, started_at, finished_at, cohort, family,
                        activations, params, value, values, metrics)
    SELECT gen_random_uuid(), s.id, n, 'complete', 1, 'worker', now(), now(), n / 64 * 64,
           (ARRAY['relu','elu','gelu'])[1 + n % 3],
           '{"network": {"family": "relu", "parameters": {}}}', '{}', v.value, ARRAY[v.value],
           jsonb_build_object('validation_accuracy', v.value, 'seconds', 1.0)
    FROM studies s, generate_series(1, :trials) n, LATERAL (SELECT random() + 0 * n AS value) v
"""


@dataclass
class Polled:
    """What pollers of one process saw."""

    answers: int
    errors: int


def main() -> None:
    """Fill, serve, poll with 8 and with 256, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="100 jobs of 100 trials, 10 seconds each")
    given = parser.parse_args()
    size, seconds = (100, 10.0) if given.quick else (1000, 60.0)
    with tempfile.TemporaryDirectory(prefix="clients-") as folder:
        server = start_embedded(Path(folder), cleanup_mode="delete")
        url = normalise_url(server.get_uri())
        upgrade(url)
        engine = create_store_engine(url)
        ids = _filled(engine, size)
        engine.dispose()
        process, address = _served(url, Path(folder))
        try:
            few, _ = _poll(address, ids, 8, seconds)
            many, latencies = _poll(address, ids, 256, seconds)
        finally:
            process.terminate()
            process.wait()
        forget_dead_users(server)
        server.cleanup()
    print(f"{size} jobs of {size} trials; 8 pollers: {few}, 256 pollers: {many}, /healthz asked {len(latencies)} times")
    print(
        json.dumps(
            {
                "clients": 256,
                "errors": many.errors,
                "healthz_p99_ms": round(1000 * float(np.percentile(latencies, 99)), 1),
                "rps_256_over_8": round(many.answers / few.answers, 2),
                "rps_256": round(many.answers / seconds, 1),
            }
        )
    )


def _filled(engine: Engine, size: int) -> list[str]:
    prepared = prepare(JobRequest.model_validate({"task": "digits", "budget": {"trials": size}}))
    ids = []
    with engine.begin() as connection:
        for _ in range(size):
            job = jobs.create_job(
                connection, prepared.request, prepared.objective, prepared.baseline_activations,
                prepared.baseline_parameters,
            )  # fmt: skip
            ids.append(str(job))
        connection.execute(text(_TRIALS), {"trials": size - 1})
        connection.execute(text("UPDATE studies SET next_number = :size"), {"size": size})
    with psycopg.connect(libpq_url(engine.url.render_as_string(hide_password=False)), autocommit=True) as connection:
        connection.execute("ANALYZE")
    return ids


def _served(url: str, folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    settings = {"DATABASE_URL": url, "PORT": "0", "LOG_LEVEL": "info", "LOG_FORMAT": "json"}
    environment = os.environ | {f"ACTSEARCH_{name}": value for name, value in settings.items()}
    log = folder / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "actsearch", "serve"], env=environment, stdout=out, stderr=out
        )
    for _ in range(600):
        if found := re.search(r"http://127\.0\.0\.1:\d+", log.read_text()):
            return process, found.group()
        time.sleep(0.1)
    raise RuntimeError(log.read_text())


def _poll(address: str, ids: list[str], clients: int, seconds: float) -> tuple[Polled, list[float]]:
    """Pollers in a process of their own, and `/healthz` from here."""
    with ProcessPoolExecutor(1) as pool:
        done = pool.submit(_polled, address, ids, clients, seconds)
        latencies = []
        with httpx.Client(base_url=address, timeout=90) as http:
            while not done.done():
                begin = time.perf_counter()
                http.get("/healthz").raise_for_status()
                latencies.append(time.perf_counter() - begin)
                time.sleep(0.05)
        return done.result(), latencies


def _polled(address: str, ids: list[str], clients: int, seconds: float) -> Polled:
    found = Polled(0, 0)

    async def client(number: int) -> None:
        end, place = time.monotonic() + seconds, number
        async with httpx.AsyncClient(base_url=address, timeout=90, verify=False) as http:
            while time.monotonic() < end:
                place += clients
                try:
                    answer = await http.get(f"/v1/jobs/{ids[place % len(ids)]}")
                except httpx.HTTPError:
                    found.errors += 1
                    continue
                found.answers += answer.status_code == 200
                found.errors += answer.status_code != 200

    async def all_of_them() -> None:
        await asyncio.gather(*(client(number) for number in range(clients)))

    asyncio.run(all_of_them())
    return found


if __name__ == "__main__":
    main()
