"""`actsearch demo`: a real search through the whole system."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from actsearch.cli.options import DataDir
from actsearch.cli.output import console, say
from actsearch.cli.rankings import baseline_text, ranking_table
from actsearch.cli.stack import Stack, running
from actsearch.cli.texts import activation_text, value_text
from actsearch.cli.verdicts import verdict_view
from actsearch.client import Client, JobHandle
from actsearch.client.display import label, progress_display
from actsearch.client.shorthand import Shorthand
from actsearch.client.waiting import Display, follow
from actsearch.errors import ActsearchError
from actsearch.schemas import Job, JobState
from actsearch.settings import Settings

FAMILIES = [
    "relu", "leaky_relu", "elu", "celu", "selu", "gelu", "silu", "swish", "swish_relu_mix", "mish", "softplus",
    "hardswish", "tanh", "sigmoid",
]  # fmt: skip
LEAST_FAMILIES = 10
SEARCHES: Sequence[Shorthand] = (
    {"task": "digits", "architecture": {"name": "mlp", "parameters": {"depth": 3, "width": 32}}, "epochs": 9},
    {"task": "mnist1d", "architecture": {"name": "mlp", "parameters": {"depth": 3, "width": 32}}, "epochs": 9},
)
COMMON: Shorthand = {
    "families": FAMILIES,
    "trials": 36,
    "learning_rate": (1e-4, 1e-1),
    "pruner": "hyperband",
    "confirmation": {"finalists": 3, "seeds": 10, "most_seeds": 10},
}
TIMEOUT = 1200.0


class DemoFailed(ActsearchError):
    """The demo did not show what it should."""


def demo(
    data_dir: DataDir = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the service running until Ctrl-C.")] = False,
) -> None:
    """Search activations for two networks on real data, through the whole system, in a few minutes."""
    directory = data_dir or _temporary_directory()
    directory.mkdir(parents=True, exist_ok=True)
    settings = Settings(
        data_dir=directory,
        database_url=None,
        host="127.0.0.1",
        port=0,
        url="",
        devices="auto",
        require_key=False,
        tls_cert=None,
        tls_key=None,
        trusted_proxies="",
        trusted_user_header="",
    )
    say("starting API, worker and database ...")
    try:
        with running(settings, logs=directory) as stack, Client(stack.url, api_key="") as client:
            typer.echo(f"service    {stack.url}\ndashboard  {stack.url}/dashboard\n")
            _search(client, stack)
            if keep:
                say("\nthe service stays up until Ctrl-C")
                stack.run()
    except KeyboardInterrupt:
        if not keep:
            raise


def _search(client: Client, stack: Stack) -> None:
    jobs = [client.submit({**COMMON, **search}) for search in SEARCHES]
    with progress_display(console()) as display:
        ids = [job.id for job in jobs]
        client.run(follow(client.service, ids, 0.5, TIMEOUT, Guarded(display, stack)))
    for job in jobs:
        job.refresh()
        _show(job, stack.url)
    families = {trial.family for job in jobs for trial in job.trials() if trial.family}
    wrong = shortcomings([job.snapshot for job in jobs], families)
    if wrong:
        raise DemoFailed("\n".join(["the demo did not show what it should:", *(f"  {text}" for text in wrong)]))
    trials = sum(job.progress.finished for job in jobs)
    typer.echo(f"\n{trials} trials over {len(families)} families of activations\n\n{next_steps(program())}")


def _show(job: JobHandle, url: str) -> None:
    if job.snapshot.best is None:
        return
    ranking, best = job.ranking("family"), job.snapshot.best
    console().print(ranking_table(ranking, f"\n{label(job.snapshot)}"))
    metric = f"{ranking.objective.metric} {value_text(best.value)}"
    console().print(Text(f"best: {activation_text(best)}, {metric}; {baseline_text(ranking)}", style="bold"))
    if job.snapshot.verdict is not None:
        console().print(verdict_view(job.snapshot.verdict))
    typer.echo(f"all trials: {url}{job.snapshot.dashboard}")


def program() -> str:
    """How to call this program from here: by name where the shell finds this very one, else by its path."""
    own = Path(sys.executable).parent.resolve() / "actsearch"
    found = shutil.which("actsearch")
    if found is not None and Path(found).resolve() == own.resolve():
        return "actsearch"
    near = os.path.relpath(own)
    return str(own) if near.startswith("..") else near


def next_steps(name: str) -> str:
    """What to try after the demo."""
    return f"""next, a service that stays, and in a second terminal a search of yours and its report:
  {name} up
  {name} submit --task wine --families relu,gelu,tanh,elu --trials 40 --watch
  {name} report last -o report.html"""


def shortcomings(jobs: Sequence[Job], families: set[str]) -> list[str]:
    """What is wrong with the demo's jobs, in a line each; empty if all is well."""
    wrong = [
        f"{label(job)} is {job.state}{f': {job.reason}' if job.reason else ''}"
        for job in jobs
        if job.state is not JobState.completed
    ]
    wrong += [
        f"{label(job)}: {job.progress.finished} trials finished, not {job.progress.budget}"
        for job in jobs
        if job.progress.finished != job.progress.budget
    ]
    wrong += [f"{label(job)}: there is no verdict" for job in jobs if job.verdict is None]
    wrong += [f"{label(job)}: no trial is complete" for job in jobs if job.best is None]
    if len(families) < LEAST_FAMILIES:
        wrong.append(f"only {len(families)} families were tried, not {LEAST_FAMILIES}")
    return wrong


class Guarded:
    """A display that also notices when a part of the service has ended."""

    def __init__(self, display: Display, stack: Stack) -> None:
        self._display, self._stack = display, stack

    def update(self, jobs: Sequence[Job]) -> None:
        """Show the jobs.

        Raises:
            PartFailed: a part has ended.
        """
        self._stack.check()
        self._display.update(jobs)


def _temporary_directory() -> Path:
    """A directory that goes when this process does."""
    directory = Path(tempfile.mkdtemp(prefix="actsearch-demo-"))
    # Exit handlers run last to first: the database in it, started later, has stopped by then.
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory
