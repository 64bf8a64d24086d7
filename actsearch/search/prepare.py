"""Checking a request against the catalogue, before anything is created."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from actsearch.activations import EXPRESSION, GRAMMAR, Family, expression_family, families, family_of, resolve
from actsearch.architectures import (
    Architecture,
    InputSpec,
    architectures,
    get_architecture,
    resolve_parameters,
    site_names,
)
from actsearch.errors import FieldProblem, InvalidRequest, NotFound
from actsearch.schemas import (
    ActivationSpec,
    Choices,
    FamilyChoice,
    FamilyTags,
    JobRequest,
    ObjectiveInfo,
    ParameterInfo,
    Range,
    Scalar,
)
from actsearch.schemas.samplers import GridSampler
from actsearch.search.constraints import parameter_count
from actsearch.search.exhaustive import discrete_space, sampler_problems
from actsearch.search.expressions import expression_problems, same_function_problems
from actsearch.search.objectives import objective_problems, objectives_of
from actsearch.space import (
    EVERYWHERE,
    Space,
    Suggestion,
    choice_label,
    chosen_families,
    compile_space,
    group_prefix,
    groups_of,
    tagged,
)
from actsearch.tasks import Dataset, Task, get_task, load
from actsearch.tasks import resolve_parameters as resolve_task_parameters

Checked = TypeVar("Checked")

_TRAINING_LIMITS = {
    "learning_rate": (0.0, 1000.0),
    "weight_decay": (0.0, 1000.0),
    "momentum": (0.0, 1.0),
    "initial_scale": (0.0, 100.0),
}
_ABOVE_ZERO = ("learning_rate", "initial_scale")


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
    """

    request: JobRequest
    objective: ObjectiveInfo
    objectives: Sequence[ObjectiveInfo]
    baseline: ActivationSpec
    baselines: Callable[[Mapping[str, Scalar]], Mapping[str, ActivationSpec]]
    baseline_parameters: Mapping[str, Scalar]
    space: Space
    input_spec: InputSpec

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
    return prepare_on(request, get_task(request.task.name), get_architecture(request.architecture.name), _load(request))


def prepare_on(request: JobRequest, task: Task, architecture: Architecture, dataset: Dataset) -> PreparedJob:
    """`prepare` on a task, an architecture and data that need not be in the catalogue.

    Raises:
        InvalidRequest: see `prepare`.
    """
    problems = list(_family_name_problems(request))
    if problems:
        raise InvalidRequest(*problems)
    problems += _fit_problems(request, task, architecture, dataset)
    problems += _space_problems(request, architecture)
    if problems:
        raise InvalidRequest(*problems)
    return _prepared(request, task, architecture, dataset)


def input_spec(dataset: Dataset) -> InputSpec:
    """What an architecture must fit to train on a dataset."""
    return InputSpec(dataset.input_kind, dataset.input_shape, dataset.outputs)


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
    if isinstance(request.sampler, GridSampler):
        space = discrete_space(space, request.sampler.points, most.values())
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
        get_task(request.task.name)
    except NotFound as error:
        yield _unknown("task.name", "task", request.task.name, error.allowed)
    except InvalidRequest as error:
        yield from (FieldProblem("task.name", problem.message, problem.allowed) for problem in error.problems)
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
    for i, choice in enumerate(_choices(request)):
        if isinstance(choice, FamilyTags):
            yield from _tag_problems(f"space.families.{i}", choice.tags)
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
    return FieldProblem(field, f"there is no {kind} {name!r}; choose one of `allowed`", allowed)


def _tag_problems(field: str, tags: Sequence[str]) -> Iterator[FieldProblem]:
    known = tuple(dict.fromkeys(tag for family in families().values() for tag in family.tags))
    for i, tag in enumerate(tags):
        if tag not in known:
            yield _unknown(f"{field}.tags.{i}", "tag", tag, known)
    if set(tags) <= set(known) and not tagged(tags):
        yield FieldProblem(f"{field}.tags", f"no family is {' and '.join(tags)}; leave a tag out")


def _choices(request: JobRequest) -> Sequence[FamilyChoice | FamilyTags]:
    return [] if request.space.families == "all" else request.space.families


def _load(request: JobRequest) -> Dataset:
    task = get_task(request.task.name)
    parameters = _checked("task.parameters", lambda: resolve_task_parameters(task, request.task.parameters))
    return load(task.name, parameters)


def _fit_problems(
    request: JobRequest, task: Task, architecture: Architecture, dataset: Dataset
) -> Iterator[FieldProblem]:
    if dataset.input_kind not in architecture.inputs:
        fitting = tuple(n for n, a in architectures().items() if dataset.input_kind in a.inputs)
        message = f"{architecture.name} takes {' or '.join(architecture.inputs)} inputs; task {task.name} has"
        yield FieldProblem("architecture.name", f"{message} {dataset.input_kind} inputs; choose another", fitting)
    yield from objective_problems(request, task)
    try:
        resolve_parameters(architecture, request.architecture.parameters)
    except InvalidRequest as error:
        yield from _under("architecture.parameters", error)
    try:
        resolve(request.baseline or architecture.baseline)
    except InvalidRequest as error:
        yield from _under("baseline", error)


def _space_problems(request: JobRequest, architecture: Architecture) -> Iterator[FieldProblem]:
    choices = _choices(request)
    yield from list(_choice_problems(choices)) or same_function_problems("space.families", choices)
    declared = {info.name: info for info in architecture.parameters}
    for name, searched in request.space.architecture.items():
        yield from _architecture_problems(f"space.architecture.{name}", name, searched, declared)
    for name, searched in request.space.training.items():
        low, high = _TRAINING_LIMITS[name]
        yield from _limit_problems(f"space.training.{name}", searched, low, high, open_low=name in _ABOVE_ZERO)
        if name == "momentum" and request.training.optimizer != "sgd":
            yield FieldProblem("space.training.momentum", "only sgd has a momentum; set training.optimizer to sgd")


def _choice_problems(choices: Sequence[FamilyChoice | FamilyTags]) -> Iterator[FieldProblem]:
    seen: set[str] = set()
    listed = {choice.name for choice in chosen_families(choices)}
    for i, choice in enumerate(choices):
        if isinstance(choice, FamilyTags):
            continue
        label = choice_label(choice)
        if label in seen:
            yield FieldProblem(f"space.families.{i}.name", f"{label} is listed twice; leave one out")
        seen.add(label)
        if choice.name == GRAMMAR:
            continue
        other = None if choice.expression else families()[choice.name].alias_of
        if other in listed:
            message = f"{choice.name} is another name of {other}, which is listed too; leave one out"
            yield FieldProblem(f"space.families.{i}.name", message)
        yield from _family_problems(f"space.families.{i}", choice)


def _family_problems(field: str, choice: FamilyChoice) -> Iterator[FieldProblem]:
    family = expression_family(choice.expression) if choice.expression else families()[choice.name]
    declared = family.parameters
    for name in declared:
        if choice.expression and name not in choice.parameters:
            message = f"{name} is a parameter of the expression; give it a value or a range"
            yield FieldProblem(f"{field}.parameters.{name}", message)
    for name, wanted in choice.parameters.items():
        if name not in declared:
            message = f"{choice.name} has no hyperparameter {name!r}"
            yield FieldProblem(f"{field}.parameters.{name}", message, tuple(declared))
            continue
        parameter = declared[name]
        if isinstance(wanted, Choices) and any(isinstance(value, str | bool) for value in wanted.choices):
            yield FieldProblem(f"{field}.parameters.{name}.choices", f"{name} is a number; give numbers")
        yield from _limit_problems(f"{field}.parameters.{name}", wanted, parameter.low, parameter.high)
        if parameter.whole:
            yield from _whole_problems(f"{field}.parameters.{name}", name, wanted)
        if parameter.needs is not None:
            yield from _need_problems(f"{field}.parameters.{name}", name, choice, family)
    if choice.learned in ("scalar", "channel") and "learnable" not in family.tags:
        yield FieldProblem(f"{field}.learned", f"{choice.name} has no parameter that can be learned", ("fixed",))


def _architecture_problems(
    field: str, name: str, searched: Range | Choices, declared: Mapping[str, ParameterInfo]
) -> Iterator[FieldProblem]:
    if name not in declared:
        yield FieldProblem(field, f"the architecture has no parameter {name!r}", tuple(declared))
        return
    info = declared[name]
    if isinstance(searched, Range) and info.type not in ("int", "float"):
        yield FieldProblem(field, f"{name} is no number; give choices", tuple(map(str, info.choices or (True, False))))
        return
    if info.choices is not None and isinstance(searched, Choices):
        wrong = [c for c in searched.choices if c not in info.choices]
        if wrong:
            yield FieldProblem(f"{field}.choices", f"not allowed: {wrong}", tuple(map(str, info.choices)))
        return
    if info.type == "int" and isinstance(searched, Range):
        yield from _whole_problems(field, name, searched)
    yield from _limit_problems(field, searched, info.low, info.high)


def _whole_problems(field: str, name: str, wanted: Range | Choices | float) -> Iterator[FieldProblem]:
    numbers = [value for _, value in _ends(wanted) if isinstance(value, int | float)]
    steps = [wanted.step] if isinstance(wanted, Range) and wanted.step is not None else []
    if any(value != int(value) for value in [*numbers, *steps]):
        yield FieldProblem(field, f"{name} is a whole number; its values, and the step of a range, must be whole too")


def _need_problems(field: str, name: str, choice: FamilyChoice, family: Family) -> Iterator[FieldProblem]:
    """A hyperparameter that no trial can use."""
    other, least = family.parameters[name].needs or ("", 0)
    wanted = choice.parameters.get(other, family.parameters[other].default)
    if all(value < least for _, value in _ends(wanted) if isinstance(value, int | float)):
        yield FieldProblem(field, f"{name} is in use only with {other} >= {least}, which is not searched; leave it out")


def _limit_problems(
    field: str, searched: Range | Choices | float, low: float | None, high: float | None, *, open_low: bool = False
) -> Iterator[FieldProblem]:
    for end, value in _ends(searched):
        if isinstance(value, str | bool):
            continue
        below = low is not None and (value < low or (open_low and value == low))
        if below or (high is not None and value > high):
            where = f"{field}.{end}" if end else field
            yield FieldProblem(where, f"{value:g} is outside {'(' if open_low else '['}{low:g}, {high:g}]")


def _ends(searched: Range | Choices | float) -> Sequence[tuple[str, Scalar]]:
    if isinstance(searched, Range):
        return [("low", searched.low), ("high", searched.high)]
    if isinstance(searched, Choices):
        return [(f"choices.{i}", choice) for i, choice in enumerate(searched.choices)]
    return [("", searched)]


def _under(prefix: str, error: InvalidRequest) -> Iterator[FieldProblem]:
    for problem in error.problems:
        yield FieldProblem(f"{prefix}.{problem.field}", problem.message, problem.allowed)
