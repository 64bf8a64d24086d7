"""All commands, and what happens to their errors."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from typer.core import TyperGroup

from actsearch.cli import catalogue, demo, jobs, keys, pareto, report, results, server
from actsearch.cli.output import explain
from actsearch.client.errors import InvalidRequestError
from actsearch.errors import ActsearchError, InvalidRequest
from actsearch.version import __version__

USAGE, FAILURE = 2, 1


class Commands(TyperGroup):
    """Commands whose expected errors end in a message and an exit code, not in a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except ActsearchError as error:
            explain(error)
            wrong_use = isinstance(error, InvalidRequest | InvalidRequestError)
            raise typer.Exit(USAGE if wrong_use else FAILURE) from None
        except ValidationError as error:
            if error.title != "Settings":
                raise
            for problem in error.errors(include_url=False):
                variable = "ACTSEARCH_" + "_".join(map(str, problem["loc"])).upper()
                explain(f"{variable}: {problem['msg']}")
            raise typer.Exit(USAGE) from None


app = typer.Typer(
    name="actsearch",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Find the right activation function for a network, and prove it.",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Uses the service at ACTSEARCH_URL. Exit codes: 0 success, 1 failure, 2 usage error.",
)


def version() -> None:
    """Print the version."""
    typer.echo(f"actsearch {__version__} (Python {platform.python_version()})")


def _print_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """What stands before a command."""


_SERVICE = "The service"
_PANELS: Mapping[str, Sequence[Callable[..., None]]] = {
    "Searches": (
        jobs.submit,
        jobs.jobs,
        jobs.watch,
        results.rank,
        pareto.pareto,
        report.report,
        results.importances,
        results.leaderboard,
        results.trials,
        jobs.show,
        results.events,
        jobs.change,
        jobs.pause,
        jobs.resume,
        jobs.cancel,
    ),
    "What can be searched": (catalogue.activations, catalogue.architectures, catalogue.tasks),
    _SERVICE: (demo.demo, server.up, server.serve, server.worker, catalogue.workers, version),
}
for panel, commands in _PANELS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)
app.add_typer(keys.keys, name="keys", rich_help_panel=_SERVICE)
app.add_typer(server.database, name="db", rich_help_panel=_SERVICE)
