"""Commands on what can be searched, and on who searches."""

from __future__ import annotations

from typing import Annotated

import typer

from actsearch.cli.documents import parse_parameter, parse_task_parameter
from actsearch.cli.options import AsJson, Url
from actsearch.cli.output import console, print_json
from actsearch.cli.pages import activation_page, task_page
from actsearch.cli.tables import add_row, new_table
from actsearch.cli.texts import moment_text, parameters_text, samples_text, shape_text
from actsearch.client import Client
from actsearch.client.calls import get_activation


def activations(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Show this family, with a plot.")] = None,
    *,
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="Set NAME=VALUE; may be repeated."),
    ] = None,
    expression: Annotated[
        str | None, typer.Option(help="Show a function written out: `max(x, 0) * sigmoid(beta * x)`.")
    ] = None,
    low: Annotated[float, typer.Option(help="Left end of the plot.")] = -5.0,
    high: Annotated[float, typer.Option(help="Right end of the plot.")] = 5.0,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """List the families of activations, or show one: formula, hyperparameters, gain, plot and PyTorch code."""
    if name is None and expression is None:
        _list_activations(url, as_json=as_json)
        return
    values = dict(parse_parameter(text) for text in parameter or ())
    call = get_activation(
        name or "expression", values, expression=expression, learned=None, low=low, high=high, points=241
    )
    with Client(url) as client:
        found = client.ask(call)
    if as_json:
        print_json(found)
    else:
        console().print(activation_page(found))


def _list_activations(url: str | None, *, as_json: bool) -> None:
    with Client(url) as client:
        families = client.activations()
    if as_json:
        print_json(families)
        return
    table = new_table("family", "formula", "hyperparameters", "tags")
    for family in families:
        parameters = parameters_text(family.parameters)
        add_row(table, family.name, family.formula, parameters, ", ".join(family.tags))
    console().print(table)


def architectures(as_json: AsJson = False, url: Url = None) -> None:
    """List the architectures."""
    with Client(url) as client:
        listed = client.architectures()
    if as_json:
        print_json(listed)
        return
    table = new_table("architecture", "what it is", "takes", "baseline", "parameters")
    for item in listed:
        parameters = parameters_text(item.parameters)
        roles = [f"{role}: {spec.family}" for role, spec in item.role_baselines.items()]
        baseline = ", ".join([item.baseline.family, *roles])
        add_row(table, item.name, item.description, ", ".join(item.inputs), baseline, parameters)
    console().print(table)


def tasks(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Show this task; own data: `data:<path>`.")] = None,
    *,
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="Set NAME=VALUE; may be repeated."),
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """List the tasks, or show one: for own data, what was guessed when they were read."""
    with Client(url) as client:
        if name is not None:
            shown = client.task(name, dict(parse_task_parameter(text) for text in parameter or ()))
        else:
            listed = client.tasks()
    if as_json:
        print_json(listed if name is None else shown)
        return
    if name is not None:
        console().print(task_page(shown))
        return
    table = new_table("task", "what it is", "input", "samples", "metric", "architectures")
    for item in listed:
        samples, shape = samples_text(item), shape_text(item)
        add_row(table, item.name, item.description, shape, samples, item.metric, ", ".join(item.architectures))
    console().print(table)


def workers(as_json: AsJson = False, url: Url = None) -> None:
    """List the workers that are online."""
    with Client(url) as client:
        listed = client.workers()
    if as_json:
        print_json(listed)
        return
    table = new_table("worker", "devices", "online since", "last seen", "problems")
    for item in listed:
        since, seen = moment_text(item.started_at), moment_text(item.last_seen_at)
        add_row(table, item.name, ", ".join(item.devices), since, seen, "\n".join(item.problems))
    console().print(table)
