"""How many trials to train together."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from actsearch.architectures import Architecture, InputSpec
from actsearch.schemas import ActivationSpec, Precision, Scalar
from actsearch.training.build import EVERYWHERE, build_module
from actsearch.training.footprint import least_bytes, trial_bytes
from actsearch.training.layers import is_chain
from actsearch.training.memory import free_bytes, total_bytes
from actsearch.training.products import multiplies_by_openblas
from actsearch.training.stacked_layers import UNITS

# Measured on one CPU thread (AMD EPYC with AVX-512), batches of 64, eight families mixed, SGD; the thread's own best
# milliseconds a trial-step, plain against stacked: mlp of width 32 (5 k numbers a trial) 0.24 against 0.08 at K = 64;
# width 64 (13 k) 0.27 and 0.17; width 128 (44 k) 0.38 and 0.45; width 256 (150 k) 0.79 and 1.35 at 16, 2.8 at 64;
# convnet of 8 channels (5 k) 1.5 and 0.74. From some 30 k numbers a trial on, plain training is as fast: its products
# fill the core, while a stack's parameters and gradients leave the caches between two steps. Below 8 trials the cost of
# calling the stacked operations eats the gain. Networks that need `vmap` gain nothing: vit of width 32 3.8 and
# 4.2, resnet of 8 channels 3.2 and 3.6 at 16. Units of more than one number gain in an mlp, 2.1 (crelu) to 3.2 times
# (dy_relu) at width 32, not in a convnet, 0.6 to 1.9: the matched widths are odd, and grouped convolutions of numbers
# of channels that are no multiples of four are slow.
# In bfloat16 stacks stay ahead longer: of a small network alone, casts take more than faster products give. Two
# processes at once: mlp of width 128 0.51 against 0.19; 256 0.78 and 0.58; 384 (320 k) 1.12 and 1.07; convnet of 32
# channels (66 k) 3.96 and 3.86; of 48 (147 k) 7.0 and 7.3.
_CPU_LARGEST: Mapping[Precision, int] = {"float32": 2**15, "bfloat16": 3 * 2**16}
_CPU_NUMBERS: Mapping[Precision, int] = {"float32": 2**20, "bfloat16": 2**23}
_CPU_MOST = 64
# Where OpenBLAS multiplies a stack's matrices and MKL those of one alone (see `products`), two processes at once, plain
# against 16 and 64 of them: mlp of width 128 0.39, 0.31 and 0.25; 256 0.81, 0.77 and 0.65; 512 (560 k) 2.6, 2.3, 2.0;
# 512, 8 layers deep, 8.7, 6.3 and 6.2; by batches of 256 all 1.4 to 1.9 times. By batches of 16, where parameters are
# most of what a step touches, 128 0.23, 0.13 and 0.11; 256 0.39, 0.4 and 0.35; 512 0.9, 1.3 and 1.1. Batch norm and
# dropout do no harm; layer norm at 256 0.93 and 0.97, `crelu` 0.92 and 1.09. More than 2^23 numbers together are faster
# still, but a report, a cancellation or a prune then waits for the epoch of up to 64 wide networks.
_OPENBLAS_LARGEST, _OPENBLAS_LARGEST_A_SAMPLE, _OPENBLAS_NUMBERS = 2**20, 2**13, 2**23
_NO_FASTER_BY_OPENBLAS = (nn.Conv1d, nn.Conv2d, nn.LayerNorm, nn.GroupNorm, *UNITS)
# Fewer do not pay for what calling stacked operations costs; of units of more than one number (`crelu` of width 64: 12
# 0.82, 16 1.04) and of convolutions of 12 channels and more (8 k numbers; 12 channels: 24 0.92 to 0.99, 32 1.11 to
# 1.24, eight families mixed) more are needed.
_FEWEST, _FEWEST_UNITS, _FEWEST_WIDE_CONVOLUTIONS, _WIDE = 8, 16, 32, 2**13
# On an H200 128 `mlp` take twice as many steps a second as 64, 128 `convnet` 1.3 times; more is not measured.
_GPU_MOST = 128
# The rest is for what the estimate does not know: workspaces of convolutions, fragments.
_SHARE_OF_FREE_MEMORY = 0.6


def cohort_size(
    architecture: str | Architecture,
    parameters: Mapping[str, Scalar],
    input_spec: InputSpec,
    *,
    batch_size: int,
    device: str,
    limit: int,
    memory: int | None = None,
    precision: Precision = "float32",
    differentiates_inputs: bool = False,
) -> int:
    """How many trials of an architecture to train together: between 1 and `limit`.

    As many as fit into the memory that is free (see `footprint`), at most 64 on a CPU and 128 on a GPU; on a CPU as
    many as keep their trained numbers together below 2^20 (bfloat16: 2^23), too. On a CPU one alone where plain
    training is as fast: where fewer than 8 would fit (units of more than one number: 16; convolutions of more than 2^13
    numbers: 32), where one has more than 2^15 (3 2^16) trained numbers, or where the network or the loss needs `vmap`
    (see `layers`). Networks whose products OpenBLAS takes (see `products`) may have 2^13 numbers for each sample of a
    batch, at most 2^20, and 2^23 together.

    Args:
        device: `cpu`, `cuda:0` ...
        limit: the most that can be used: what the budget leaves, what the sampler can propose at once.
        memory: bytes to be taken at most; None for six tenths of what is free on the device.
        differentiates_inputs: the task's loss takes derivatives by the network's inputs, so it needs `vmap`.

    Raises:
        NotFound, InvalidRequest: for an unknown architecture or parameters that it does not take.
    """
    module = _module(architecture, parameters, input_spec)
    numbers = sum(value.numel() for value in module.parameters())
    fitting = min(limit, _fitting(module, input_spec, batch_size, torch.device(device), memory))
    if torch.device(device).type != "cpu":
        return max(1, min(fitting, _GPU_MOST))
    if differentiates_inputs or not is_chain(module) or _convolves_units(module):
        return 1
    largest, together = _CPU_LARGEST[precision], _CPU_NUMBERS[precision]
    if precision == "float32" and multiplies_by_openblas() and not _has_any(module, _NO_FASTER_BY_OPENBLAS):
        most = min(_OPENBLAS_LARGEST, _OPENBLAS_LARGEST_A_SAMPLE * batch_size)
        largest, together = max(largest, most), _OPENBLAS_NUMBERS
    size = min(fitting, _CPU_MOST, together // numbers)
    return size if size >= _fewest(module, numbers) and numbers <= largest else 1


def why_too_large(
    architecture: str | Architecture,
    parameters: Mapping[str, Scalar],
    input_spec: InputSpec,
    *,
    batch_size: int,
    device: str,
    memory: int | None = None,
    precision: Precision = "float32",
) -> str | None:
    """Why a network cannot be trained on a device even alone, found out without memory; None where it may be.

    Args:
        memory: bytes that the device has; None to ask it.

    Raises:
        NotFound, InvalidRequest: as `cohort_size`.
    """
    has = total_bytes(torch.device(device)) if memory is None else memory
    takes = least_bytes(_module(architecture, parameters, input_spec), input_spec, batch_size, precision)
    if has is None or takes <= has:
        return None
    return (
        f"training takes at least {takes / 1e9:,.3g} GB of memory, and {device} has {has / 1e9:,.3g} GB; "
        "it was not tried: make the network or `batch_size` smaller"
    )


def _fewest(module: nn.Module, numbers: int) -> int:
    if _has_any(module, (nn.Conv1d, nn.Conv2d)) and numbers > _WIDE:
        return _FEWEST_WIDE_CONVOLUTIONS
    return _FEWEST_UNITS if _has_any(module, UNITS) else _FEWEST


def _convolves_units(module: nn.Module) -> bool:
    """Convolutions before units of more than one number: fewer units than plain ones make odd numbers of channels."""
    return _has_any(module, UNITS) and _has_any(module, (nn.Conv1d, nn.Conv2d))


def _has_any(module: nn.Module, kinds: tuple[type[nn.Module], ...]) -> bool:
    return any(isinstance(part, kinds) for part in module.modules())


def _fitting(module: nn.Module, spec: InputSpec, batch_size: int, device: torch.device, memory: int | None) -> int:
    """How many trials fit into the memory."""
    if memory is None:
        free = free_bytes(device)
        if free is None:
            return _GPU_MOST
        memory = int(_SHARE_OF_FREE_MEMORY * free)
    return memory // trial_bytes(module, spec, batch_size)


def _module(architecture: str | Architecture, parameters: Mapping[str, Scalar], input_spec: InputSpec) -> nn.Module:
    relu = {EVERYWHERE: ActivationSpec(family="relu")}
    with torch.device("meta"):
        return build_module(architecture, parameters, input_spec, relu, seed=0)
