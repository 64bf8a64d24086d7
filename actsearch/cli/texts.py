"""Values as people read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from actsearch.schemas import ActivationSpec, ParameterInfo, TaskInfo, Trial


def value_text(value: Any) -> str:
    """A number with four significant digits; nothing for None."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def moment_text(moment: datetime | None) -> str:
    """Local date and time."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}" if moment else ""


def duration_text(trial: Trial) -> str:
    """Seconds from start to end."""
    if trial.started_at is None or trial.finished_at is None:
        return ""
    return f"{(trial.finished_at - trial.started_at).total_seconds():.1f}"


def activation_text(trial: Trial) -> str:
    """The activation as one would write it: `leaky_relu(slope=0.12)`; by site group where there are several."""
    return activations_text(trial.activations)


def activations_text(activations: Mapping[str, ActivationSpec]) -> str:
    """See `activation_text`."""
    if set(activations) == {"network"}:
        return activations["network"].text
    return ", ".join(f"{group}: {spec.text}" for group, spec in activations.items())


def other_parameters(trial: Trial) -> str:
    """What was searched beside the activation: `learning_rate=0.01`."""
    searched = (name.partition(".") for name in trial.parameters)
    named = {name + dot + rest: rest for name, dot, rest in searched if name in ("training", "architecture")}
    return ", ".join(f"{short}={value_text(trial.parameters[full])}" for full, short in named.items())


def samples_text(task: TaskInfo) -> str:
    """How many samples each part has: `60 train, 20 validation, 20 test`."""
    return ", ".join(f"{count} {part}" for part, count in task.samples.items())


def shape_text(task: TaskInfo) -> str:
    """The shape of an input: `3 × 32 × 32`."""
    return " × ".join(map(str, task.input_shape))


def parameter_text(parameter: ParameterInfo) -> str:
    """A hyperparameter with its range: `slope [0.001, 0.5] log`."""
    if parameter.choices is not None:
        return f"{parameter.name} {{{', '.join(map(str, parameter.choices))}}}"
    if parameter.low is None or parameter.high is None:
        return f"{parameter.name} ({parameter.type})"
    return f"{parameter.name} [{parameter.low:g}, {parameter.high:g}]{' log' if parameter.log else ''}"


def parameters_text(parameters: Sequence[ParameterInfo]) -> str:
    """Hyperparameters with their ranges; those that are alike but for the name as one: `c0 to c31 [-10, 10]`."""

    def declared(parameter: ParameterInfo) -> ParameterInfo:
        return parameter.model_copy(update={"name": ""})

    runs = (list(run) for _, run in groupby(parameters, key=declared))
    return ", ".join(("" if len(run) == 1 else f"{run[0].name} to ") + parameter_text(run[-1]) for run in runs)
