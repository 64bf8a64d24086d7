"""Commands on results: rankings and trials."""

from __future__ import annotations

from enum import StrEnum
from itertools import islice
from typing import Annotated

import typer

from actsearch.cli.find_job import find_job
from actsearch.cli.options import AsJson, Filter, JobId, Url
from actsearch.cli.output import console, print_json
from actsearch.cli.rankings import importance_table, leaderboard_table, ranking_table
from actsearch.cli.tables import event_table, trial_table
from actsearch.cli.verdicts import verdict_view
from actsearch.client import Client, JobHandle
from actsearch.client.display import Lines, label
from actsearch.schemas import ActivationRanking, Event, FamilyRanking, TrialRanking, TrialState


class By(StrEnum):
    """What is ranked."""

    family = "family"
    activation = "activation"
    trial = "trial"


def rank(
    job: JobId,
    by: Annotated[
        By, typer.Option(help="Rank families or activations by their best trial, or single trials.")
    ] = By.family,
    top: Annotated[int, typer.Option(min=1, max=1000, help="Show at most this many.")] = 20,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Rank a job's trials, activations or families, with the baseline's place."""
    with Client(url) as client:
        found = find_job(client, job)
        ranking = _ranking(found, by, top)
    if as_json:
        print_json(ranking)
    else:
        console().print(ranking_table(ranking, label(found.snapshot)))
        if found.snapshot.verdict is not None:
            console().print(verdict_view(found.snapshot.verdict))


def _ranking(job: JobHandle, by: By, top: int) -> TrialRanking | ActivationRanking | FamilyRanking:
    if by is By.activation:
        return job.ranking("activation", top)
    return job.ranking("family", top) if by is By.family else job.ranking("trial", top)


def importances(job: JobId, as_json: AsJson = False, url: Url = None) -> None:
    """Show how much each searched parameter matters."""
    with Client(url) as client:
        found = find_job(client, job).importances()
    if as_json:
        print_json(found)
    else:
        console().print(importance_table(found))


def leaderboard(
    task: Annotated[str, typer.Argument(help="Data set: see `actsearch tasks`.")],
    architecture: Annotated[str, typer.Option(help="Network: see `actsearch architectures`.")] = "mlp",
    top: Annotated[int, typer.Option(min=1, max=1000, help="Show at most this many.")] = 20,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Rank families over all jobs of a task and an architecture, verdicts first."""
    with Client(url) as client:
        found = client.leaderboard(architecture, task, top)
    if as_json:
        print_json(found)
    else:
        console().print(leaderboard_table(found))


def trials(
    *,
    job: Annotated[
        str | None, typer.Argument(metavar="[JOB]", help="The job, as for `show`; left out, trials of all jobs.")
    ] = None,
    state: Annotated[TrialState | None, typer.Option(help="List only those in this state.")] = None,
    family: Annotated[str | None, typer.Option(help="List only those of this family.")] = None,
    only: Filter = None,
    sort: Annotated[str | None, typer.Option(help="Sort by a field; a leading `-` means descending.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="List at most this many.")] = 50,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """List a job's trials, or those of all jobs, the newest first."""
    if job is None and (state or family):
        raise typer.BadParameter('for trials of all jobs say it in --filter: state == "complete" and family == "relu"')
    with Client(url) as client:
        if job is None:
            listed, metric = list(islice(client.trials(only, sort=sort), limit)), "value"
        else:
            found = find_job(client, job)
            wanted = found.trials(state=state, family=family, filter=only, sort=sort or "number")
            listed, metric = list(islice(wanted, limit)), found.snapshot.objective.metric
    if as_json:
        print_json(listed)
    else:
        console().print(trial_table(listed, metric, across_jobs=job is None))


def events(
    job: JobId,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until the job is over, a line each.")] = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """List what happened to a job: its states, and who changed it."""
    with Client(url) as client:
        found = find_job(client, job)
        if follow:
            _follow(found, as_json=as_json)
            return
        listed = list(found.events())
    if as_json:
        print_json(listed)
    else:
        console().print(event_table(listed))


def _follow(job: JobHandle, *, as_json: bool) -> None:
    lines = Lines(console(), every=0)
    for item in job.follow():
        if as_json:
            typer.echo(item.model_dump_json())
        elif isinstance(item, Event):
            console().print(event_table([item], header=False))
        else:
            lines.update([item])
