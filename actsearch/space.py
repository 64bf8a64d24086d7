"""Search spaces: from a request to Optuna suggestions, and from a trial's suggestions to a candidate."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from optuna import Trial
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from actsearch.activations import (
    EXPRESSION,
    GRAMMAR,
    Grammar,
    distinct_families,
    expression_family,
    family_of,
    get_family,
    resolve,
)
from actsearch.activations.declaration import Family, Parameter
from actsearch.activations.expressions.grammar import compose, used_parameters
from actsearch.schemas import (
    ActivationSpec,
    Choices,
    FamilyChoice,
    FamilyTags,
    JobRequest,
    ParameterInfo,
    Placement,
    Range,
    Scalar,
)

Distributions = Mapping[str, BaseDistribution]
EVERYWHERE = "network"


@dataclass(frozen=True)
class FamilySpace:
    """A family with what is searched of it.

    Args:
        fixed: hyperparameters with one value.
        searched: distributions by hyperparameter name.
        expression: the function, where the family is `expression`.
        grammar: where the sampler makes up the expression.
    """

    name: str
    fixed: Mapping[str, float]
    searched: Distributions
    learned: str | None
    expression: str | None = None
    grammar: Grammar | None = None


@dataclass(frozen=True)
class Space:
    """A request's search space, ready to be suggested from.

    Args:
        groups: what is chosen apart: `network`, or the names of stages, or of sites.
        families: the families to choose from, by name, in the order of the request.
        architecture, training: distributions of the other searched parameters, by name.
        groups_in: the groups that a network with given architecture parameters has, where these are searched: a
            shallower one has fewer sites. None where all networks have all `groups`.
        stand_ins: by group, (activation, what stands in for it): the catalogue's activation that the network as given
            computes there anyway, and `as given`.
    """

    groups: Sequence[str]
    families: Mapping[str, FamilySpace]
    architecture: Distributions
    training: Distributions
    groups_in: Callable[[Mapping[str, Scalar]], Sequence[str]] | None = None
    stand_ins: Mapping[str, tuple[ActivationSpec, ActivationSpec]] = field(default_factory=dict)


@dataclass(frozen=True)
class Suggestion:
    """What a trial's parameters mean: see `training.Candidate`."""

    activations: Mapping[str, ActivationSpec]
    architecture: Mapping[str, Scalar]
    training: Mapping[str, float]

    @property
    def family(self) -> str:
        """The family, or the different families joined by `+`."""
        return "+".join(dict.fromkeys(spec.label for spec in self.activations.values()))


def compile_space(
    request: JobRequest,
    groups: Sequence[str],
    architecture: Sequence[ParameterInfo],
    groups_in: Callable[[Mapping[str, Scalar]], Sequence[str]] | None = None,
    role_baselines: Iterable[ActivationSpec] = (),
) -> Space:
    """The search space of a request whose names and ranges have been checked, and its baseline set (`search.prepare`).

    Args:
        groups, groups_in: see `Space`.
        architecture: the parameters that the architecture declares.
        role_baselines: further baselines, of groups with a role.
    """
    spaces = {choice_label(choice): _choice_space(choice) for choice in chosen_families(request.space.families)}
    baseline = request.baseline
    if baseline is None:
        raise ValueError("the baseline is not known yet")
    for one in (baseline, *role_baselines):
        if one.label not in spaces:
            given = {name: p.default for name, p in family_of(one).parameters.items()} | one.parameters
            spaces[one.label] = FamilySpace(one.family, given, {}, one.learned, one.expression)
        else:
            spaces[one.label] = with_baseline(spaces[one.label], one)
    types = {info.name: info.type for info in architecture}
    return Space(
        groups=tuple(groups),
        families=spaces,
        architecture={n: distribution(s, types[n]) for n, s in request.space.architecture.items()},
        training={n: distribution(s, "float") for n, s in request.space.training.items()},
        groups_in=groups_in,
    )


def chosen_families(wanted: Literal["all"] | Sequence[FamilyChoice | FamilyTags]) -> list[FamilyChoice]:
    """The families that a request means, each once, in the order in which it first mentions them."""
    chosen: dict[str, FamilyChoice] = {}
    for choice in [FamilyTags(tags=[])] if wanted == "all" else wanted:
        if isinstance(choice, FamilyTags):
            chosen |= {name: FamilyChoice(name=name) for name in tagged(choice) if name not in chosen}
        else:
            chosen[choice_label(choice)] = choice
    return list(chosen.values())


def tagged(wanted: FamilyTags) -> list[str]:
    """Names of the families that have all the tags and are of that year or later, in catalogue order, each once."""

    def fits(family: Family) -> bool:
        recent = wanted.since is None or (family.year is not None and family.year >= wanted.since)
        return recent and set(wanted.tags) <= set(family.tags)

    return [name for name, family in distinct_families().items() if fits(family)]


def choice_label(choice: FamilyChoice) -> str:
    """What a choice is called in Optuna: its name, or the expression as `Expression.text` writes it."""
    return choice.name if choice.expression is None else expression_family(choice.expression).formula


def chosen_grammar(choice: FamilyChoice) -> Grammar:
    """The grammar of a choice called `grammar`.

    Raises:
        InvalidRequest: for a depth out of range or unknown operators.
    """
    return Grammar(2 if choice.depth is None else choice.depth, tuple(choice.operators or ()))


def _choice_space(choice: FamilyChoice) -> FamilySpace:
    if choice.name == GRAMMAR:
        return FamilySpace(EXPRESSION, {}, {}, choice.learned, grammar=chosen_grammar(choice))
    family = get_family(choice.name) if choice.expression is None else expression_family(choice.expression)
    return _family_space(family, choice)


def _family_space(family: Family, choice: FamilyChoice) -> FamilySpace:
    fixed: dict[str, float] = {}
    searched: dict[str, BaseDistribution] = {}
    for name, parameter in family.parameters.items():
        wanted = choice.parameters.get(name)
        if wanted is None and not parameter.searched:
            fixed[name] = parameter.default
        elif wanted is None:
            searched[name] = _number(parameter)
        elif isinstance(wanted, Range | Choices):
            searched[name] = distribution(wanted, "int" if parameter.whole else "float")
        else:
            fixed[name] = wanted
    text = None if choice.expression is None else family.formula
    return FamilySpace(family.name, fixed, searched, choice.learned, text)


def with_baseline(family: FamilySpace, baseline: ActivationSpec) -> FamilySpace:
    """The baseline's family with the baseline's values among its choices: trial 0 is a point of the space."""

    def joined(name: str, dist: BaseDistribution) -> BaseDistribution:
        value = baseline.parameters.get(name)
        if not isinstance(dist, CategoricalDistribution) or value is None or value in dist.choices:
            return dist
        return CategoricalDistribution([*dist.choices, value])

    return replace(family, searched={name: joined(name, dist) for name, dist in family.searched.items()})


def distribution(searched: Range | Choices, kind: str) -> BaseDistribution:
    """The Optuna distribution of a range or a set of choices; `kind` is the parameter's type (`ParameterInfo.type`)."""
    if isinstance(searched, Choices):
        return CategoricalDistribution(searched.choices)
    if kind == "int":
        return IntDistribution(int(searched.low), int(searched.high), log=searched.log, step=int(searched.step or 1))
    return FloatDistribution(searched.low, searched.high, log=searched.log, step=searched.step)


def suggest(trial: Trial, space: Space) -> Suggestion:
    """Ask the study's sampler for a trial's parameters and say what they mean.

    Optuna names: `family`, `FAMILY.PARAMETER` (`grammar.PLACE` for the operators of a grammar), `architecture.NAME`,
    `training.NAME`; with a placement finer than `network`, all but the last two are prefixed by `GROUP/`.
    """
    architecture = {n: _suggest(trial, f"architecture.{n}", d) for n, d in space.architecture.items()}
    groups = space.groups if space.groups_in is None else space.groups_in(architecture)
    return Suggestion(
        activations={group: _suggest_activation(trial, space, group) for group in groups},
        architecture=architecture,
        training={n: float(_suggest(trial, f"training.{n}", d)) for n, d in space.training.items()},
    )


def _suggest_activation(trial: Trial, space: Space, group: str) -> ActivationSpec:
    prefix = group_prefix(group)
    name = str(_suggest(trial, f"{prefix}family", CategoricalDistribution(tuple(space.families))))
    family = space.families[name]
    if family.grammar is not None:
        return _suggest_expression(trial, prefix, family.grammar, family.learned)
    found = _spec(family, {n: float(_suggest(trial, f"{prefix}{name}.{n}", d)) for n, d in family.searched.items()})
    own, instead = space.stand_ins.get(group, (None, found))
    return instead if own is not None and resolve(found) == own else found


def only_activation(choice: FamilyChoice) -> ActivationSpec | None:
    """The activation of a checked choice that leaves nothing to be searched; None if there are several."""
    family = _choice_space(choice)
    return None if family.grammar is not None or family.searched else _spec(family, {})


def _spec(family: FamilySpace, searched: Mapping[str, float]) -> ActivationSpec:
    """The activation with the values that are fixed and these."""
    values = {**family.fixed, **searched}
    declared = family_of(ActivationSpec(family=family.name, expression=family.expression))
    return ActivationSpec.model_validate(
        {
            "family": family.name,
            "parameters": {n: v for n, v in values.items() if n in declared.used(values)},
            "learned": family.learned,
            "expression": family.expression,
        }
    )


def _suggest_expression(trial: Trial, prefix: str, grammar: Grammar, learned: str | None) -> ActivationSpec:
    """An expression of a grammar: an operator for each place, `grammar.PLACE`, and a value where it has a parameter."""
    chosen = {
        place: str(_suggest(trial, f"{prefix}{GRAMMAR}.{place}", CategoricalDistribution(operators)))
        for place, operators in grammar.choices().items()
    }
    values = {
        place: float(_suggest(trial, f"{prefix}{GRAMMAR}.{place}.{chosen[place]}", _number(parameter)))
        for place, parameter in used_parameters(chosen).items()
    }
    return ActivationSpec.model_validate(
        {
            "family": EXPRESSION,
            "parameters": values,
            "learned": learned if values else None,
            "expression": compose(chosen).text,
        }
    )


def _number(parameter: Parameter) -> BaseDistribution:
    searched = Range(low=parameter.low, high=parameter.high, log=parameter.log)
    return distribution(searched, "int" if parameter.whole else "float")


def group_prefix(group: str) -> str:
    """What stands before a group's parameter names in Optuna."""
    return "" if group == EVERYWHERE else f"{group}/"


def _suggest(trial: Trial, name: str, dist: BaseDistribution) -> Scalar:
    value: Scalar
    if isinstance(dist, CategoricalDistribution):
        value = trial.suggest_categorical(name, dist.choices)  # type: ignore[assignment]
    elif isinstance(dist, IntDistribution):
        value = trial.suggest_int(name, dist.low, dist.high, log=dist.log, step=dist.step)
    elif isinstance(dist, FloatDistribution):
        value = trial.suggest_float(name, dist.low, dist.high, log=dist.log, step=dist.step)
    else:
        raise TypeError(f"no suggestion for {dist!r}")
    return value


def groups_of(
    placement: Placement, sites: Sequence[tuple[str, str]], roles: Collection[str] = ()
) -> dict[str, str | None]:
    """What is chosen apart under a placement, and the role of each group, if it has one.

    Args:
        sites: (site, stage) of the architecture, in forward order.
        roles: stages that are chosen apart under any placement.
    """
    role = {stage: stage if stage in roles else None for _, stage in sites}
    if placement == Placement.network:
        return {stage: stage for stage in role if stage in roles} | {EVERYWHERE: None}
    return {site if placement == Placement.layer else stage: role[stage] for site, stage in sites}
