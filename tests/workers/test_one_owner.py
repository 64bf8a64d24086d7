"""Who owns a piece of work, whatever dies, stops or wakes: real workers on a real PostgreSQL, really killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any
from uuid import UUID

import psutil
import psycopg
import pytest
from sqlalchemy import Engine

from actsearch.store import jobs, queue
from actsearch.store.engine import libpq_url

Ask = Callable[..., list[Any]]
Process = subprocess.Popen[bytes]
Start = Callable[..., Process]
Submit = Callable[..., UUID]

PATIENCE = 150.0
"""Seconds that a test waits at most for what may take some: processes start slowly on a busy machine."""

REQUEST = {
    "confirmation": "off",
    "task": "mnist1d",
    "architecture": {"name": "mlp", "parameters": {"depth": 2, "width": 32}},
    "training": {"epochs": 4},
    "space": {"families": ["relu", "gelu", "tanh"]},
    "cohort_size": 1,
    "pruner": "none",
    "sampler": "random",
}
ENDLESS = REQUEST | {"training": {"epochs": 100_000}}


@pytest.fixture
def ask(database_url: str) -> Iterator[Ask]:
    """Run a statement on a connection of the test's own; its rows."""
    with psycopg.connect(libpq_url(database_url), autocommit=True) as connection:

        def run(query: str, *values: Any) -> list[Any]:
            cursor = connection.execute(query, values or None)
            return cursor.fetchall() if cursor.description else []

        yield run


@pytest.fixture
def start(database_url: str, tmp_path: Path) -> Iterator[Start]:
    """Start a worker on one CPU device, with settings; all are ended with the test."""
    running: list[Process] = []

    def spawn(*command: str, **settings: str) -> Process:
        given = {"STALL_TIMEOUT": "10", "HEARTBEAT_INTERVAL": "0.5", "DATABASE_URL": database_url} | settings
        environment = os.environ | {f"ACTSEARCH_{name}": value for name, value in given.items()}
        with (tmp_path / f"worker-{len(running)}.log").open("wb") as log:
            arguments = command or ("-m", "actsearch", "worker", "--devices", "cpu")
            started = subprocess.Popen(
                [sys.executable, *arguments], env=environment | {"OMP_NUM_THREADS": "1"}, stdout=log, stderr=log
            )
        running.append(started)
        return started

    yield spawn
    for process in running:
        with suppress(psutil.NoSuchProcess):
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
        process.kill()
        process.wait()


def _until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"still not so after {seconds} s"
        time.sleep(0.05)


def _tasks(ask: Ask, job: UUID) -> list[str]:
    query = """SELECT status::text FROM procrastinate_jobs
        WHERE task_name = 'run_job' AND args ->> 'job_id' = %s AND status IN ('todo', 'doing')"""
    return sorted(status for (status,) in ask(query, str(job)))


def _trials(ask: Ask, job: UUID, state: str = "running") -> list[int]:
    """Attempts of the job's trials in a state."""
    query = """SELECT attempt FROM trials t JOIN jobs j USING (study_id) WHERE j.id = %s AND t.state = %s
        AND (t.state <> 'running' OR t.worker IS NOT NULL)"""
    return [attempt for (attempt,) in ask(query, job, state)]


def _state(ask: Ask, job: UUID) -> str:
    ((state,),) = ask("SELECT state FROM jobs WHERE id = %s", job)
    return str(state)


def _completes(ask: Ask, job: UUID) -> None:
    _until(lambda: _state(ask, job) not in ("queued", "running"))
    assert _state(ask, job) == "completed"


def _devices(worker: Process) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return [p for p in psutil.Process(worker.pid).children() if "device_main" in " ".join(p.cmdline())]
    return []


def _online(engine: Engine, seconds: float = 10) -> list[queue.LiveWorker]:
    with engine.connect() as connection:
        return queue.live_workers(connection, seconds)


# --- never more runners than `parallelism` --------------------------------------------------------


def test_a_worker_killed_while_its_runner_goes_to_the_queues_end_leaves_one_runner(
    start: Start, submit: Submit, ask: Ask, database_url: str
) -> None:
    worker = start(TIME_SLICE="0.1")
    job = submit(**REQUEST | {"budget": {"trials": 500}, "parallelism": 1})
    _until(lambda: _trials(ask, job))
    with psycopg.connect(libpq_url(database_url)) as holder:  # whoever ends the task waits for us ...
        holder.execute("SELECT 1 FROM procrastinate_jobs WHERE status = 'doing' FOR UPDATE")
        waiting = "FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%procrastinate_jobs%'"
        _until(lambda: ask(f"SELECT 1 {waiting}"))
        worker.kill()  # ... and dies
        worker.wait()
        ask(f"SELECT pg_terminate_backend(pid) {waiting}")
    ask("UPDATE trials SET worker = NULL WHERE true")
    start()
    _until(lambda: _trials(ask, job))
    end = time.monotonic() + 6
    while time.monotonic() < end:
        assert len(_tasks(ask, job)) <= 1
        time.sleep(0.2)


def test_runners_too_many_are_removed_and_missing_ones_added(start: Start, submit: Submit, ask: Ask) -> None:
    start()
    job = submit(**ENDLESS | {"budget": {"trials": 500}, "parallelism": 2})
    _until(lambda: _trials(ask, job))
    ask("""INSERT INTO procrastinate_jobs (queue_name, task_name, args) SELECT queue_name, task_name, args
        FROM procrastinate_jobs, generate_series(1, 3) WHERE status = 'doing' AND task_name = 'run_job'""")
    assert len(_tasks(ask, job)) == 5
    _until(lambda: _tasks(ask, job) == ["doing", "todo"], 30)
    ask("DELETE FROM procrastinate_jobs WHERE status = 'todo' AND task_name = 'run_job'")
    _until(lambda: _tasks(ask, job) == ["doing", "todo"], 30)


# --- no ghosts ------------------------------------------------------------------------------------


def test_a_task_whose_end_was_lost_with_the_connection_does_not_stay_at_work(
    start: Start, submit: Submit, ask: Ask, engine: Engine, database_url: str
) -> None:
    start()
    job = submit(**REQUEST | {"budget": {"trials": 2}, "parallelism": 1})
    _until(lambda: _trials(ask, job))
    with psycopg.connect(libpq_url(database_url)) as holder:
        holder.execute("SELECT 1 FROM procrastinate_jobs WHERE status = 'doing' FOR SHARE")
        waiting = "FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%finish_job%'"
        _until(lambda: ask(f"SELECT 1 {waiting}"))
        ask(f"SELECT pg_terminate_backend(pid) {waiting}")
    assert _state(ask, job) == "completed"
    _until(lambda: _tasks(ask, job) == [], 30)
    assert len(_online(engine)) == 1


# --- whose fault ----------------------------------------------------------------------------------


class Killer:
    """Kills every device process of a worker as soon as it sees it."""

    def __init__(self, worker: Process) -> None:
        self._over = Event()
        self._thread = Thread(target=self._run, args=(worker,))
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _run(self, worker: Process) -> None:
        while not self._over.wait(0.1):
            for process in _devices(worker):
                with suppress(psutil.NoSuchProcess):
                    process.kill()


def test_a_sick_worker_fails_nobodys_job_beside_a_healthy_one(
    start: Start, submit: Submit, ask: Ask, engine: Engine
) -> None:
    sick, _ = start(), start()
    _until(lambda: len(_online(engine)) == 2)
    killer = Killer(sick)
    try:
        made = [submit(**REQUEST | {"budget": {"trials": 8}, "parallelism": 2}) for _ in range(3)]
        for job in made:
            _completes(ask, job)
            assert len(_trials(ask, job, "complete")) == 8
        (problem,) = [line for worker in _online(engine) for line in worker.problems]
        assert problem.startswith("cpu takes no work: its process died (exit code -9)")
        assert sick.poll() is None
    finally:
        killer.stop()
    _until(lambda: [list(worker.problems) for worker in _online(engine)] == [[], []])


FULL_DISK = """
    CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;
    CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON trials FOR EACH ROW EXECUTE FUNCTION full_disk();
"""


def test_a_full_disk_costs_neither_job_nor_trials_anything(
    start: Start, submit: Submit, ask: Ask, engine: Engine
) -> None:
    start()
    job = submit(**REQUEST | {"budget": {"trials": 4}, "parallelism": 1})
    _until(lambda: _trials(ask, job))
    ask(FULL_DISK)
    _until(lambda: any("No space left" in line for worker in _online(engine) for line in worker.problems))
    ask("DROP TRIGGER full_disk ON trials")
    _completes(ask, job)
    assert _trials(ask, job, "complete") == [1] * 4


# --- what hangs -----------------------------------------------------------------------------------


def test_a_stopped_device_process_is_killed_and_its_trials_go_on_once(start: Start, submit: Submit, ask: Ask) -> None:
    worker = start()
    job = submit(**REQUEST | {"budget": {"trials": 4}})
    _until(lambda: _trials(ask, job))
    (device,) = _devices(worker)
    device.suspend()
    _completes(ask, job)
    assert sorted(_trials(ask, job, "complete")) == [1, 1, 1, 2]
    assert worker.poll() is None


def test_a_job_on_a_stopped_device_process_can_be_cancelled_and_the_next_runs(
    start: Start, submit: Submit, ask: Ask, engine: Engine
) -> None:
    worker = start()
    job = submit(**ENDLESS | {"budget": {"trials": 4}})
    _until(lambda: _trials(ask, job))
    (device,) = _devices(worker)
    device.suspend()
    with engine.begin() as connection:
        jobs.cancel(connection, job)
    following = submit(**REQUEST | {"budget": {"trials": 1}})
    _completes(ask, following)
    assert _trials(ask, job) == []
    assert _state(ask, job) == "cancelled"


def test_a_worker_with_a_stopped_device_process_drains(start: Start, submit: Submit, ask: Ask) -> None:
    worker = start(DRAIN_TIMEOUT="1", STALL_TIMEOUT="60")  # it is not given up before
    job = submit(**ENDLESS | {"budget": {"trials": 4}})
    _until(lambda: _trials(ask, job))
    (device,) = _devices(worker)
    device.suspend()
    worker.terminate()
    assert worker.wait(timeout=40) == 0
    assert not device.is_running()
    assert _trials(ask, job) == []
    assert set(_trials(ask, job, "waiting")) == {1}


# --- who is alive ---------------------------------------------------------------------------------


def test_a_worker_that_slept_is_online_again_when_it_wakes(
    start: Start, submit: Submit, ask: Ask, engine: Engine
) -> None:
    sleeper = start()
    _until(lambda: len(_online(engine)) == 1)
    sleeper.send_signal(signal.SIGSTOP)
    other = start()  # it closes the sleeper's books
    _until(lambda: ask("SELECT 1 FROM workers WHERE stopped_at IS NOT NULL"))
    sleeper.send_signal(signal.SIGCONT)
    _until(lambda: len(_online(engine)) == 2, 30)
    other.kill()
    _completes(ask, submit(**REQUEST | {"budget": {"trials": 2}}))
    assert ask("SELECT stopped_at IS NULL FROM workers WHERE name LIKE %s", f"%:{sleeper.pid}") == [(True,)]


AMID_A_REPAIR = """
import os, signal, sys
from pathlib import Path
from actsearch.store import queue
real = queue.put_back
def put_back(*arguments, **named):
    result = real(*arguments, **named)
    if not Path({flag!r}).exists():
        Path({flag!r}).touch()
        os.kill(os.getpid(), signal.SIGSTOP)
    return result
queue.put_back = put_back
sys.argv = ["actsearch", "worker", "--devices", "cpu"]
from actsearch.cli import app
app()
"""


def test_a_worker_that_sleeps_amid_a_repair_keeps_nobody_from_repairing(
    start: Start, submit: Submit, ask: Ask, engine: Engine, tmp_path: Path
) -> None:
    flag = tmp_path / "asleep"
    sleeper = start("-c", AMID_A_REPAIR.format(flag=str(flag)))
    _until(flag.exists)
    start()
    _until(lambda: ask("SELECT 1 FROM workers WHERE stopped_at IS NOT NULL"), 60)
    sleeper.send_signal(signal.SIGCONT)
    _until(lambda: len(_online(engine)) == 2, 30)
    _completes(ask, submit(**REQUEST | {"budget": {"trials": 2}}))
    assert sleeper.poll() is None


AMID_A_HEARTBEAT = """
import os, signal, sys
from pathlib import Path
import psycopg
real = psycopg.AsyncCursor.execute
async def execute(self, query, *arguments, **named):
    result = await real(self, query, *arguments, **named)
    if "stopped_at = NULL" in str(query) and not Path({flag!r}).exists():
        Path({flag!r}).touch()
        os.kill(os.getpid(), signal.SIGSTOP)
    return result
psycopg.AsyncCursor.execute = execute
sys.argv = ["actsearch", "worker", "--devices", "cpu"]
from actsearch.cli import app
app()
"""


def test_a_worker_that_sleeps_amid_a_heartbeat_keeps_nobody_from_repairing(
    start: Start, ask: Ask, engine: Engine, tmp_path: Path
) -> None:
    flag = tmp_path / "asleep"
    sleeper = start("-c", AMID_A_HEARTBEAT.format(flag=str(flag)))
    _until(flag.exists)
    start()
    _until(lambda: ask("SELECT 1 FROM workers WHERE stopped_at IS NOT NULL"), 60)
    sleeper.send_signal(signal.SIGCONT)
    _until(lambda: len(_online(engine)) == 2, 30)


def test_lost_idle_connections_end_no_worker(start: Start, submit: Submit, ask: Ask, engine: Engine) -> None:
    worker = start()
    _until(lambda: len(_online(engine)) == 1)
    for _ in range(3):
        ask("""SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()""")
        time.sleep(1)
    _completes(ask, submit(**REQUEST | {"budget": {"trials": 2}}))
    assert worker.poll() is None


SET_BACK = """
import sys, time
from pathlib import Path
real = time.time
time.time = lambda: real() - 3600 * Path({flag!r}).exists()
sys.argv = ["actsearch", "worker", "--devices", "cpu"]
from actsearch.cli import app
app()
"""


def test_a_clock_set_back_stops_no_repair(start: Start, submit: Submit, ask: Ask, tmp_path: Path) -> None:
    flag = tmp_path / "set back"
    start("-c", SET_BACK.format(flag=str(flag)))
    job = submit(**ENDLESS | {"budget": {"trials": 500}, "parallelism": 2})
    _until(lambda: _trials(ask, job))
    flag.touch()
    time.sleep(6)
    ask("DELETE FROM procrastinate_jobs WHERE status = 'todo' AND task_name = 'run_job'")
    _until(lambda: _tasks(ask, job) == ["doing", "todo"], 30)


def test_a_worker_that_still_starts_ends_when_it_is_asked_to(start: Start) -> None:
    worker = start()
    _until(lambda: _devices(worker))
    (device,) = _devices(worker)
    worker.terminate()
    assert worker.wait(timeout=60) == 0
    _until(lambda: not device.is_running(), 30)


# --- fairness -------------------------------------------------------------------------------------


def test_devices_go_round_the_jobs_however_many_runners_each_has(start: Start, submit: Submit, ask: Ask) -> None:
    start(TIME_SLICE="0.1")
    wide = submit(**REQUEST | {"budget": {"trials": 60}, "parallelism": 4})
    _until(lambda: _trials(ask, wide))
    narrow = submit(**REQUEST | {"budget": {"trials": 4}, "parallelism": 1})
    before = len(_trials(ask, wide, "complete"))
    _completes(ask, narrow)
    assert len(_trials(ask, wide, "complete")) - before <= 4 + 3  # slice by slice, a trial each
