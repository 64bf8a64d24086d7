"""Many follow jobs live: does each hear everything once, also across a killed service, and are others served meanwhile?

A real server process on a real PostgreSQL. 500 streams of 20 jobs are read in a process of their own, one in ten is cut
again and again and goes on by `Last-Event-ID`; the jobs are paused and resumed all the while, and in the middle the
service is killed (SIGKILL) and started again. A job is asked for beside them. The last line is JSON: events that
streams have missed or heard twice, against the table, and the 99th percentile of what was asked beside.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from uuid import UUID

import httpx
import numpy as np
from sqlalchemy import Engine, text

from actsearch.schemas import JobRequest
from actsearch.store import jobs
from actsearch.store.embedded import forget_dead_users, normalise_url, start_embedded
from actsearch.store.engine import create_store_engine
from actsearch.store.migrate import upgrade
from actsearch.study import prepare

STREAMS, JOBS = 500, 20


def main() -> None:
    """Serve, follow, steer, kill, compare, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="20 seconds of changes and not 60")
    seconds = 20.0 if parser.parse_args().quick else 60.0
    with tempfile.TemporaryDirectory(prefix="streams-") as folder:
        database = start_embedded(Path(folder), cleanup_mode="delete")
        url = normalise_url(database.get_uri())
        upgrade(url)
        engine = create_store_engine(url)
        ids = _submitted(engine)
        port = _free_port()
        process = _served(url, port)
        with ProcessPoolExecutor(1) as pool:
            heard = pool.submit(_followed, port, ids)
            time.sleep(5)
            latencies: list[float] = []
            over = threading.Event()
            beside = threading.Thread(target=_ask, args=(port, ids[0], latencies, over))
            beside.start()
            changes = _steer(engine, ids, seconds / 2)
            process.send_signal(signal.SIGKILL)
            process.wait()
            changes += _steer(engine, ids, 1)
            process = _served(url, port)
            changes += _steer(engine, ids, seconds / 2)
            for job in ids:
                with engine.begin() as connection:
                    jobs.cancel(connection, UUID(job))
            streams = heard.result()
            over.set()
            beside.join()
        process.terminate()
        process.wait()
        with engine.connect() as connection:
            rows = connection.execute(text("SELECT job_id, id FROM events ORDER BY id")).all()
        true = {job: [row.id for row in rows if str(row.job_id) == job] for job in ids}
        engine.dispose()
        forget_dead_users(database)
        database.cleanup()
    lost = sum(len(set(true[job]) - set(told)) for job, told, _ in streams)
    doubled = sum(len(told) - len(set(told)) for _, told, _ in streams)
    print(
        f"{len(streams)} streams of {JOBS} jobs, {changes} changes, {sum(cuts for *_, cuts in streams)} reconnections"
    )
    p99 = round(1000 * float(np.percentile(latencies, 99)), 1)
    print(json.dumps({"streams": len(streams), "lost": lost, "doubled": doubled, "p99_ms_beside": p99}))


def _submitted(engine: Engine) -> list[str]:
    prepared = prepare(JobRequest.model_validate({"task": "digits", "budget": {"trials": 10}}))
    with engine.begin() as connection:
        return [
            str(jobs.create_job(connection, prepared.request, prepared.objective, prepared.baseline_activations,
                                prepared.baseline_parameters))
            for _ in range(JOBS)
        ]  # fmt: skip


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def _served(url: str, port: int) -> subprocess.Popen[bytes]:
    settings = {"DATABASE_URL": url, "PORT": str(port), "LOG_LEVEL": "error"}
    environment = os.environ | {f"ACTSEARCH_{name}": value for name, value in settings.items()}
    process = subprocess.Popen([sys.executable, "-m", "actsearch", "serve"], env=environment)
    for _ in range(600):
        try:
            httpx.get(f"http://127.0.0.1:{port}/healthz")
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return process
    raise RuntimeError("the service does not start")


def _steer(engine: Engine, ids: list[str], seconds: float) -> int:
    """Pause and resume jobs; how often."""
    end, changes = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        job = UUID(random.choice(ids))
        for how in (jobs.pause, jobs.resume):
            with engine.begin() as connection:
                how(connection, job)
            changes += 1
        time.sleep(0.05)
    return changes


def _ask(port: int, job: str, latencies: list[float], over: threading.Event) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=90) as http:
        while not over.is_set():
            begin = time.perf_counter()
            try:
                http.get(f"/v1/jobs/{job}").raise_for_status()
            except httpx.HTTPError:  # killed
                time.sleep(0.2)
                continue
            latencies.append(time.perf_counter() - begin)
            time.sleep(0.05)


def _followed(port: int, ids: list[str]) -> list[tuple[str, list[int], int]]:
    """Job, ids of the events heard, and reconnections, of each stream."""

    async def all_of_them() -> list[tuple[str, list[int], int]]:
        return await asyncio.gather(*(_follow(port, ids[n % JOBS], n % 10 == 0) for n in range(STREAMS)))

    return asyncio.run(all_of_them())


async def _follow(port: int, job: str, is_cut: bool) -> tuple[str, list[int], int]:
    told: list[int] = []
    connections = 0
    while True:
        connections += 1
        try:
            if await _read(port, job, told, random.uniform(2, 8) if is_cut else 600):
                return job, told, connections - 1
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass
        await asyncio.sleep(0.5)


async def _read(port: int, job: str, told: list[int], longest: float) -> bool:
    """Read a stream on; whether it has come to its end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        last = f"Last-Event-ID: {told[-1]}\r\n" if told else ""
        ask = f"GET /v1/jobs/{job}/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n{last}\r\n"
        writer.write(ask.encode())
        async with asyncio.timeout(longest):
            heard = None
            while line := await reader.readline():
                if line.startswith(b"id: "):
                    heard = int(line[4:])
                elif line.startswith((b"event: end", b"HTTP/1.1 204")):
                    return True
                elif line == b"\r\n" and heard is not None:  # now the event is whole
                    told.append(heard)
                    heard = None
        return False
    finally:
        writer.close()


if __name__ == "__main__":
    main()
