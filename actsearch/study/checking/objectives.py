"""What trials are judged by: a task's metrics and the costs of the finished network."""

from __future__ import annotations

from collections.abc import Iterator

from actsearch.errors import FieldProblem, unknown
from actsearch.schemas import JobRequest, Measure, Objective, ObjectiveInfo
from actsearch.schemas.samplers import samplers_that
from actsearch.tasks import Dataset, Task

_MEASURES = {measure.value: measure for measure in Measure}


def objectives_of(request: JobRequest, task: Task) -> tuple[ObjectiveInfo, ...]:
    """The objectives of a checked request, the one that rankings use first."""
    return tuple(_info(objective, task) for objective in request.judged_by)


def _info(objective: Objective, task: Task) -> ObjectiveInfo:
    name = objective.metric or task.metric
    own = task.directions[name] if name in task.directions else _MEASURES[name].direction
    return ObjectiveInfo(metric=name, direction=objective.direction or own)


def objective_problems(request: JobRequest, task: Task, dataset: Dataset) -> Iterator[FieldProblem]:
    """What is wrong with the objectives of a request.

    Args:
        request: whose objectives are checked.
        task: whose metrics may be objectives.
        dataset: must define them: R² of a constant target, say, means nothing.
    """
    several = bool(request.objectives)
    allowed = (*task.directions, *_MEASURES)
    undefined = _undefined(request, task, dataset)
    seen: set[str] = set()
    for place, objective in enumerate(request.judged_by):
        field = f"objectives.{place}.metric" if several else "objective.metric"
        name = objective.metric or task.metric
        if name not in allowed:
            yield FieldProblem(field, f"task {task.name}: {unknown('metric', name, allowed)}", allowed)
        if name in undefined:
            yield FieldProblem(field, undefined[name], tuple(n for n in allowed if n not in undefined))
        if name in seen:
            yield FieldProblem(field, f"{name} is an objective already; leave one out")
        seen.add(name)
    if len(request.judged_by) > 1:
        yield from _several_problems(request)
    elif request.judged_by[0].metric in _MEASURES and request.pruner.insists:
        message = f"{request.judged_by[0].metric} is known at the end of a trial only: nothing to prune by; use none"
        yield FieldProblem("pruner", message, ("none",))


def _undefined(request: JobRequest, task: Task, dataset: Dataset) -> dict[str, str]:
    """Metrics that mean nothing on a part that trials or the verdict are judged on, and why."""
    parts = {"validation": dataset.validation}
    if dataset.test is not None and request.confirmation_wanted is not None:
        parts["test"] = dataset.test
    return {
        name: f"{name} is undefined on the {part} part: {reason}; choose another metric or other data for that part"
        for part, samples in parts.items()
        for name, reason in task.undefined(samples, dataset.outputs).items()
    }


def _several_problems(request: JobRequest) -> Iterator[FieldProblem]:
    if request.pruner.insists:
        message = "trials with several objectives cannot be pruned (Optuna compares one value); use none"
        yield FieldProblem("pruner", message, ("none",))
    if not request.sampler.several_objectives:
        allowed = samplers_that(lambda sampler: sampler.several_objectives)
        message = f"{request.sampler.name} takes a single objective; choose one of: {', '.join(allowed)}"
        yield FieldProblem("sampler", message, allowed)
