"""Commands on what can be searched, and on who searches."""

from __future__ import annotations

from actsearch.cli.options import AsJson, Url
from actsearch.cli.output import console, print_json
from actsearch.cli.tables import add_row, new_table
from actsearch.cli.texts import moment_text, parameter_text
from actsearch.client import Client


def activations(as_json: AsJson = False, url: Url = None) -> None:
    """List the families of activations."""
    with Client(url) as client:
        families = client.activations()
    if as_json:
        print_json(families)
        return
    table = new_table("family", "formula", "hyperparameters", "tags")
    for family in families:
        parameters = ", ".join(map(parameter_text, family.parameters))
        add_row(table, family.name, family.formula, parameters, ", ".join(family.tags))
    console().print(table)


def architectures(as_json: AsJson = False, url: Url = None) -> None:
    """List the architectures."""
    with Client(url) as client:
        listed = client.architectures()
    if as_json:
        print_json(listed)
        return
    table = new_table("architecture", "what it is", "takes", "parameters")
    for item in listed:
        parameters = ", ".join(map(parameter_text, item.parameters))
        add_row(table, item.name, item.description, ", ".join(item.inputs), parameters)
    console().print(table)


def tasks(as_json: AsJson = False, url: Url = None) -> None:
    """List the tasks."""
    with Client(url) as client:
        listed = client.tasks()
    if as_json:
        print_json(listed)
        return
    table = new_table("task", "what it is", "input", "samples", "metric", "architectures")
    for item in listed:
        samples = ", ".join(f"{count} {part}" for part, count in item.samples.items())
        shape = " × ".join(map(str, item.input_shape))
        add_row(table, item.name, item.description, shape, samples, item.metric, ", ".join(item.architectures))
    console().print(table)


def workers(as_json: AsJson = False, url: Url = None) -> None:
    """List the workers that are online."""
    with Client(url) as client:
        listed = client.workers()
    if as_json:
        print_json(listed)
        return
    table = new_table("worker", "devices", "online since", "last seen")
    for item in listed:
        since, seen = moment_text(item.started_at), moment_text(item.last_seen_at)
        add_row(table, item.name, ", ".join(item.devices), since, seen)
    console().print(table)
