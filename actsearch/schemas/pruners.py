"""Pruners by name, with their options: Optuna's under Optuna's own option names. Their steps are epochs."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from actsearch.schemas.base import Integer, Number, Schema, named

Epochs = Annotated[Integer, Field(ge=1, le=100_000)]
Trials = Annotated[Integer, Field(ge=0, le=1_000_000)]


class AnyPruner(Schema):
    """What all pruners have.

    Attributes:
        insists: a request with it asks for pruning, and is refused where nothing can be pruned by.
    """

    insists: ClassVar[bool] = True


class AutoPruner(AnyPruner):
    """`hyperband` where a trial has at least 9 epochs (two rungs of thirds), else `none`."""

    name: Literal["auto"] = "auto"
    insists: ClassVar[bool] = False


class NoPruner(AnyPruner):
    """Every trial is trained to the end."""

    name: Literal["none"] = "none"
    insists: ClassVar[bool] = False


class HyperbandPruner(AnyPruner):
    """Successive halving in brackets that begin at different rungs: slow starters get a chance in some of them.

    Args:
        min_resource: epochs before the first rung.
        reduction_factor: one in so many goes on at a rung, to so many times the epochs.
    """

    name: Literal["hyperband"] = "hyperband"
    min_resource: Epochs = 1
    reduction_factor: Annotated[Integer, Field(ge=2, le=100)] = 3


class AshaPruner(AnyPruner):
    """Asynchronous successive halving (ASHA): one bracket of `hyperband`.

    Args:
        min_resource: epochs before the first rung.
        reduction_factor: one in so many goes on at a rung, to so many times the epochs.
        min_early_stopping_rate: rungs to skip at the start.
    """

    name: Literal["asha"] = "asha"
    min_resource: Epochs = 1
    reduction_factor: Annotated[Integer, Field(ge=2, le=100)] = 3
    min_early_stopping_rate: Annotated[Integer, Field(ge=0, le=20)] = 0


class MedianPruner(AnyPruner):
    """Stop what is worse than the median of earlier trials at the same epoch.

    Args:
        n_startup_trials: complete trials before anything is pruned.
        n_warmup_steps: epochs a trial has before it may be pruned; None for a tenth of `training.epochs`.
        interval_steps: epochs between two looks.
        n_min_trials: trials that must have reached the epoch.
    """

    name: Literal["median"] = "median"
    n_startup_trials: Trials = 5
    n_warmup_steps: Annotated[Integer, Field(ge=0, le=100_000)] | None = None
    interval_steps: Epochs = 1
    n_min_trials: Annotated[Integer, Field(ge=1, le=1_000_000)] = 1


class PercentilePruner(AnyPruner):
    """Stop what is not among the best `percentile` per cent of earlier trials at the same epoch; else as `median`."""

    name: Literal["percentile"] = "percentile"
    percentile: Annotated[Number, Field(ge=0, le=100)] = 25.0
    n_startup_trials: Trials = 5
    n_warmup_steps: Annotated[Integer, Field(ge=0, le=100_000)] | None = None
    interval_steps: Epochs = 1
    n_min_trials: Annotated[Integer, Field(ge=1, le=1_000_000)] = 1


class WilcoxonPruner(AnyPruner):
    """Stop what a signed-rank test, epoch against epoch, finds worse than the best trial.

    The test is made for steps that are independent instances. Epochs of one training are not independent, so
    `p_threshold` is no error rate here: it only says how sure the comparison of two learning curves must look.

    Args:
        n_startup_steps: epochs a trial has before it may be pruned.
    """

    name: Literal["wilcoxon"] = "wilcoxon"
    p_threshold: Annotated[Number, Field(ge=0, le=1)] = 0.1
    n_startup_steps: Annotated[Integer, Field(ge=0, le=100_000)] = 2


class ThresholdPruner(AnyPruner):
    """Stop what leaves [lower, upper] after `n_warmup_steps` epochs; at least one of the two is needed."""

    name: Literal["threshold"] = "threshold"
    lower: Number | None = None
    upper: Number | None = None
    n_warmup_steps: Annotated[Integer, Field(ge=0, le=100_000)] = 0
    interval_steps: Epochs = 1

    @model_validator(mode="after")
    def _bounded(self) -> ThresholdPruner:
        if self.lower is None and self.upper is None:
            raise ValueError("threshold needs lower, upper or both")
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            raise ValueError(f"lower ({self.lower:g}) is above upper ({self.upper:g}); swap them")
        return self


PlainPruner = Annotated[
    AutoPruner
    | NoPruner
    | HyperbandPruner
    | AshaPruner
    | MedianPruner
    | PercentilePruner
    | WilcoxonPruner
    | ThresholdPruner,
    Field(discriminator="name"),
    BeforeValidator(named),
]


class PatientPruner(AnyPruner):
    """Stop a trial only when it has also not improved by `min_delta` for `patience` epochs.

    Args:
        wrapped_pruner: the pruner that must agree; `none`: patience alone decides.
    """

    name: Literal["patient"] = "patient"
    patience: Annotated[Integer, Field(ge=0, le=100_000)] = 3
    min_delta: Annotated[Number, Field(ge=0)] = 0.0
    wrapped_pruner: PlainPruner = MedianPruner()


Pruner = Annotated[
    AutoPruner
    | NoPruner
    | HyperbandPruner
    | AshaPruner
    | MedianPruner
    | PercentilePruner
    | WilcoxonPruner
    | ThresholdPruner
    | PatientPruner,
    Field(discriminator="name"),
    BeforeValidator(named),
]
"""The pruner that stops hopeless trials: a name, or a name with options."""
