"""Commands on jobs: submit, list, follow, show, cancel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.console import Console

from actsearch.cli import tables
from actsearch.cli.documents import parse_families, parse_learning_rate, parse_task_parameter, read_document
from actsearch.cli.find_job import find_job
from actsearch.cli.options import AsJson, Filter, JobId, Labels, Url
from actsearch.cli.output import console, print_json, say
from actsearch.cli.verdicts import verdict_view
from actsearch.client import Client, JobHandle
from actsearch.client.display import progress_display, short_id
from actsearch.client.shorthand import Changes, to_document
from actsearch.client.waiting import follow
from actsearch.errors import NotFound
from actsearch.schemas import Job, JobState, Trial

INTERRUPTED = 130


def submit(
    *,
    file: Annotated[Path | None, typer.Argument(help="Request in YAML or JSON; `-` for standard input.")] = None,
    task: Annotated[str | None, typer.Option(help="Data set: see `actsearch tasks`.")] = None,
    task_parameter: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Set a parameter of the task (with --task); may be repeated."),
    ] = None,
    architecture: Annotated[str | None, typer.Option(help="Network: see `actsearch architectures`.")] = None,
    families: Annotated[str | None, typer.Option(help="Activations: `relu,gelu,...` or `all`.")] = None,
    trials: Annotated[int | None, typer.Option(help="Budget: trials to finish.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the data per trial.")] = None,
    learning_rate: Annotated[
        str | None, typer.Option(metavar="NUMBER|LOW..HIGH", help="A fixed value, or a range to search on a log scale.")
    ] = None,
    sampler: Annotated[str | None, typer.Option(help="`auto`, `shape`, `tpe`, `gp`, `random` ...")] = None,
    pruner: Annotated[str | None, typer.Option(help="`auto`, `none`, `hyperband`, `median` ...")] = None,
    optimizer: Annotated[str | None, typer.Option(help="`adamw`, `adam` or `sgd`.")] = None,
    precision: Annotated[str | None, typer.Option(help="`float32` or `bfloat16` (mixed).")] = None,
    seed: Annotated[
        int | None, typer.Option(help="Sampler seed; runs on one device so the search can be repeated.")
    ] = None,
    priority: Annotated[int | None, typer.Option(help="Jobs of higher priority run first.")] = None,
    parallelism: Annotated[int | None, typer.Option(help="Most devices that may work on it at once.")] = None,
    name: Annotated[str | None, typer.Option(help="A name to find it by.")] = None,
    label: Labels = None,
    watch: Annotated[bool, typer.Option("--watch", help="Follow the job until it ends.")] = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Submit a search, from a FILE or from options (which win over the file)."""
    given = {
        "task": _task(task, task_parameter or []),
        "architecture": architecture,
        "families": families,
        "trials": trials,
        "epochs": epochs,
        "learning_rate": learning_rate,
        "sampler": sampler,
        "pruner": pruner,
        "optimizer": optimizer,
        "precision": precision,
        "seed": seed,
        "priority": priority,
        "parallelism": parallelism,
        "name": name,
        "labels": label or None,
    }
    document = _request(file, _options(given))
    with Client(url) as client:
        job = client.submit(document)
        if as_json:
            print_json(job.snapshot)
        else:
            _announce(job)
        if watch:
            _watch(client, job, quiet=as_json)


def jobs(
    *,
    state: Annotated[JobState | None, typer.Option(help="List only those in this state.")] = None,
    mine: Annotated[bool, typer.Option("--mine", help="List only those submitted with this API key.")] = False,
    only: Filter = None,
    sort: Annotated[str | None, typer.Option(help="Sort by a field; a leading `-` means descending.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="List at most this many.")] = 20,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """List jobs, newest first."""
    with Client(url) as client:
        listed = list(islice(client.jobs(state, mine=mine, filter=only, sort=sort), limit))
    if as_json:
        print_json(listed)
    else:
        console().print(tables.job_table(listed))


def watch(job: JobId, url: Url = None) -> None:
    """Follow a job to its end; exit code 1 if it does not complete."""
    with Client(url) as client:
        _watch(client, find_job(client, job))


def show(
    job: JobId,
    trial: Annotated[int | None, typer.Option(min=0, help="Show this trial, with its learning curve.")] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Show a job, or one of its trials, in full."""
    with Client(url) as client:
        found = find_job(client, job)
        shown = found.snapshot if trial is None else _numbered(client, found, trial)
    if as_json:
        print_json(shown)
    else:
        console().print(tables.job_details(shown) if isinstance(shown, Job) else tables.trial_details(shown))
        if isinstance(shown, Job) and shown.verdict is not None:
            console().print(verdict_view(shown.verdict))


def cancel(job: JobId, as_json: AsJson = False, url: Url = None) -> None:
    """Cancel a job; its running trials end at their next rung."""
    with Client(url) as client:
        _say_changed(find_job(client, job).cancel(), as_json=as_json)


def pause(job: JobId, as_json: AsJson = False, url: Url = None) -> None:
    """Pause a job: nothing is begun any more until it is resumed."""
    with Client(url) as client:
        _say_changed(find_job(client, job).pause(), as_json=as_json)


def resume(job: JobId, as_json: AsJson = False, url: Url = None) -> None:
    """Let a paused job go on."""
    with Client(url) as client:
        _say_changed(find_job(client, job).resume(), as_json=as_json)


def change(
    *,
    job: JobId,
    trials: Annotated[int | None, typer.Option(help="Trials in all; a completed job with more goes on.")] = None,
    add_trials: Annotated[int | None, typer.Option(help="So many trials more.", min=1)] = None,
    priority: Annotated[int | None, typer.Option(help="Jobs of higher priority run first.")] = None,
    parallelism: Annotated[int | None, typer.Option(help="Most devices that may work on it at once.")] = None,
    name: Annotated[str | None, typer.Option(help="A name to find it by.")] = None,
    label: Labels = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Change a job: more trials for a search that is over, another priority, parallelism, name or labels."""
    if trials is not None and add_trials is not None:
        raise typer.BadParameter("give --trials or --add-trials, not both")
    given = {"trials": trials, "priority": priority, "parallelism": parallelism, "name": name, "label": label or None}
    changes = _options(given)
    if not changes and add_trials is None:
        raise typer.BadParameter(
            "say what to change: --trials, --add-trials, --priority, --parallelism, --name, --label"
        )
    if "label" in changes:
        changes["labels"] = changes.pop("label")
    with Client(url) as client:
        found = find_job(client, job)
        if add_trials is not None:
            changes["trials"] = found.progress.budget + add_trials
        _say_changed(found.change(**cast("Changes", changes)), as_json=as_json)


def _say_changed(job: Job, *, as_json: bool) -> None:
    if as_json:
        print_json(job)
    else:
        progress = job.progress
        typer.echo(f"{job.id} {job.state}, {progress.finished} of {progress.budget} trials finished")


def _options(given: Mapping[str, Any]) -> dict[str, Any]:
    """What was given, understood."""
    chosen = {name: value for name, value in given.items() if value is not None}
    for name, value in chosen.items():
        if isinstance(value, str) and not value.strip(" ,"):
            message = "is empty (an unset shell variable?); leave it out for the default"
            raise typer.BadParameter(f"--{name.replace('_', '-')} {message}")
    parsed: dict[str, Callable[[str], Any]] = {"families": parse_families, "learning_rate": parse_learning_rate}
    for name, parse in parsed.items():
        if name in chosen:
            chosen[name] = parse(chosen[name])
    return chosen


def _request(file: Path | None, options: dict[str, Any]) -> dict[str, Any]:
    if file is None and "task" not in options:
        raise typer.BadParameter("give a FILE, or at least --task (see `actsearch tasks`)")
    return to_document(read_document(file) if file else None, options)


def _task(name: str | None, parameters: list[str]) -> str | dict[str, Any] | None:
    if not parameters:
        return name
    if name is None:
        raise typer.BadParameter("--task-parameter needs --task")
    return {"name": name, "parameters": dict(parse_task_parameter(text) for text in parameters)}


def _announce(job: JobHandle) -> None:
    typer.echo(f"{job.id} {job.state}")
    if job.snapshot.workers_online == 0:
        say("no worker is online: the job waits until one is (`actsearch worker`)")
    for note in job.snapshot.notes:
        say(f"note: {note}")
    say(f"follow it with `actsearch watch {short_id(job.id)}`")


def _watch(client: Client, job: JobHandle, quiet: bool = False) -> None:
    """Follow the job; with exit code 1 if it does not complete, 130 if the person has seen enough."""
    try:
        with progress_display(Console(stderr=True) if quiet else console()) as display:
            [done] = client.run(follow(client.service, [job.id], 0.5, display=display))
    except KeyboardInterrupt:
        say(f"the job goes on; `actsearch watch {short_id(job.id)}` follows it again")
        raise typer.Exit(INTERRUPTED) from None
    if done.verdict is not None and not quiet:
        console().print(verdict_view(done.verdict))
    if done.state is not JobState.completed:
        raise typer.Exit(1)


def _numbered(client: Client, job: JobHandle, number: int) -> Trial:
    for trial in job.trials():
        if trial.number == number:
            return client.trial(trial.id)
    raise NotFound("trial", str(number))
