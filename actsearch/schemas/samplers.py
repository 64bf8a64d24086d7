"""Samplers by name, with their options: Optuna's under Optuna's own option names, and `shape`, ours."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from actsearch.schemas.base import Number, Schema, named

Count = Annotated[int, Field(ge=1, le=1_000_000)]
Share = Annotated[Number, Field(ge=0, le=1)]


class AutoSampler(Schema):
    """`shape` where there are activations to choose among, `tpe` where only other parameters are searched."""

    name: Literal["auto"] = "auto"


class ShapeSampler(Schema):
    """Ours: compares activations by the function they compute, and proposes whole cohorts at once.

    Args:
        n_startup_trials: well-known activations (then others, spread out) tried before anything is modelled.
        n_candidates: candidates that compete for a cohort.
    """

    name: Literal["shape"] = "shape"
    n_startup_trials: Annotated[int, Field(ge=0, le=1000)] = 3
    n_candidates: Annotated[int, Field(ge=16, le=10_000)] = 512


class TpeSampler(Schema):
    """Tree-structured Parzen estimator: a model of good and of bad parameter values, family by family.

    Args:
        n_startup_trials: trials at random before the model is used.
        n_ei_candidates: candidates drawn for each proposal.
        multivariate: model a family's parameters together.
        constant_liar: count trials in training as bad, so that a cohort spreads out.
    """

    name: Literal["tpe"] = "tpe"
    n_startup_trials: Annotated[int, Field(ge=0, le=100_000)] = 10
    n_ei_candidates: Count = 24
    multivariate: bool = True
    constant_liar: bool = True


class GpSampler(Schema):
    """Gaussian process over the parameters that every trial has; good for few trials, slow for thousands.

    Args:
        n_startup_trials: trials at random before the model is used.
        deterministic_objective: assume that a value has no noise.
    """

    name: Literal["gp"] = "gp"
    n_startup_trials: Annotated[int, Field(ge=0, le=100_000)] = 10
    deterministic_objective: bool = False


class RandomSampler(Schema):
    """Uniform over the space (families alike, whatever the number of their parameters)."""

    name: Literal["random"] = "random"


class QmcSampler(Schema):
    """Quasi-random: evener than random over what every trial has; a family's own parameters are random.

    Args:
        qmc_type: the sequence.
        scramble: randomise the sequence by the job's seed.
    """

    name: Literal["qmc"] = "qmc"
    qmc_type: Literal["sobol", "halton"] = "sobol"
    scramble: bool = True


class CmaesSampler(Schema):
    """Evolution of a normal distribution over the numbers that every trial has; it needs at least two of them.

    Categories (families among them) and a family's own parameters are drawn at random: give one family, or search
    training and architecture numbers.

    Args:
        n_startup_trials: trials at random before the first generation.
        popsize: trials a generation; None for a size by dimension.
        with_margin: keep whole and stepped numbers from getting stuck.
    """

    name: Literal["cmaes"] = "cmaes"
    n_startup_trials: Annotated[int, Field(ge=0, le=100_000)] = 1
    popsize: Annotated[int, Field(ge=2, le=100_000)] | None = None
    with_margin: bool = False


class Nsga2Sampler(Schema):
    """Genetic algorithm over what every trial has (families among it); a family's own parameters are random.

    Args:
        population_size: trials a generation.
        mutation_prob: chance that a parameter is drawn anew; None for 1 / number of parameters.
        crossover_prob, swapping_prob: chance that a child has two parents; that a parameter is the second one's.
    """

    name: Literal["nsga2"] = "nsga2"
    population_size: Annotated[int, Field(ge=2, le=100_000)] = 50
    mutation_prob: Share | None = None
    crossover_prob: Share = 0.9
    swapping_prob: Share = 0.5


class GridSampler(Schema):
    """Every combination once, in random order; ranges are cut into `points` values (on a log scale where they are).

    Args:
        points: values a range without a step; the baseline's own values are added to its family's.
    """

    name: Literal["grid"] = "grid"
    points: Annotated[int, Field(ge=2, le=1000)] = 5


class BruteForceSampler(Schema):
    """Every combination once, in random order, of a space where every parameter has steps, choices or one value."""

    name: Literal["brute_force"] = "brute_force"


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
