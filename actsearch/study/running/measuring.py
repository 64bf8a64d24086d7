"""The costs of trained networks that a job asks for, and how a run ends, judged by what was measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from torch import nn

from actsearch.measures import measure
from actsearch.schemas import FailureReason, ObjectiveInfo
from actsearch.study.ledger import Claim, Finish
from actsearch.study.running.search import Search
from actsearch.study.running.trainer import Trainer
from actsearch.training import TrainingOutcome

log = structlog.get_logger()


def costs_of(trainer: Trainer, module: nn.Module) -> Mapping[str, object]:
    """The costs of a trained network that the request asks for; a measure that raises is told in `measure_error`."""
    wanted, metric = trainer.request.measured, trainer.request.judged_by[0].metric
    if not wanted:
        return {}
    judged = metric if metric in trainer.task.directions else None
    try:
        return measure(wanted, module, trainer.task, trainer.dataset, device=trainer.device, metric=judged)
    except Exception as error:  # a network that cannot be quantised, say: its trial must not cost the others
        log.warning("measure failed", error=repr(error))
        return {"measure_error": f"{type(error).__name__}: {error}"}


def values_of(objectives: Sequence[ObjectiveInfo], metrics: Mapping[str, Any]) -> list[float]:
    """A trial's values in the order of the objectives; NaN for one that is not known."""
    names = [objective.metric for objective in objectives]
    found = [metrics.get(f"validation_{name}", metrics.get(name)) for name in names]
    return [math.nan if value is None else float(value) for value in found]


def ending(search: Search, claim: Claim, outcome: TrainingOutcome) -> Finish:
    """How a run ends whose training ended so: one trained to its end may lack a value."""
    metrics = outcome.metrics
    if outcome.state == "failed":
        return Finish(claim, "failed", (), metrics, outcome.reason, outcome.detail)
    objectives = search.prepared.objectives if claim.is_trial else [search.compared_by]
    values = values_of(objectives, metrics)
    if outcome.state == "pruned" and not math.isfinite(values[0]):  # measured at the end, which it has not reached
        return Finish(claim, "pruned", (), metrics)
    if (claim.is_trial and "measure_error" in metrics) or not all(map(math.isfinite, values)):
        return Finish(claim, "failed", (), metrics, *_failure(objectives, values, metrics))
    return Finish(claim, outcome.state, values, metrics)


def _failure(
    objectives: Sequence[ObjectiveInfo], values: Sequence[float], metrics: Mapping[str, Any]
) -> tuple[FailureReason, str]:
    """Why a run that was trained to its end has no value."""
    if "measure_error" in metrics:
        return FailureReason.invalid, str(metrics["measure_error"])
    wrong = [(o.metric, value) for o, value in zip(objectives, values, strict=True) if not math.isfinite(value)]
    detail = ", ".join(f"{name} on the validation part is {value}" for name, value in wrong)
    missing = any(f"validation_{name}" not in metrics and name not in metrics for name, _ in wrong)
    return (FailureReason.invalid if missing else FailureReason.diverged), detail
