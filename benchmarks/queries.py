"""What reads cost in a large trial store: 1,000 jobs of 1,000 trials and one of 100,000, all with learning curves.

A real server process on a real PostgreSQL; 8 clients, each with a connection of its own, ask one kind of question
after the other and are timed from request to answer. Beside them, in the same run: how long Optuna's own storage takes
to read a study of 1,000 trials (`study.trials`), and what it costs to finish 64 trials of the largest job at once.

    python benchmarks/queries.py [--quick]

The last line is JSON: {"trials": ..., "p95_ms": {...}, "optuna_s": seconds, "insert64_ms": milliseconds}.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import numpy as np
import optuna
import psycopg
from optuna.distributions import CategoricalDistribution, FloatDistribution, distribution_to_json
from optuna.storages import RDBStorage
from sqlalchemy import Connection, Engine, text
from sqlalchemy.engine import make_url

from actsearch.schemas import JobRequest
from actsearch.store import jobs, runs
from actsearch.store.embedded import forget_dead_users, normalise_url, start_embedded
from actsearch.store.engine import create_store_engine, libpq_url
from actsearch.store.migrate import upgrade
from actsearch.study import prepare
from actsearch.study.ledger import Claim, Finish

CLIENTS, COHORT, EPOCHS = 8, 64, 20
FAMILIES = ["relu", "elu", "gelu", "silu", "tanh", "mish", "selu", "softplus", "leaky_relu", "hardswish"]
RATE = FloatDistribution(1e-4, 1.0, log=True)

_TRIALS = """
    INSERT INTO trials (uid, study_id, number, state, runner, worker, started_at, finished_at, cohort, family,
                        is_baseline, activations, params, distributions, value, values, metrics)
    SELECT gen_random_uuid(), :study, n, CASE WHEN n % 10 = 9 THEN 'pruned' ELSE 'complete' END, 1, 'worker', now(),
           now(), n / 64 * 64, f.family, f.family = 'relu' AND n % 100 = 0,
           jsonb_build_object('network', jsonb_build_object('family', f.family, 'parameters',
               CASE WHEN f.family IN ('elu', 'leaky_relu', 'softplus') THEN jsonb_build_object(
                   CASE f.family WHEN 'elu' THEN 'alpha' WHEN 'softplus' THEN 'beta' ELSE 'slope' END, random())
               ELSE '{}' END)),
           jsonb_build_object('family', f.family, 'training.learning_rate', random()),
           CAST(:distributions AS jsonb), v.value, CASE WHEN v.value IS NOT NULL THEN ARRAY[v.value] END,
           jsonb_build_object('validation_accuracy', random(), 'validation_loss', random(), 'train_loss', random(),
                              'test_accuracy', random(), 'seconds', random(), 'epochs', 20)
    FROM generate_series(1, :trials) n,
         LATERAL (SELECT (CAST(:families AS text[]))[1 + n / 7 % 10] AS family) f,
         LATERAL (SELECT CASE WHEN n % 10 = 9 THEN NULL ELSE random() + 0 * n END AS value) v
"""

# As runners write them: a row a rung of each cohort.
_CURVES = (
    """UPDATE trials t SET training = k.id, place = t.number - k.cohort FROM (
        SELECT cohort, nextval(pg_get_serial_sequence('trainings', 'id')) AS id
        FROM (SELECT DISTINCT cohort FROM trials WHERE study_id = :study AND cohort IS NOT NULL) c) k
    WHERE t.study_id = :study AND t.cohort = k.cohort""",
    """INSERT INTO trainings (id, study_id, names)
    SELECT DISTINCT training, study_id, ARRAY['train_loss', 'validation_accuracy', 'validation_loss'] FROM trials
    WHERE study_id = :study AND training IS NOT NULL""",
    """INSERT INTO points (training, epoch, places, values, told)
    SELECT training, epoch, array_agg(place ORDER BY place),
           array_agg(ARRAY[random(), random(), random()] ORDER BY place), array_agg(random() ORDER BY place)
    FROM trials, generate_series(1, :epochs) epoch WHERE study_id = :study AND training IS NOT NULL
    GROUP BY training, epoch""",
)

_BEGIN = """
    INSERT INTO trials (uid, study_id, number, state, cohort, family, activations)
    SELECT gen_random_uuid(), :study, :first + n, 'running', :first, 'elu', jsonb_build_object('network',
        jsonb_build_object('family', 'elu', 'parameters', jsonb_build_object('alpha', random())))
    FROM generate_series(0, 63) n RETURNING id, number
"""


def main() -> None:
    """Fill, serve, ask, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="100 jobs of 100 trials and one of 10,000: a look")
    quick = parser.parse_args().quick
    some, many, seconds = (100, 10_000, 2.0) if quick else (1000, 100_000, 8.0)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with database() as (url, folder):
        engine = create_store_engine(url)
        ids = [filled(engine, some) for _ in range(some)]
        large = filled(engine, many)
        with psycopg.connect(libpq_url(url), autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
        p95 = {}
        with served(url, folder) as address:
            for name, paths in questions(ids, large).items():
                latencies, size, refused = ask(address, paths, seconds)
                p95[name] = round(1000 * float(np.percentile(latencies, 95)), 1)
                words = f"{len(latencies)} answers of {size:,} bytes as sent, {refused} of them refusals"
                print(f"{name}: {words}, p95 {p95[name]} ms", flush=True)
        found = {
            "trials": some * some + many,
            "p95_ms": p95,
            "optuna_s": round(optuna_reads(url, 200 if quick else 1000), 2),
            "insert64_ms": round(finish_64(engine, large), 1),
        }
        engine.dispose()
    print(json.dumps(found))


def questions(ids: list[UUID], large: UUID) -> dict[str, list[str]]:
    """Paths by kind of question; the rankings are of the largest job."""
    ranking = f"/v1/jobs/{large}/ranking?limit=50&by="
    return {
        "job": [f"/v1/jobs/{job}" for job in [*ids[:50], large]],
        "jobs": ["/v1/jobs?limit=50"],
        "ranking": [ranking + "trial"],
        "families": [ranking + "family"],
        "activations": [ranking + "activation"],
        "leaderboard": ["/v1/leaderboard?architecture=mlp&task=digits&limit=50"],
        "filter": [f"/v1/jobs/{large}/trials?state=complete&family={one}&sort=-value&limit=50" for one in FAMILIES],
    }


def filled(engine: Engine, trials: int) -> UUID:
    """A completed job with that many trials, 20 points in the curve of each."""
    request = {"task": "digits", "budget": {"trials": trials}, "space": {"families": FAMILIES}}
    prepared = prepare(JobRequest.model_validate(request))
    kinds = {"family": CategoricalDistribution(FAMILIES), "training.learning_rate": RATE}
    distributions = {name: [place, distribution_to_json(kind)] for place, (name, kind) in enumerate(kinds.items())}
    with engine.begin() as connection:
        job = jobs.create_job(
            connection, prepared.request, prepared.objective, prepared.baseline_activations,
            prepared.baseline_parameters,
        )  # fmt: skip
        query = "UPDATE jobs SET state = 'completed', finished_at = now() WHERE id = :job RETURNING study_id"
        study = connection.execute(text(query), {"job": job}).scalar_one()
        values = {"study": study, "trials": trials - 1, "families": FAMILIES}
        connection.execute(text(_TRIALS), values | {"distributions": json.dumps(distributions)})
        connection.execute(text("UPDATE studies SET next_number = :n WHERE id = :study"), {"n": trials, "study": study})
        add_curves(connection, study)
    return job


def add_curves(connection: Connection, study: int) -> None:
    """Learning curves of all trials of a study."""
    for query in _CURVES:
        wanted = {"study": study, "epochs": EPOCHS}
        connection.execute(text(query), {name: value for name, value in wanted.items() if f":{name}" in query})


def finish_64(engine: Engine, job: UUID) -> float:
    """Milliseconds, the median of 11, to finish a cohort of the job in a transaction of its own."""
    took = []
    numbers = "UPDATE studies SET next_number = next_number + 64 WHERE name = :job RETURNING id, next_number - 64"
    for _ in range(11):
        with engine.begin() as connection:
            study, first = connection.execute(text(numbers), {"job": str(job)}).one()
            rows = connection.execute(text(_BEGIN), {"study": study, "first": first}).all()
        values = np.random.default_rng(first).random(COHORT).tolist()
        ends = [
            Finish(Claim(row.id, 1, row.number, first), "complete", [value], {"validation_accuracy": value})
            for row, value in zip(rows, values, strict=True)
        ]
        begin = time.perf_counter()
        with engine.begin() as connection:
            runs.finish(connection, ends)
        took.append(time.perf_counter() - begin)
    return 1000 * float(np.median(took))


def optuna_reads(url: str, trials: int) -> float:
    """Seconds that Optuna's own storage takes for `study.trials` of a study with so many, on the same server."""
    with psycopg.connect(libpq_url(url), autocommit=True) as connection:
        connection.execute("CREATE DATABASE native")
    native = make_url(url).set(database="native").render_as_string(hide_password=False)
    study = optuna.create_study(storage=RDBStorage(native), study_name="native")
    finished = optuna.trial.create_trial(params={"rate": 0.1}, distributions={"rate": RATE}, value=0.5)
    study.add_trials([finished] * trials)
    begin = time.perf_counter()
    fresh = optuna.load_study(storage=RDBStorage(native), study_name="native")
    assert len(fresh.trials) == trials
    return time.perf_counter() - begin


@contextmanager
def database() -> Iterator[tuple[str, Path]]:
    """URL of a migrated database on an embedded PostgreSQL of its own, and a folder; both are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="queries-") as folder:
        server = start_embedded(Path(folder) / "postgres", cleanup_mode="delete")
        url = normalise_url(server.get_uri())
        upgrade(url)
        yield url, Path(folder)
        forget_dead_users(server)
        server.cleanup()


@contextmanager
def served(url: str, folder: Path) -> Iterator[str]:
    """The address of a server process on the database."""
    settings = {"DATABASE_URL": url, "PORT": "0", "LOG_LEVEL": "info", "LOG_FORMAT": "json"}
    environment = os.environ | {f"ACTSEARCH_{name}": value for name, value in settings.items()}
    log = folder / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "actsearch", "serve"], env=environment, stdout=out, stderr=out
        )
    try:
        for _ in range(600):
            if found := re.search(r"http://127\.0\.0\.1:\d+", log.read_text()):
                break
            time.sleep(0.1)
        else:
            raise RuntimeError(log.read_text())
        yield found.group()
    finally:
        process.terminate()
        process.wait()


def ask(address: str, paths: list[str], seconds: float) -> tuple[list[float], int, int]:
    """Seconds of each answer, bytes of one, and how many were not 200, of clients in a process of their own."""
    with ProcessPoolExecutor(1) as pool:
        return pool.submit(_asked, address, paths, seconds).result()


def _asked(address: str, paths: list[str], seconds: float) -> tuple[list[float], int, int]:
    latencies: list[float] = []
    sizes, refusals = [0], [0]

    def client(place: int) -> None:
        # The standard library's: httpx takes 3 ms of processor time for each answer, so that eight of its clients wait
        # for one another and not for the service.
        connection = HTTPConnection(urlsplit(address).netloc, timeout=120)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            place += 1
            begin = time.perf_counter()
            connection.request("GET", paths[place % len(paths)], headers={"Accept-Encoding": "gzip"})
            answer = connection.getresponse()
            content = answer.read()
            latencies.append(time.perf_counter() - begin)
            refusals[0] += answer.status != 200
            sizes[0] = len(content)
        connection.close()

    began = time.process_time()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(client, range(CLIENTS)))
    print(
        f"clients: {1000 * (time.process_time() - began) / len(latencies):.2f} ms of processor time an answer",
        flush=True,
    )
    return latencies, sizes[0], refusals[0]


if __name__ == "__main__":
    main()
