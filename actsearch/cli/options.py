"""Options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Url = Annotated[str | None, typer.Option("--url", help="Address of the service.", envvar="ACTSEARCH_URL")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
JobId = Annotated[
    str, typer.Argument(metavar="JOB", help="The job's id, a unique start or end of it, or `last` (your newest).")
]
Filter = Annotated[
    str | None,
    typer.Option(
        "--filter",
        metavar="CONDITION",
        help='List only those for which it holds: `value > 0.9 and "word" in name` (docs/filters.md).',
    ),
]
Labels = Annotated[
    list[str] | None, typer.Option("--label", metavar="WORD", help="A word to find it by; may be repeated.")
]
Host = Annotated[str | None, typer.Option(help="Address to listen on.")]
Port = Annotated[int | None, typer.Option(help="Port to listen on.", min=1, max=65535)]
TlsCert = Annotated[Path | None, typer.Option(help="Speak TLS: file (PEM) with the certificate and its chain.")]
TlsKey = Annotated[Path | None, typer.Option(help="File (PEM) with the certificate's key, unencrypted.")]
Devices = Annotated[str | None, typer.Option(help="What to train on: `auto`, `cpu`, `cuda:0,cuda:1` ...")]
DataDir = Annotated[Path | None, typer.Option(help="Where the embedded database and data sets live.")]
