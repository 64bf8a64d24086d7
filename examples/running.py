"""What the examples share: where their jobs run, and what they print.

By default a job goes to the service at `--url` (ACTSEARCH_URL, or `actsearch up` on this machine). `--local` starts a
service for the example alone, in a temporary directory, and ends it afterwards. `--quick` makes the search small.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from actsearch import Client, JobHandle
from actsearch.cli.stack import running
from actsearch.settings import Settings, settings

TIMEOUT = 3600.0
Prepare = Callable[[Path], None]


def run(
    request: Mapping[str, Any], quick: Mapping[str, Any], about: str | None, arguments: Sequence[str] | None
) -> JobHandle:
    """Submit a request (with `quick` over it, if asked for), wait, print the ranking; returns the finished job."""
    options = parse(about, arguments)
    with service(options) as client:
        job = submit(client, {**request, **(quick if options.quick else {})})
        show(job)
        return job


def parse(about: str | None, arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options of every example."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small search")
    parser.add_argument("--local", action="store_true", help="start a service for this example alone")
    parser.add_argument("--url", help="address of a running service")
    parser.add_argument("--data-dir", type=Path, default=None, help="the running service's data directory")
    return parser.parse_args(arguments)


@contextmanager
def service(options: argparse.Namespace, prepare: Prepare = lambda data_dir: None) -> Iterator[Client]:
    """A client of the running service, or of one that lives as long as the context.

    Args:
        prepare: called with the service's data directory, to put own data there.
    """
    if not options.local:
        prepare(options.data_dir or settings().data_dir)
        with Client(options.url) as client:
            yield client
        return
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        prepare(directory)
        own = Settings(data_dir=directory, database_url=None, host="127.0.0.1", port=0)
        with running(own, logs=directory) as stack, Client(stack.url) as client:
            yield client


def submit(client: Client, request: Mapping[str, Any]) -> JobHandle:
    """Submit and wait.

    Raises:
        SystemExit: the job did not complete.
    """
    job = client.submit(**request)
    done = job.wait(timeout=TIMEOUT)
    if done.state != "completed":
        raise SystemExit(f"job {job.id} is {done.state}: {done.reason}")
    return job


def show(job: JobHandle) -> None:
    """Families, best first, and what to do next."""
    objective = job.snapshot.objective
    print(f"{job.snapshot.name}: {objective.metric}, {objective.direction}d, {job.progress.finished} trials")
    for entry in job.ranking(by="family").entries:
        mark = "  (baseline)" if entry.is_baseline else ""
        print(f"{entry.rank:>3}  {entry.family:<24} {entry.best:>11.5g}  of {entry.trials}{mark}")
    verdict = getattr(job.snapshot, "verdict", None)
    if verdict is not None:
        print(verdict.words)
    print(f"actsearch report {job.id} -o report.html")
