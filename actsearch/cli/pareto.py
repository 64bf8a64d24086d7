"""`actsearch pareto`."""

from __future__ import annotations

from rich.table import Table

from actsearch.cli.find_job import find_job
from actsearch.cli.options import AsJson, JobId, Url
from actsearch.cli.output import console, print_json
from actsearch.cli.tables import BASELINE_STYLE, add_row, new_table
from actsearch.cli.texts import activation_text, other_parameters, value_text
from actsearch.client import Client
from actsearch.client.display import label
from actsearch.schemas import ParetoFront


def pareto(job: JobId, as_json: AsJson = False, url: Url = None) -> None:
    """Show the Pareto front: the trials that no other trial beats in every objective."""
    with Client(url) as client:
        found = find_job(client, job)
        front = found.pareto()
    if as_json:
        print_json(front)
    else:
        console().print(front_table(front, label(found.snapshot)))


def front_table(front: ParetoFront, title: str | None = None) -> Table:
    """The front, the best in the first objective first; the baseline below where it is not on it."""
    names = [f"{objective.metric} ({objective.direction})" for objective in front.objectives]
    volume = f"hypervolume {front.hypervolume[-1].value:.6g}" if front.hypervolume else "no complete trial"
    caption = f"{len(front.entries)} of {front.complete} complete trials; {volume}"
    table = new_table("trial", *names, "activation", "other parameters", title=title, caption=caption)
    entries = list(front.entries)
    if front.baseline is not None and front.baseline not in entries:
        entries.append(front.baseline)
    for entry in entries:
        words = (activation_text(entry.trial), other_parameters(entry.trial))
        style = BASELINE_STYLE if entry.trial.is_baseline else ""
        add_row(table, entry.trial.number, *map(value_text, entry.values), *words, style=style)
    return table
