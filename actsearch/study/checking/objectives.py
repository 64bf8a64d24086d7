"""What trials are judged by: a task's metrics and the costs of the finished network."""

from __future__ import annotations

from collections.abc import Iterator

from actsearch.errors import FieldProblem
from actsearch.schemas import JobRequest, Measure, Objective, ObjectiveInfo
from actsearch.schemas.samplers import samplers_that
from actsearch.tasks import Task

_MEASURES = {measure.value: measure for measure in Measure}


def objectives_of(request: JobRequest, task: Task) -> tuple[ObjectiveInfo, ...]:
    """The objectives of a checked request, the one that rankings use first."""
    return tuple(_info(objective, task) for objective in request.judged_by)


def _info(objective: Objective, task: Task) -> ObjectiveInfo:
    name = objective.metric or task.metric
    own = task.directions[name] if name in task.directions else _MEASURES[name].direction
    return ObjectiveInfo(metric=name, direction=objective.direction or own)


def objective_problems(request: JobRequest, task: Task) -> Iterator[FieldProblem]:
    """What is wrong with the objectives of a request."""
    several = bool(request.objectives)
    allowed = (*task.directions, *_MEASURES)
    seen: set[str] = set()
    for place, objective in enumerate(request.judged_by):
        field = f"objectives.{place}.metric" if several else "objective.metric"
        name = objective.metric or task.metric
        if name not in allowed:
            yield FieldProblem(field, f"task {task.name} has no metric {name!r}; choose one of `allowed`", allowed)
        if name in seen:
            yield FieldProblem(field, f"{name} is an objective already; leave one out")
        seen.add(name)
    if len(request.judged_by) > 1:
        yield from _several_problems(request)
    elif request.judged_by[0].metric in _MEASURES and request.pruner.insists:
        message = f"{request.judged_by[0].metric} is known at the end of a trial only: nothing to prune by; use none"
        yield FieldProblem("pruner", message, ("none",))


def _several_problems(request: JobRequest) -> Iterator[FieldProblem]:
    if request.pruner.insists:
        message = "trials with several objectives cannot be pruned (Optuna compares one value); use none"
        yield FieldProblem("pruner", message, ("none",))
    if not request.sampler.several_objectives:
        allowed = samplers_that(lambda sampler: sampler.several_objectives)
        message = f"{request.sampler.name} takes a single objective; choose one of: {', '.join(allowed)}"
        yield FieldProblem("sampler", message, allowed)
