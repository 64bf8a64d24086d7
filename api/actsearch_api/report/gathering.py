"""From the store to a report's findings."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

import optuna
import structlog
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.search_space import intersection_search_space
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, Engine

from actsearch.report import Findings
from actsearch.report.findings import verdict_of
from actsearch.schemas import Job
from actsearch.store import OptunaStorage, findings, jobs, pareto, ranking

log = structlog.get_logger()
MOST_TRIALS = 5000
CURVES = 6
FAMILIES = 100
FEWEST_FOR_IMPORTANCES = 8


def gather(engine: Engine, connection: Connection, job_id: UUID, stall_timeout: float) -> Findings:
    """All that a job's report shows.

    Raises:
        NotFound: no such job.
    """
    job = jobs.get_job(connection, job_id, stall_timeout)
    families = ranking.rank_families(connection, job_id, FAMILIES)
    leading = [entry.best_trial.number for entry in families.entries[:CURVES]]
    verdict = verdict_of(job)
    chosen = [verdict.winner] if verdict is not None else []
    several = len(job.request.judged_by) > 1
    return Findings(
        job=job,
        trials=findings.complete_trials(connection, job_id, MOST_TRIALS),
        families=families,
        curves=findings.with_curves(connection, job_id, list(dict.fromkeys([*chosen, *leading, 0]))),
        front=pareto.pareto_front(connection, job_id) if several else None,
        cloud=findings.cloud(connection, job_id) if several else [],
        importances=_importances(engine, job),
    )


def _importances(engine: Engine, job: Job) -> Mapping[str, float]:
    """Importances of the parameters that every trial has, by PED-ANOVA; none where there is too little to see."""
    if not FEWEST_FOR_IMPORTANCES <= job.progress.complete <= MOST_TRIALS:
        return {}
    study = optuna.load_study(study_name=str(job.id), storage=OptunaStorage(engine))
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    common = list(intersection_search_space(trials))
    if not common:
        return {}
    sign = -1 if study.directions[0] == StudyDirection.MAXIMIZE else 1

    def loss(trial: FrozenTrial) -> float:
        return sign * float(trial.values[0])

    try:
        return optuna.importance.get_param_importances(
            study, evaluator=PedAnovaImportanceEvaluator(), params=common, target=loss
        )
    except (ValueError, RuntimeError) as error:  # all values alike, a single choice ...
        log.info("no importances", job=str(job.id), error=str(error))
        return {}
