"""Costs that need no clock."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from actsearch.activations import Activation
from actsearch.tasks.parts import sample_count

# Forward and backward on a CPU, as multiples of ReLU, rounded (docs/facts.md; science of the catalogue): a
# transcendental function costs about three, a composite of several about ten.
WEIGHTS = {"cheap": 1.0, "exponential": 3.0, "composite": 10.0}


def parameter_count(module: nn.Module) -> int:
    """Trained numbers."""
    return sum(value.numel() for value in module.parameters())


@torch.inference_mode()
def activation_cost(module: nn.Module, inputs: Any) -> float:
    """Arithmetic of all activations for one sample, in evaluations of ReLU: a figure that no machine's load moves.

    Each number that passes an activation counts 1, 3 or 10 by the family's cost class (cheap, exponential, composite).

    Args:
        inputs: some samples (B, ...), or a tree of such tensors.
    """
    total, samples = 0.0, sample_count(inputs)

    def count(activation: nn.Module, _: Any, output: Tensor) -> None:
        nonlocal total
        if isinstance(activation, Activation):
            total += WEIGHTS[activation.cost] * output.numel() / samples

    hooks = [part.register_forward_hook(count) for part in module.modules() if isinstance(part, Activation)]
    try:
        module.eval()(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return total
