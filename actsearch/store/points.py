"""Learning curves: a row a rung of the runs that train together, appended and never changed.

What trains together from one start on is a *training*; a run knows its training and its place there, and starts a new
one when it starts again. A point that a runner appends after it has lost its runs is in a training that nobody reads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, text

from actsearch.store.statements import Runs, statement
from actsearch.study.ledger import Claim, Report

Curve = dict[int, dict[str, float]]
"""Metrics by epoch."""


def start(connection: Connection, runs: Runs, claims: Sequence[Claim], together: int | None) -> None:
    """Begin a training of claimed runs.

    Args:
        together: how many train at once; None leaves what is known of that.
    """
    rows = [{"id": one.id, "attempt": one.attempt, "place": place} for place, one in enumerate(claims)]
    connection.execute(statement("start", runs), {"rows": json.dumps(rows), "together": together})


def append(connection: Connection, runs: Runs, reports: Sequence[Report]) -> frozenset[int]:
    """Add a point to the curves of runs that are still the caller's; returns their ids.

    Runs that were never started are, by this.
    """
    ours = _standing(connection, runs, reports)
    begun = [r.claim for r in reports if r.claim.id in ours and ours[r.claim.id].training is None]
    if begun:
        start(connection, runs, begun, None)
        ours = _standing(connection, runs, reports)
    groups: dict[tuple[int, int], list[Report]] = {}
    for report in reports:
        if report.claim.id in ours:
            groups.setdefault((ours[report.claim.id].training, report.epoch), []).append(report)
    known = {row.training: list(row.names) for row in ours.values()}
    for (training, epoch), some in groups.items():
        names = known[training]
        fresh = sorted({name for report in some for name in report.metrics} - set(names))
        if fresh:
            names += fresh
            connection.execute(statement("name_metrics"), {"training": training, "names": names})
        told = [report.told for report in some]
        row = {
            "training": training,
            "epoch": epoch,
            "places": [ours[report.claim.id].place for report in some],
            "values": [[_number(report.metrics.get(name)) for name in names] for report in some],
            "told": None if all(value is None for value in told) else told,
        }
        connection.execute(statement("append"), row)
    return frozenset(ours)


def _standing(connection: Connection, runs: Runs, reports: Sequence[Report]) -> dict[int, Row[Any]]:
    values = {"ids": [r.claim.id for r in reports], "attempts": [r.claim.attempt for r in reports]}
    return {row.id: row for row in connection.execute(statement("standing", runs), values)}


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


_CURVES = """
    SELECT r.id, p.epoch, t.names, p.values[at\\:at] AS found
    FROM runs r JOIN trainings t ON t.id = r.training JOIN points p ON p.training = t.id,
         array_position(p.places, r.place) AS at
    WHERE r.id = ANY(:ids) AND at IS NOT NULL ORDER BY p.id
"""


def curves(connection: Connection, ids: Sequence[int], runs: Runs = "trials") -> dict[int, Curve]:
    """The learning curves of runs, by id; empty for those that have reported nothing."""
    found: dict[int, Curve] = {one: {} for one in ids}
    query = text(_CURVES.replace("FROM runs", f"FROM {runs}"))
    for row in connection.execute(query, {"ids": list(ids)}):
        [values] = row.found
        found[row.id][row.epoch] = {
            name: value for name, value in zip(row.names, values, strict=False) if value is not None
        }
    return found


# --- what Optuna was told --------------------------------------------------------------------------

Told = dict[int, float]
"""What Optuna was told of a trial, by epoch."""

# Of each training only what was appended since: its rows become visible in order, as one runner writes them.
_TOLD = text("""
    SELECT p.training, p.id, p.epoch, p.places, p.told
    FROM unnest(CAST(:trainings AS bigint[]), CAST(:after AS bigint[])) AS known(training, last)
    JOIN points p ON p.training = known.training AND p.id > known.last
    WHERE p.told IS NOT NULL ORDER BY p.id
""")


@dataclass
class Training:
    """What is known of a training: the last row read, and what was told, by place."""

    last: int
    told: dict[int, Told]


def read_told(connection: Connection, trainings: Mapping[int, Training]) -> None:
    """Bring trainings (by id) up to date."""
    if not trainings:
        return
    values = {"trainings": list(trainings), "after": [one.last for one in trainings.values()]}
    for row in connection.execute(_TOLD, values):
        known = trainings[row.training]
        known.last = row.id
        for place, value in zip(row.places, row.told, strict=True):
            if value is not None:
                known.told.setdefault(place, {})[row.epoch] = value
