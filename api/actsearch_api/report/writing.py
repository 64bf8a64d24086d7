"""From the store to a report."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

import optuna
from sqlalchemy import Connection, Engine

from actsearch.report import Findings, picture, report_page
from actsearch.schemas import Chart, Job, ReportFormat, TrialState
from actsearch.store import OptunaStorage, findings, job_views, pareto, ranking
from actsearch.study.judging.importances import importances

MOST_TRIALS = 5000
CURVES = 6
FAMILIES = 100
FEWEST_FOR_IMPORTANCES = 8


def write_report(
    connection: Connection, job_id: UUID, stall_timeout: float, form: ReportFormat, chart: Chart | None
) -> bytes | None:
    """A job's report as a page, or one of its charts as a picture; takes seconds.

    Args:
        stall_timeout: seconds without a heartbeat after which a worker counts as gone.
        form: of the answer; other than for the page, `chart` is given.

    Returns:
        The file; None if this job has no such chart.
    """
    found = _gather(connection, job_id, stall_timeout)
    content = report_page(found) if chart is None or form == "html" else picture(chart, found, form)
    return content.encode() if isinstance(content, str) else content


def _gather(connection: Connection, job_id: UUID, stall_timeout: float) -> Findings:
    job = job_views.get_job(connection, job_id, stall_timeout)
    families = ranking.rank_families(connection, job_id, FAMILIES)
    leading = [entry.best_trial.number for entry in families.entries[:CURVES]]
    chosen = [job.verdict.winner] if job.verdict is not None else []
    curves = findings.with_curves(connection, job_id, list(dict.fromkeys([*chosen, *leading, 0])))
    several = len(job.request.judged_by) > 1
    return Findings(
        job=job,
        trials=findings.complete_trials(connection, job_id, MOST_TRIALS),
        families=families,
        curves=[
            trial for trial in curves if trial.state == TrialState.complete
        ],  # others change while the job does not
        front=pareto.pareto_front(connection, job_id) if several else None,
        cloud=findings.cloud(connection, job_id) if several else [],
        importances=_importances(connection.engine, job),
    )


def _importances(engine: Engine, job: Job) -> Mapping[str, float]:
    """Importances of the parameters that every trial has, by PED-ANOVA; none where there are too few to see."""
    if not FEWEST_FOR_IMPORTANCES <= job.progress.complete <= MOST_TRIALS:
        return {}
    study = optuna.load_study(study_name=str(job.id), storage=OptunaStorage(engine))
    return importances(study, "ped_anova")[1]
