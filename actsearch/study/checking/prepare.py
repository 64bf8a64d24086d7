"""Checking a request against the catalogue, before anything is created."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from actsearch.activations import EXPRESSION, GRAMMAR, families, family_of, resolve
from actsearch.architectures import (
    Architecture,
    InputSpec,
    architectures,
    get_architecture,
    resolve_parameters,
    site_names,
)
from actsearch.errors import FieldProblem, InvalidRequest, NotFound, unknown
from actsearch.schemas import (
    ActivationSpec,
    FamilyTags,
    JobRequest,
    ObjectiveInfo,
    Range,
    Scalar,
)
from actsearch.space import (
    EVERYWHERE,
    Space,
    Suggestion,
    compile_space,
    group_prefix,
    groups_of,
    tagged,
)
from actsearch.study.checking.constraints import parameter_count
from actsearch.study.checking.expressions import expression_problems
from actsearch.study.checking.objectives import objective_problems, objectives_of
from actsearch.study.checking.sampler_problems import discrete_space, sampler_problems
from actsearch.study.checking.space_problems import listed_choices, space_problems
from actsearch.study.checking.stand_ins import with_stand_ins
from actsearch.tasks import Dataset, Task, get_task, load
from actsearch.tasks import resolve_parameters as resolve_task_parameters
from actsearch.tasks.parts import rows

Checked = TypeVar("Checked")


@dataclass(frozen=True)
class PreparedJob:
    """A request that can be carried out.

    Args:
        request: the request, unchanged.
        objective: what trials are ranked by; the first of `objectives`.
        objectives: all that trials are judged by.
        baseline: the baseline with all its parameters.
        baselines: the baseline's activations in a network with some searched architecture parameters: `baseline`
            everywhere, but by group where a group has a role (`Architecture.role_baselines`).
        baseline_parameters: Optuna's parameters of trial 0, the baseline.
        space: the compiled search space.
        input_spec: what the networks must fit.
        notes: what was guessed of the data.
    """

    request: JobRequest
    objective: ObjectiveInfo
    objectives: Sequence[ObjectiveInfo]
    baseline: ActivationSpec
    baselines: Callable[[Mapping[str, Scalar]], Mapping[str, ActivationSpec]]
    baseline_parameters: Mapping[str, Scalar]
    space: Space
    input_spec: InputSpec
    notes: Sequence[str] = ()

    @property
    def baseline_architecture(self) -> dict[str, Scalar]:
        """The searched architecture parameters of trial 0."""
        start = "architecture."
        return {n.removeprefix(start): v for n, v in self.baseline_parameters.items() if n.startswith(start)}

    @property
    def baseline_activations(self) -> Mapping[str, ActivationSpec]:
        """The activations of trial 0, by group."""
        return self.baselines(self.baseline_architecture)


def prepare(request: JobRequest) -> PreparedJob:
    """Check every name and range of a request against the catalogue.

    Raises:
        InvalidRequest: naming each offending field, what is wrong and what is allowed.
    """
    problems = [*_place_problems(request), *_family_name_problems(request)]
    if problems:
        raise InvalidRequest(*problems)
    return prepare_on(request, _task(request), get_architecture(request.architecture.name), _load(request))


def prepare_on(request: JobRequest, task: Task, architecture: Architecture, dataset: Dataset) -> PreparedJob:
    """`prepare` on a task, an architecture and data that need not be in the catalogue.

    Raises:
        InvalidRequest: see `prepare`.
    """
    problems = list(_family_name_problems(request))
    if problems:
        raise InvalidRequest(*problems)
    problems += _fit_problems(request, task, architecture, dataset)
    problems += space_problems(request, architecture)
    if problems:
        raise InvalidRequest(*problems)
    return _prepared(request, task, architecture, dataset)


def input_spec(dataset: Dataset) -> InputSpec:
    """What an architecture must fit to train on a dataset."""
    example = rows(dataset.train[0], slice(1)) if dataset.input_kind == "several" else None
    return InputSpec(dataset.input_kind, dataset.input_shape, dataset.outputs, example)


def _prepared(request: JobRequest, task: Task, architecture: Architecture, dataset: Dataset) -> PreparedJob:
    baseline = _checked("baseline", lambda: resolve(request.baseline or architecture.baseline))
    parameters = resolve_parameters(architecture, request.architecture.parameters)
    groups = _groups(request, architecture, input_spec(dataset))
    baselines = _baselines(architecture, baseline, groups)
    most = baselines(_largest(request))  # of all groups that the search can meet, if some have a role
    space = compile_space(
        request.model_copy(update={"baseline": baseline}),
        list(groups(_largest(request))),
        architecture.parameters,
        (lambda searched: list(groups(searched))) if request.space.architecture else None,
        most.values(),
    )
    space = with_stand_ins(space, request, architecture, input_spec(dataset), baseline)
    if request.sampler.range_points is not None:
        space = discrete_space(space, request.sampler.range_points, most.values())
    problems = tuple(sampler_problems(request, space))
    if problems:
        raise InvalidRequest(*problems)
    objectives = objectives_of(request, task)
    prepared = PreparedJob(
        request=request,
        objective=objectives[0],
        objectives=objectives,
        baseline=baseline,
        baselines=baselines,
        baseline_parameters=_baseline_parameters(request, most, space, parameters),
        space=space,
        input_spec=input_spec(dataset),
        notes=task.notes,
    )
    _check_constraints(prepared)
    return prepared


_Groups = Callable[[Mapping[str, Scalar]], Mapping[str, str | None]]
"""Groups of the network with some searched architecture parameters, and the role of each."""


def _groups(request: JobRequest, architecture: Architecture, spec: InputSpec) -> _Groups:
    """Gives the groups of a network; remembers them."""
    found: dict[str, dict[str, str | None]] = {}

    def groups(searched: Mapping[str, Scalar]) -> Mapping[str, str | None]:
        key = repr(sorted(searched.items()))
        if key not in found:
            sites = site_names(architecture, {**request.architecture.parameters, **searched}, spec)
            found[key] = groups_of(request.space.placement, sites, architecture.role_baselines)
        return found[key]

    return groups


def _baselines(
    architecture: Architecture, baseline: ActivationSpec, groups: _Groups
) -> Callable[[Mapping[str, Scalar]], Mapping[str, ActivationSpec]]:
    """See `PreparedJob.baselines`."""
    roles = {role: resolve(spec) for role, spec in architecture.role_baselines.items()}

    def baselines(searched: Mapping[str, Scalar]) -> Mapping[str, ActivationSpec]:
        found = groups(searched) if roles else {}
        if not any(found.values()):
            return {EVERYWHERE: baseline}
        return {group: baseline if role is None else roles[role] for group, role in found.items()}

    return baselines


def _check_constraints(prepared: PreparedJob) -> None:
    """Trial 0 must keep to the constraints: a job without its baseline could not say anything."""
    limit = prepared.request.space.constraints.max_parameters
    if limit is None:
        return
    baseline = Suggestion(prepared.baseline_activations, prepared.baseline_architecture, {})
    count = parameter_count(prepared.request, prepared.input_spec, baseline)
    if count > limit:
        message = f"the baseline's network has {count} parameters; raise the limit or choose a smaller network"
        raise InvalidRequest(FieldProblem("space.constraints.max_parameters", message))


def _largest(request: JobRequest) -> dict[str, Scalar]:
    """Searched numbers at their largest, and what may be on, on: the network with the most sites there can be."""
    largest: dict[str, Scalar] = {}
    for name, searched in request.space.architecture.items():
        values = [searched.high] if isinstance(searched, Range) else searched.choices
        if all(isinstance(value, bool) for value in values):
            largest[name] = any(values)
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            largest[name] = max(float(value) for value in values)
    return largest


def _baseline_parameters(
    request: JobRequest, baselines: Mapping[str, ActivationSpec], space: Space, architecture: Mapping[str, Scalar]
) -> dict[str, Scalar]:
    """Trial 0 in Optuna's terms: the baseline, everything else at the request's own values where the space has them."""
    found: dict[str, Scalar] = {}
    for group in space.groups:
        prefix, baseline = group_prefix(group), baselines.get(group) or baselines[EVERYWHERE]
        declared = family_of(baseline).parameters
        found[f"{prefix}family"] = baseline.label
        for name in space.families[baseline.label].searched:
            its_own = baseline.parameters.get(name, declared[name].default)
            found[f"{prefix}{baseline.label}.{name}"] = int(its_own) if declared[name].whole else its_own
    searched = {f"architecture.{n}": (architecture.get(n), d) for n, d in space.architecture.items()}
    searched |= {f"training.{n}": (getattr(request.training, n), d) for n, d in space.training.items()}
    for name, (value, dist) in searched.items():
        found[name] = _inside(value, dist)
    return found


def _inside(value: Scalar | None, dist: object) -> Scalar:
    """`value` when the distribution has it, else what is nearest in it (of words, the first)."""
    if isinstance(dist, CategoricalDistribution):
        return _nearest(value, dist.choices)  # type: ignore[arg-type]
    if isinstance(dist, IntDistribution | FloatDistribution):
        number = min(max(float(value or 0), dist.low), dist.high)
        if dist.step:
            number = dist.low + round((number - dist.low) / dist.step) * dist.step
        return int(number) if isinstance(dist, IntDistribution) else number
    raise TypeError(f"no default inside {dist!r}")


def _nearest(value: Scalar | None, choices: Sequence[Scalar]) -> Scalar:
    if value in choices:
        return value  # type: ignore[return-value]
    if isinstance(value, str | bool | None) or any(isinstance(choice, str | bool) for choice in choices):
        return choices[0]
    return min(choices, key=lambda choice: abs(float(choice) - value))


# --- what can be wrong ----------------------------------------------------------------------------


def _place_problems(request: JobRequest) -> Iterator[FieldProblem]:
    try:
        _task(request)
    except NotFound as error:
        yield _unknown("task.name", "task", request.task.name, error.allowed)
    except InvalidRequest as error:
        yield from error.problems
    try:
        get_architecture(request.architecture.name)
    except NotFound as error:
        yield _unknown("architecture.name", "architecture", request.architecture.name, error.allowed)
    except InvalidRequest as error:
        yield from error.problems


def _family_name_problems(request: JobRequest) -> Iterator[FieldProblem]:
    known = (*families(), EXPRESSION)
    if request.baseline is not None and request.baseline.family not in known:
        yield _unknown("baseline.family", "family", request.baseline.family, known)
    for i, choice in enumerate(listed_choices(request)):
        if isinstance(choice, FamilyTags):
            yield from _tag_problems(f"space.families.{i}", choice)
        elif choice.name not in (*known, GRAMMAR):
            yield _unknown(f"space.families.{i}.name", "family", choice.name, (*known, GRAMMAR))
        else:
            yield from expression_problems(f"space.families.{i}", choice)


def _checked(prefix: str, call: Callable[[], Checked]) -> Checked:
    try:
        return call()
    except InvalidRequest as error:
        raise InvalidRequest(*_under(prefix, error)) from error


def _unknown(field: str, kind: str, name: str, allowed: tuple[str, ...]) -> FieldProblem:
    return FieldProblem(field, unknown(kind, name, allowed), allowed)


def _tag_problems(field: str, choice: FamilyTags) -> Iterator[FieldProblem]:
    known = tuple(dict.fromkeys(tag for family in families().values() for tag in family.tags))
    for i, tag in enumerate(choice.tags):
        if tag not in known:
            yield _unknown(f"{field}.tags.{i}", "tag", tag, known)
    if set(choice.tags) <= set(known) and not tagged(choice):
        words = [*choice.tags, *([] if choice.since is None else [f"published in {choice.since} or later"])]
        yield FieldProblem(field, f"no family is {' and '.join(words)}; leave a tag out or name an earlier year")


def _task(request: JobRequest) -> Task:
    """The task asked for.

    Raises:
        NotFound: there is none of that name.
        InvalidRequest: own data that cannot be used; names `task.name` or `task.parameters.<name>`.
    """
    try:
        return get_task(request.task.name, request.task.parameters)
    except InvalidRequest as error:
        raise InvalidRequest(*(_of_task(problem) for problem in error.problems)) from error


def _of_task(problem: FieldProblem) -> FieldProblem:
    field = problem.field if problem.field == "task.name" else f"task.parameters.{problem.field}"
    return FieldProblem(field, problem.message, problem.allowed)


def _load(request: JobRequest) -> Dataset:
    task = _task(request)
    _checked("task.parameters", lambda: resolve_task_parameters(task, request.task.parameters))
    return load(task.name, request.task.parameters)


def _fit_problems(
    request: JobRequest, task: Task, architecture: Architecture, dataset: Dataset
) -> Iterator[FieldProblem]:
    if dataset.input_kind not in architecture.inputs:
        fitting = tuple(n for n, a in architectures().items() if dataset.input_kind in a.inputs)
        message = f"{architecture.name} takes {' or '.join(architecture.inputs)} inputs; task {task.name} has"
        yield FieldProblem("architecture.name", f"{message} {dataset.input_kind} inputs; choose another", fitting)
    yield from objective_problems(request, task, dataset)
    try:
        resolve_parameters(architecture, request.architecture.parameters)
    except InvalidRequest as error:
        yield from _under("architecture.parameters", error)
    try:
        resolve(request.baseline or architecture.baseline)
    except InvalidRequest as error:
        yield from _under("baseline", error)


def _under(prefix: str, error: InvalidRequest) -> Iterator[FieldProblem]:
    for problem in error.problems:
        yield FieldProblem(f"{prefix}.{problem.field}", problem.message, problem.allowed)
