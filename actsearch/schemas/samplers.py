"""Samplers by name, with their options: Optuna's under Optuna's own option names, and `shape`, ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import BeforeValidator, Field

from actsearch.schemas.base import Integer, Number, Schema, named

Count = Annotated[Integer, Field(ge=1, le=1_000_000)]
Share = Annotated[Number, Field(ge=0, le=1)]


class AnySampler(Schema):
    """What all samplers have: traits, each declared where it differs from here and asked for by whoever needs it.

    Attributes:
        learns: results change what it proposes.
        exhaustive: it proposes every point of a finite space once, and counts on all of its proposals being trained.
        several_objectives: it can serve more than one objective.
        needs_numbers: how many numbers that every trial has it needs to work on.
        range_points: how many values it cuts a range without steps into; None if it does not.
    """

    learns: ClassVar[bool] = True
    exhaustive: ClassVar[bool] = False
    several_objectives: ClassVar[bool] = True
    needs_numbers: ClassVar[int] = 0

    @property
    def range_points(self) -> int | None:
        """See the class."""
        return None


class AutoSampler(AnySampler):
    """`shape` where there are activations to choose among, `tpe` where only other parameters are searched."""

    name: Literal["auto"] = "auto"


class ShapeSampler(AnySampler):
    """Ours: compares activations by the function they compute, and proposes whole cohorts at once.

    Args:
        n_startup_trials: well-known activations (then others, spread out) tried before anything is modelled.
        n_candidates: candidates that compete for a cohort.
    """

    name: Literal["shape"] = "shape"
    n_startup_trials: Annotated[Integer, Field(ge=0, le=1000)] = 3
    n_candidates: Annotated[Integer, Field(ge=16, le=10_000)] = 512


class TpeSampler(AnySampler):
    """Tree-structured Parzen estimator: a model of good and of bad parameter values, family by family.

    Args:
        n_startup_trials: trials at random before the model is used.
        n_ei_candidates: candidates drawn for each proposal.
        multivariate: model a family's parameters together.
        constant_liar: count trials in training as bad, so that a cohort spreads out.
    """

    name: Literal["tpe"] = "tpe"
    n_startup_trials: Annotated[Integer, Field(ge=0, le=100_000)] = 10
    n_ei_candidates: Count = 24
    multivariate: bool = True
    constant_liar: bool = True


class GpSampler(AnySampler):
    """Gaussian process over the parameters that every trial has; good for few trials, slow for thousands.

    Args:
        n_startup_trials: trials at random before the model is used.
        deterministic_objective: assume that a value has no noise.
    """

    name: Literal["gp"] = "gp"
    n_startup_trials: Annotated[Integer, Field(ge=0, le=100_000)] = 10
    deterministic_objective: bool = False


class RandomSampler(AnySampler):
    """Uniform over the space (families alike, whatever the number of their parameters)."""

    name: Literal["random"] = "random"
    learns: ClassVar[bool] = False


class QmcSampler(AnySampler):
    """Quasi-random: evener than random over what every trial has; a family's own parameters are random.

    Args:
        qmc_type: the sequence.
        scramble: randomise the sequence by the job's seed.
    """

    name: Literal["qmc"] = "qmc"
    learns: ClassVar[bool] = False
    qmc_type: Literal["sobol", "halton"] = "sobol"
    scramble: bool = True


class CmaesSampler(AnySampler):
    """Evolution of a normal distribution over the numbers that every trial has; it needs at least two of them.

    Categories (families among them) and a family's own parameters are drawn at random: give one family, or search
    training and architecture numbers.

    Args:
        n_startup_trials: trials at random before the first generation.
        popsize: trials a generation; None for a size by dimension.
        with_margin: keep whole and stepped numbers from getting stuck.
    """

    name: Literal["cmaes"] = "cmaes"
    several_objectives: ClassVar[bool] = False
    needs_numbers: ClassVar[int] = 2
    n_startup_trials: Annotated[Integer, Field(ge=0, le=100_000)] = 1
    popsize: Annotated[Integer, Field(ge=2, le=100_000)] | None = None
    with_margin: bool = False


class Nsga2Sampler(AnySampler):
    """Genetic algorithm over what every trial has (families among it); a family's own parameters are random.

    Args:
        population_size: trials a generation.
        mutation_prob: chance that a parameter is drawn anew; None for 1 / number of parameters.
        crossover_prob, swapping_prob: chance that a child has two parents; that a parameter is the second one's.
    """

    name: Literal["nsga2"] = "nsga2"
    population_size: Annotated[Integer, Field(ge=2, le=100_000)] = 50
    mutation_prob: Share | None = None
    crossover_prob: Share = 0.9
    swapping_prob: Share = 0.5


class GridSampler(AnySampler):
    """Every combination once, in random order; ranges are cut into `points` values (on a log scale where they are).

    Args:
        points: values a range without a step; the baseline's own values are added to its family's.
    """

    name: Literal["grid"] = "grid"
    learns: ClassVar[bool] = False
    exhaustive: ClassVar[bool] = True
    points: Annotated[Integer, Field(ge=2, le=1000)] = 5

    @property
    def range_points(self) -> int | None:
        """See `AnySampler`."""
        return self.points


class BruteForceSampler(AnySampler):
    """Every combination once, in random order, of a space where every parameter has steps, choices or one value."""

    name: Literal["brute_force"] = "brute_force"
    learns: ClassVar[bool] = False
    exhaustive: ClassVar[bool] = True


Sampler = Annotated[
    AutoSampler
    | ShapeSampler
    | TpeSampler
    | GpSampler
    | RandomSampler
    | QmcSampler
    | CmaesSampler
    | Nsga2Sampler
    | GridSampler
    | BruteForceSampler,
    Field(discriminator="name"),
    BeforeValidator(named),
]
"""The sampler that proposes activations: a name, or a name with options."""

SAMPLERS: tuple[type[AnySampler], ...] = get_args(get_args(Sampler)[0])


def samplers_that(suit: Callable[[type[AnySampler]], bool]) -> tuple[str, ...]:
    """Names of the samplers whose traits suit, in the order of their declaration."""
    return tuple(str(kind.model_fields["name"].default) for kind in SAMPLERS if suit(kind))
