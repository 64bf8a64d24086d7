"""Commands that run the service, or parts of it."""

from __future__ import annotations

from typing import Any

import typer

from actsearch.cli.extras import needs_extras
from actsearch.cli.options import DataDir, Devices, Host, Port, TlsCert, TlsKey
from actsearch.cli.output import say
from actsearch.settings import Settings

database = typer.Typer(no_args_is_help=True, help="The database of the service.")


def given_settings(**options: Any) -> Settings:
    """The settings, with the options that were given in place of what the environment says."""
    return Settings(**{name: value for name, value in options.items() if value is not None})


def serve(
    *,
    host: Host = None,
    port: Port = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    data_dir: DataDir = None,
) -> None:
    """Run the API, with the dashboard."""
    with needs_extras():
        from actsearch_api.main import serve as serve_api
    serve_api(given_settings(host=host, port=port, tls_cert=tls_cert, tls_key=tls_key, data_dir=data_dir))


def worker(devices: Devices = None, data_dir: DataDir = None) -> None:
    """Run a worker; on Ctrl-C or SIGTERM it finishes the current cohort, then ends."""
    with needs_extras():
        from actsearch_workers.main import run_worker
    run_worker(given_settings(devices=devices, data_dir=data_dir))


def up(
    *,
    host: Host = None,
    port: Port = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    devices: Devices = None,
    data_dir: DataDir = None,
) -> None:
    """Run API, worker, dashboard and database until Ctrl-C."""
    from actsearch.cli.stack import running

    settings = given_settings(
        host=host, port=port, tls_cert=tls_cert, tls_key=tls_key, devices=devices, data_dir=data_dir
    )
    say("starting ...")
    try:
        with running(settings) as stack:
            typer.echo(f"API        {stack.url}  (reference at {stack.url}/docs)")
            typer.echo(f"dashboard  {stack.url}/dashboard")
            say("Ctrl-C finishes what is in training and stops")
            stack.run()
    except KeyboardInterrupt:
        say("stopped")


@database.command()
def upgrade(data_dir: DataDir = None) -> None:
    """Create or upgrade the tables; does nothing if they are up to date."""
    with needs_extras():
        from actsearch.store import database_url, describe
        from actsearch.store import upgrade as upgrade_tables
    url = database_url(given_settings(data_dir=data_dir))
    upgrade_tables(url)
    typer.echo(f"{describe(url)} is at the current schema")
