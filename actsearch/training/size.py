"""How many trials to train together."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from actsearch.architectures import Architecture, InputSpec
from actsearch.schemas import ActivationSpec, Scalar
from actsearch.training.build import EVERYWHERE, build_module

# Measured on one CPU thread, batches of 64, eight families mixed, AdamW; milliseconds a trial-step, plain against
# stacked: mlp of width 32 (5 k numbers a trial) 0.69 against 0.12 at K = 64; width 64 (13 k) 0.80 and 0.21 at 64; width
# 128 (44 k) 1.06 and 0.68 at 16, 0.58 at 32; width 256 (150 k) 1.80 and 1.52 at 16, with SGD 1.47 and 1.36; width 512
# (560 k) 4.4 and never less than 5.7; convnet of 8 channels (5 k) 3.0 and 1.4 at 32; of 32 channels (65 k) 11.2 and 7.8
# at 8 to 16, 10.8 at 64. So: stack while parameters, gradients and moments of the whole stack stay near the caches.
# Below 8 trials the cost of calling the stacked operations eats the gain.
_CPU_NUMBERS = 2**20
_CPU_MOST = 64
_FEWEST = 8
# Not measured yet: large enough to hide the launch of small operations, small enough for a few GB.
_GPU_NUMBERS = 2**28
_GPU_MOST = 128


def cohort_size(
    architecture: str | Architecture,
    parameters: Mapping[str, Scalar],
    input_spec: InputSpec,
    *,
    device: str,
    limit: int,
) -> int:
    """How many trials of an architecture to train together: between 1 and `limit`.

    As many as keep their trained numbers together below a bound of the device (2^20 on a CPU), at most 64 on a CPU and
    128 on a GPU; on a CPU one alone where fewer than 8 would fit, because plain training is faster then.

    Args:
        device: `cpu`, `cuda:0` ...
        limit: the most that can be used: what the budget leaves, what the sampler can propose at once.

    Raises:
        NotFound, InvalidRequest: for an unknown architecture or parameters that it does not take.
    """
    numbers = _trained_numbers(architecture, parameters, input_spec)
    if torch.device(device).type != "cpu":
        return max(1, min(limit, _GPU_MOST, _GPU_NUMBERS // numbers))
    size = min(limit, _CPU_MOST, _CPU_NUMBERS // numbers)
    return size if size >= _FEWEST else 1


def _trained_numbers(architecture: str | Architecture, parameters: Mapping[str, Scalar], input_spec: InputSpec) -> int:
    relu = {EVERYWHERE: ActivationSpec(family="relu")}
    with torch.device("meta"):
        module = build_module(architecture, parameters, input_spec, relu, seed=0)
    return sum(value.numel() for value in module.parameters())
