"""When a search ends before its trials are spent: time, a target, no improvement; or because somebody says so.

A search that stops shrinks its budget to the trials begun: nothing new is claimed, what is in training (or was given
back) finishes, and every other statement about budgets stays true.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Connection, text

from actsearch.schemas import StopRule

_CLOCKS = """
    SELECT CASE
        WHEN extract(epoch FROM clock_timestamp() - j.started_at) >= CAST(j.request #>> '{budget,seconds}' AS float8)
            THEN 'seconds'
        WHEN j.request #>> '{budget,device_seconds}' IS NOT NULL
            AND (SELECT sum(CAST(t.metrics ->> 'seconds' AS float8)) FROM trials t WHERE t.study_id = j.study_id)
                >= CAST(j.request #>> '{budget,device_seconds}' AS float8)
            THEN 'device_seconds'
    END FROM jobs j WHERE j.id = :job
"""

# The best is the first trial (by the time it ended) that reached the best value.
_RESULTS = """
    SELECT CASE
        WHEN j.direction = 'maximize' AND best.value >= CAST(j.request #>> '{{budget,target}}' AS float8) THEN 'target'
        WHEN j.direction = 'minimize' AND best.value <= CAST(j.request #>> '{{budget,target}}' AS float8) THEN 'target'
        WHEN j.request #>> '{{budget,patience}}' IS NOT NULL
            AND (SELECT count(*) FROM trials t WHERE t.study_id = j.study_id
                 AND t.state IN ('complete', 'pruned', 'failed')
                 AND (t.finished_at, t.number) > (best.finished_at, best.number))
                >= CAST(j.request #>> '{{budget,patience}}' AS int)
            THEN 'patience'
    END
    FROM jobs j CROSS JOIN LATERAL (
        SELECT t.value, t.finished_at, t.number FROM trials t WHERE t.study_id = j.study_id AND t.state = 'complete'
        AND t.value > '-Infinity' AND t.value < 'Infinity'
        ORDER BY t.value {order}, t.finished_at, t.number LIMIT 1) best
    WHERE j.id = :job
"""

_DIRECTION = "SELECT direction FROM jobs WHERE id = :job"
_ORDER = {"maximize": "DESC", "minimize": "ASC"}


def fired(connection: Connection, job_id: UUID) -> StopRule | None:
    """The limit of a running job's budget that has been reached, other than the number of trials."""
    values = {"job": job_id}
    rule = connection.execute(text(_CLOCKS), values).scalar()
    if rule is None:
        order = _ORDER[connection.execute(text(_DIRECTION), values).scalar_one()]
        rule = connection.execute(text(_RESULTS.format(order=order)), values).scalar()
    return None if rule is None else StopRule(rule)


_STOP = """
    UPDATE jobs j SET stopped_by = :rule, budget_trials = s.next_number
    FROM studies s WHERE s.id = j.study_id AND j.id = :job AND j.state = 'running' AND s.next_number < j.budget_trials
"""


def stop(connection: Connection, job_id: UUID, rule: StopRule) -> bool:
    """End a running search: no trial is begun any more. Returns whether there was any left to begin."""
    return bool(connection.execute(text(_STOP), {"job": job_id, "rule": rule}).rowcount)


def record_spent(connection: Connection, job_id: UUID) -> None:
    """Note that the search ended because its trials were spent, unless another limit had ended it."""
    query = "UPDATE jobs SET stopped_by = coalesce(stopped_by, 'trials') WHERE id = :job"
    connection.execute(text(query), {"job": job_id})
