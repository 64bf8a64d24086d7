"""`actsearch report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, get_args

import typer

from actsearch.cli.find_job import find_job
from actsearch.cli.options import JobId, Url
from actsearch.cli.output import say
from actsearch.client import Client, JobHandle
from actsearch.client.display import short_id
from actsearch.client.errors import NotFoundError
from actsearch.schemas import Chart


def report(
    job: JobId,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write the page to.")] = None,
    charts: Annotated[Path | None, typer.Option(help="Directory for every chart as SVG and PNG.")] = None,
    url: Url = None,
) -> None:
    """Write a job's report: a single self-contained HTML page."""
    with Client(url) as client:
        found = find_job(client, job)
        path = output or Path(f"actsearch-{short_id(found.id)}.html")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(found.report(), encoding="utf-8")
        say(f"report: {path}")
        if charts is not None:
            _write_charts(found, charts)


def _write_charts(job: JobHandle, directory: Path) -> None:
    """Those that the job has something to show in."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in get_args(Chart):
        try:
            pictures = {"svg": job.chart(name, "svg"), "png": job.chart(name, "png")}
        except NotFoundError:
            continue
        for form, picture in pictures.items():
            (directory / f"{name}.{form}").write_bytes(picture)
        say(f"chart: {directory / name}.svg, .png")
