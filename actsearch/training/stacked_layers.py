"""The layers that a stack runs directly, each for a block of K trials at once.

Linear layers are batched matrix products, convolutions grouped ones, BatchNorm is over the channels of all trials.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from actsearch.architectures.convolution import AveragePool
from actsearch.architectures.coordinate import Scale
from actsearch.architectures.dropout import Dropout
from actsearch.architectures.gabor import Gabor
from actsearch.architectures.polynorm import PolyNorm
from actsearch.architectures.soft_maximum import DynamicReLU, FunnelReLU, MetaACON
from actsearch.architectures.units import GLU, CReLU, Maxout
from actsearch.training.precision import mixed_under_vmap
from actsearch.training.products import affine
from actsearch.training.sites import StackedSite

UNITS = (GLU, Maxout, CReLU, Gabor, PolyNorm, MetaACON, DynamicReLU, FunnelReLU)
"""Modules of hidden units of more than one number."""
Named = Mapping[str, Tensor]
Weights = Callable[[str], Tensor]


@dataclass(frozen=True)
class Signal:
    """What flows between layers: (K, B, ...), or (B, ...) while it is the same for all trials."""

    value: Tensor
    shared: bool


@dataclass(frozen=True)
class Block:
    """Trials of a stack that run together.

    Args:
        rows: where in the stack.
        channels_last: convolutions take and give signals whose channels are innermost in memory.
    """

    rows: range
    channels_last: bool = False

    def __len__(self) -> int:
        return len(self.rows)


Layer = Callable[[Signal, Weights, Block], Signal]
"""`layer(signal, weights, block)` for a block of K trials; `weights(name)` is a parameter or buffer, (K, ...)."""


def unshared(signal: Signal, trials: int) -> Tensor:
    """Its value (K, B, ...), the same for all trials if it is shared."""
    return signal.value.expand(trials, *signal.value.shape) if signal.shared else signal.value


def _trials_inside(x: Tensor) -> Tensor:
    """(K, B, C, ...) -> (B, K C, ...); free of cost if the memory already lies so."""
    return x.transpose(0, 1).flatten(1, 2)


def _trials_outside(x: Tensor, trials: int) -> Tensor:
    """(B, K C, ...) -> (K, B, C, ...), a view."""
    apart: Tensor = x.unflatten(1, (trials, -1))
    return apart.transpose(0, 1)


def _each(function: Callable[[Tensor, int], Tensor]) -> Layer:
    """A layer without weights: `function(x, batch axis)`."""

    def layer(signal: Signal, weights: Weights, block: Block) -> Signal:
        return Signal(function(signal.value, 0 if signal.shared else 1), signal.shared)

    return layer


def _identity(module: nn.Module) -> Layer:
    return _each(lambda x, batch: x)


def _elementwise(module: nn.Module) -> Layer:
    return _each(lambda x, batch: module(x))


def _flatten(module: nn.Module) -> Layer | None:
    if not isinstance(module, nn.Flatten) or (module.start_dim, module.end_dim) != (1, -1):
        return None
    return _each(lambda x, batch: x.flatten(batch + 1))


def _average_pool(module: nn.Module) -> Layer:
    def layer(signal: Signal, weights: Weights, block: Block) -> Signal:
        if signal.shared:
            return Signal(module(signal.value), shared=True)
        x = _trials_inside(signal.value)
        if not block.channels_last:
            return Signal(_trials_outside(module(x), len(block)), shared=False)
        places = x.flatten(2).transpose(1, 2)  # (B, places, K C)
        # A product, not a mean, so that the gradient lies as x does; else everything below would run across memory.
        mean = x.new_full((1, places.shape[1]), 1 / places.shape[1]) @ places
        return Signal(_trials_outside(mean.squeeze(1), len(block)), shared=False)

    return layer


def _with_channels_last(x: Tensor) -> Tensor:
    """X (B, C, H, W) with its channels innermost, in a way that torch knows of even if there is one only."""
    x = x.contiguous(memory_format=torch.channels_last)
    return x.as_strided(x.shape, (x.stride(0), 1, x.stride(2), x.stride(3))) if x.shape[1] == 1 else x


def _linear(module: nn.Module) -> Layer:
    biased = getattr(module, "bias", None) is not None

    def layer(signal: Signal, weights: Weights, block: Block) -> Signal:
        x, weight = signal.value, weights("weight")  # (K, out, in)
        if signal.shared and x.dim() == 2:  # one product for all trials
            flat = weight.flatten(0, 1)  # (K out, in)
            together = affine(flat, x.t(), weights("bias").flatten() if biased else None)
            return Signal(together.view(len(block), -1, len(x)).transpose(1, 2), shared=False)
        x = unshared(signal, len(block))
        columns = x.flatten(1, -2).transpose(1, 2)  # (K, in, B ...)
        # The samples innermost: products, biases and a softmax over few classes vectorise along them.
        out = affine(weight, columns, weights("bias") if biased else None).transpose(1, 2)  # (K, B ..., out)
        return Signal(out.unflatten(1, x.shape[1:-1]) if x.dim() > 3 else out, shared=False)

    return layer


def _convolution(module: nn.Module) -> Layer | None:
    if not isinstance(module, nn.Conv1d | nn.Conv2d) or module.groups != 1 or module.padding_mode != "zeros":
        return None
    convolve = F.conv1d if isinstance(module, nn.Conv1d) else F.conv2d
    biased = module.bias is not None
    settings = {"stride": module.stride, "padding": module.padding, "dilation": module.dilation}

    def layer(signal: Signal, weights: Weights, block: Block) -> Signal:
        x = signal.value if signal.shared else _trials_inside(signal.value)
        weight = weights("weight").flatten(0, 1)  # (K out, in, *kernel)
        bias = weights("bias").flatten() if biased else None
        groups = 1 if signal.shared else len(block)
        if not block.channels_last:
            out = convolve(x, weight, bias, groups=groups, **settings)  # type: ignore[arg-type]
        elif x.dim() == 4:
            out = F.conv2d(_with_channels_last(x), weight, bias, groups=groups, **settings)  # type: ignore[arg-type]
        else:  # torch knows of innermost channels in two dimensions only
            x, weight = _with_channels_last(x.unsqueeze(2)), weight.unsqueeze(2)
            out = F.conv2d(x, weight, bias, groups=groups, **_in_two_dimensions(module)).squeeze(2)
        return Signal(_trials_outside(out, len(block)), shared=False)

    return layer


def _in_two_dimensions(module: nn.Conv1d | nn.Conv2d) -> dict[str, Any]:
    """Settings of a convolution over one row."""
    padding = module.padding if isinstance(module.padding, str) else (0, *module.padding)
    return {"stride": (1, *module.stride), "padding": padding, "dilation": (1, *module.dilation)}


def _max_pool(module: nn.Module) -> Layer | None:
    if not isinstance(module, nn.MaxPool1d | nn.MaxPool2d) or module.return_indices:
        return None

    def layer(signal: Signal, weights: Weights, block: Block) -> Signal:
        if signal.shared:
            return Signal(module(signal.value), shared=True)
        return Signal(_trials_outside(module(_trials_inside(signal.value)), len(block)), shared=False)

    return layer


def _batch_norm(module: nn.Module) -> Layer | None:
    if not isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        return None
    momentum, eps = module.momentum, module.eps
    if momentum is None or not module.affine or not module.track_running_stats:
        return None

    def normed(flat: Tensor, weights: Weights) -> Tensor:
        mean, variance = weights("running_mean").view(-1), weights("running_var").view(-1)  # (K C,), in place
        scale, shift = weights("weight").flatten(), weights("bias").flatten()
        if module.training:
            weights("num_batches_tracked").add_(1)
        return F.batch_norm(flat, mean, variance, scale, shift, module.training, momentum, eps)

    def layer(signal: Signal, weights: Weights, block: Block) -> Signal:
        x, trials = unshared(signal, len(block)), len(block)
        # Each of these runs along memory; across it torch is several times as slow.
        if x.dim() == 3 and x.stride(1) == 1:  # samples innermost: one sample of K C rows
            rows = normed(x.transpose(1, 2).reshape(1, -1, x.shape[1]), weights)
            return Signal(rows.view(trials, -1, x.shape[1]).transpose(1, 2), shared=False)
        flat = _trials_inside(x)  # (B, K C, ...)
        if block.channels_last and flat.dim() == 3:  # torch knows of innermost channels in two dimensions only
            out = normed(_with_channels_last(flat.unsqueeze(2)), weights).squeeze(2)
        else:
            out = normed(flat, weights)
        return Signal(_trials_outside(out, trials), shared=False)

    return layer


def _layer_norm(module: nn.Module) -> Layer | None:
    if not isinstance(module, nn.LayerNorm) or len(module.normalized_shape) != 1 or module.bias is None:
        return None
    shape, eps = module.normalized_shape, module.eps

    def layer(signal: Signal, weights: Weights, block: Block) -> Signal:
        x = unshared(signal, len(block))
        whole = F.layer_norm(x, list(shape), eps=eps)
        scale, shift = (_against(weights(name), x, x.dim() - 1) for name in ("weight", "bias"))
        return Signal(torch.addcmul(shift, whole, scale).to(x.dtype), shared=False)

    return layer


def _group_norm(module: nn.Module) -> Layer | None:
    if not isinstance(module, nn.GroupNorm) or not module.affine:
        return None
    groups, eps = module.num_groups, module.eps

    def layer(signal: Signal, weights: Weights, block: Block) -> Signal:
        x = _trials_inside(unshared(signal, len(block)))
        scale, shift = weights("weight").flatten(), weights("bias").flatten()
        return Signal(
            _trials_outside(F.group_norm(x, len(block) * groups, scale, shift, eps), len(block)), shared=False
        )

    return layer


def _dropout(module: nn.Module) -> Layer | None:
    if not isinstance(module, nn.Dropout | Dropout):
        return None

    def layer(signal: Signal, weights: Weights, block: Block) -> Signal:
        if signal.shared or not module.training:
            return Signal(module(signal.value), signal.shared)
        mask = module(torch.ones_like(signal.value[0], memory_format=torch.contiguous_format))  # one for all trials
        return Signal(signal.value * mask, shared=False)

    return layer


def _site(site: nn.Module) -> Layer | None:
    if not isinstance(site, StackedSite):
        return None

    def layer(signal: Signal, weights: Weights, block: Block) -> Signal:
        x = unshared(signal, len(block))
        slots = [weights(name) for name, _ in site.named_parameters()]
        return Signal(site.stacked(x, slots, 0, site.axis % (x.dim() - 1), block.rows), shared=False)

    return layer


def _unit(module: nn.Module) -> Layer:
    """Hidden units of more than one number: few operations beside their site's, so that `vmap` costs little in them."""
    names = [name for name, _ in (*module.named_parameters(), *module.named_buffers())]

    def layer(signal: Signal, weights: Weights, block: Block) -> Signal:
        x = unshared(signal, len(block))

        def one(state: dict[str, Tensor], x: Tensor) -> Any:
            return functional_call(module, state, (x,))

        with mixed_under_vmap(x.device):
            found: Tensor = torch.vmap(one, randomness="same")({name: weights(name) for name in names}, x)
        return Signal(found, shared=False)

    return layer


def _against(value: Tensor, x: Tensor, axis: int) -> Tensor:
    """(K, C) shaped to broadcast against x (K, ..., C at `axis`, ...)."""
    shape = [1] * x.dim()
    shape[0], shape[axis] = value.shape
    return value.reshape(shape)


KNOWN: Mapping[type[nn.Module], Callable[[nn.Module], Layer | None]] = {
    nn.Identity: _identity,
    Scale: _elementwise,
    nn.Flatten: _flatten,
    nn.Linear: _linear,
    nn.Conv1d: _convolution,
    nn.Conv2d: _convolution,
    nn.MaxPool1d: _max_pool,
    nn.MaxPool2d: _max_pool,
    AveragePool: _average_pool,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.LayerNorm: _layer_norm,
    nn.GroupNorm: _group_norm,
    nn.Dropout: _dropout,
    Dropout: _dropout,
    StackedSite: _site,
    **dict.fromkeys(UNITS, _unit),
}
"""Makes the layer of a module of this type; None where its settings are not known here."""
