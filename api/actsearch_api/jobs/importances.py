"""The answer of `/v1/jobs/{id}/importances`."""

from __future__ import annotations

from uuid import UUID

import optuna
from sqlalchemy import Connection

from actsearch.schemas import Importances
from actsearch.store import OptunaStorage
from actsearch.study.judging.importances import Evaluator, importances, importances_within


def write_importances(connection: Connection, job_id: UUID, evaluator: Evaluator) -> bytes:
    """The importances of a job's parameters as JSON; takes seconds with many trials."""
    study = optuna.load_study(study_name=str(job_id), storage=OptunaStorage(connection.engine))
    trials, shared = importances(study, evaluator)
    within = importances_within(study, evaluator)
    found = Importances(job_id=job_id, evaluator=evaluator, trials=trials, shared=shared, within=within)
    return found.model_dump_json().encode()
