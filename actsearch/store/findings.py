"""What a report needs of a job beyond its rankings, each in one statement."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import Connection, text

from actsearch.schemas import Direction, Trial
from actsearch.store import points
from actsearch.store.pareto import objective_values, objectives_of
from actsearch.store.trials import COLUMNS, to_trial

_RANKED = "t.state = 'complete' AND t.value > '-Infinity' AND t.value < 'Infinity'"


def complete_trials(connection: Connection, job_id: UUID, limit: int) -> list[Trial]:
    """Complete trials in order of number, without curves; the best `limit` of them and the baseline.

    Raises:
        NotFound: no such job.
    """
    study, objectives = objectives_of(connection, job_id)
    order = "DESC" if objectives[0].direction == Direction.maximize else "ASC"
    query = f"""SELECT {COLUMNS} FROM trials t JOIN jobs j USING (study_id) WHERE t.study_id = :study AND {_RANKED}
        ORDER BY t.number = 0 DESC, t.value {order}, t.number LIMIT :limit"""  # noqa: S608 - constants of ours
    rows = connection.execute(text(query), {"study": study, "limit": limit})
    return sorted((to_trial(row) for row in rows), key=lambda trial: trial.number)


def with_curves(connection: Connection, job_id: UUID, numbers: Collection[int]) -> list[Trial]:
    """Trials by number, with their curves, in the order given."""
    query = f"""SELECT {COLUMNS} FROM trials t JOIN jobs j USING (study_id)
        WHERE j.id = :job AND t.number = ANY(:numbers)"""  # noqa: S608 - constants of ours
    rows = connection.execute(text(query), {"job": job_id, "numbers": list(numbers)}).all()
    drawn = points.curves(connection, [row.internal_id for row in rows])
    found = {row.number: to_trial(row, drawn[row.internal_id]) for row in rows}
    return [found[number] for number in numbers if number in found]


def cloud(connection: Connection, job_id: UUID) -> Sequence[Sequence[float]]:
    """The objectives' values of all complete trials, (n, objectives)."""
    study, objectives = objectives_of(connection, job_id)
    values: list[list[float]] = objective_values(connection, study, len(objectives))[1].tolist()
    return values
