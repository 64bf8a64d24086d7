"""From a cohort's candidates to modules that are known to work; those that do not, fail alone."""

from __future__ import annotations

import torch
from torch import nn
from torch.func import functional_call

from actsearch.architectures import InputSpec
from actsearch.tasks.declaration import Dataset, Task
from actsearch.tasks.parts import moved, rows
from actsearch.training.build import build_module
from actsearch.training.failures import failure_reason
from actsearch.training.types import Candidate, Cohort, TrainingOutcome

_REHEARSED = 2


def prepared_modules(
    cohort: Cohort, task: Task, dataset: Dataset, seed: int
) -> tuple[dict[int, nn.Module], dict[int, TrainingOutcome]]:
    """The candidates' modules by place in the cohort, and the outcomes of those that cannot be built or run."""
    modules: dict[int, nn.Module] = {}
    failed: dict[int, TrainingOutcome] = {}
    for place, candidate in enumerate(cohort.candidates):
        try:
            modules[place] = _rehearsed(cohort, candidate, task, dataset, seed)
        except Exception as error:  # whatever a family of the user's own raises, it must not cost the others
            failed[place] = TrainingOutcome(
                "failed", reason=failure_reason(error), detail=f"{type(error).__name__}: {error}"
            )
    return modules, failed


def _scale(module: nn.Module, factor: float) -> None:
    """Multiply the initial weights, not biases, norms and the activations' own parameters."""
    if factor != 1.0:
        with torch.no_grad():
            for value in module.parameters():
                if value.dim() > 1:
                    value.mul_(factor)


def _rehearsed(cohort: Cohort, candidate: Candidate, task: Task, dataset: Dataset, seed: int) -> nn.Module:
    """The module of a candidate, after a forward and a backward pass on two samples that leave no trace in it."""
    example = rows(dataset.train[0], slice(1)) if dataset.input_kind == "several" else None
    spec = InputSpec(dataset.input_kind, dataset.input_shape, dataset.outputs, example)
    module = build_module(cohort.architecture, cohort.parameters, spec, candidate.activations, seed)
    _scale(module, candidate.initial_scale)
    buffers = {name: value.clone() for name, value in module.named_buffers()}
    batch = moved(rows(dataset.train, slice(_REHEARSED)), "cpu")
    loss = task.loss(lambda x: functional_call(module, buffers, (x,)), batch)
    torch.autograd.grad(loss, list(module.parameters()), allow_unused=True)
    return module
