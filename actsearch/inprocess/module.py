"""A ready-made module as the network of a search: its activations are taken out, its weights drawn anew."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from copy import deepcopy
from typing import Literal

import torch
from torch import Tensor, nn

from actsearch.architectures import InputSpec, Sites
from actsearch.architectures.declaration import RELU
from actsearch.architectures.ready_made import ReadyMade, take_out
from actsearch.errors import FieldProblem, InvalidRequest
from actsearch.inprocess.network import MODEL, Network, checked_outputs
from actsearch.surgery.recognition import usual

Weights = Literal["fresh", "given"] | Callable[[nn.Module], object]
"""How each candidate's weights begin: `fresh`, `given`, or by a function that draws them in place."""

_RESETS = ("reset_parameters", "_reset_parameters")


def from_module(model: nn.Module, batch: Tensor, *, sites: Collection[str] | None, weights: Weights) -> Network:
    """A module as a network: a copy of it a candidate, with other activations.

    With `fresh` weights, each part draws its own as torch does when it is made (`reset_parameters`), parts before what
    holds them, by the trial's seed; weights of parts without such a method stay as they were given. Frozen weights
    (`requires_grad=False`) always stay, and are not trained.

    Args:
        model: left as it is.
        batch: inputs to try it on, (B, ...).
        sites: paths of the activations to search, see `swap_activations`; None for all but gates.

    Raises:
        InvalidRequest: if it cannot be run, has no activation that can be replaced, or does not give one tensor.
    """
    taken = _taken_out(deepcopy(model).cpu(), batch, sites)
    outputs = checked_outputs(taken.outputs)
    if not taken.sites:
        reasons = "".join(f"; {path}: {reason}" for path, reason in taken.left.items())
        message = f"no activation in it can be replaced; give `build(act)` or name `sites`{reasons}"
        raise InvalidRequest(FieldProblem(MODEL, message))
    with torch.random.fork_rng(devices=[]):
        kept = _begin(deepcopy(taken.module), weights)

    def built(spec: InputSpec, sites: Sites) -> nn.Module:
        module = deepcopy(taken.module)
        if torch.empty(0).device.type == "meta":  # only asked for shapes
            module = module.to("meta")
        else:
            _begin(module, weights)
        _freeze(module)
        return taken.put(module, sites)

    replaced = {path: taken.replaced[path] for path in taken.sites}  # in the order in which signals pass them
    return Network(built, outputs, replaced, taken.left, kept, usual(taken.functions.values()) or RELU)


def _taken_out(model: nn.Module, batch: Tensor, sites: Collection[str] | None) -> ReadyMade:
    with torch.random.fork_rng(devices=[]):
        try:
            return take_out(model, batch, sites=sites)
        except InvalidRequest:
            raise
        except Exception as error:  # whatever the module's `forward` raises
            message = f"cannot be run on inputs of shape {tuple(batch.shape)}: {type(error).__name__}: {error}"
            raise InvalidRequest(FieldProblem(MODEL, message)) from error


def _begin(module: nn.Module, weights: Weights) -> list[str]:
    """Give a module its first weights, in place; names of those that stay as they were given."""
    if weights == "given":
        return [name for name, _ in module.named_parameters()]
    if weights == "fresh":
        return _redraw(module)
    weights(module)
    return []


@torch.no_grad()
def _redraw(module: nn.Module) -> list[str]:
    given = {name: value.detach().clone() for name, value in module.named_parameters()}
    for value in module.parameters():
        value.fill_(torch.nan)  # shows afterwards which weights no part has drawn
    for part in _innermost_first(module):
        reset = next((getattr(part, name) for name in _RESETS if hasattr(part, name)), None)
        if reset is not None:
            _called(reset, part)
    kept = []
    for name, value in module.named_parameters():
        if not value.requires_grad or value.isnan().any():
            value.copy_(given[name])
            kept.append(name)
    return kept


def _called(reset: Callable[[], object], part: nn.Module) -> None:
    try:
        reset()
    except Exception as error:
        message = f"{type(part).__name__}.{reset.__name__} raises {type(error).__name__}: {error}"
        raise InvalidRequest(FieldProblem("weights", f'{message}; use "given" or a function of your own')) from error


def _innermost_first(module: nn.Module) -> Iterator[nn.Module]:
    """All parts, each behind its own parts, as they were made."""
    yield from reversed(list(module.modules()))


@torch.no_grad()
def _freeze(module: nn.Module) -> None:
    """Keep frozen weights from being trained: the engine trains every parameter, and no buffer."""
    for part in module.modules():
        for name, value in list(part.named_parameters(recurse=False)):
            if not value.requires_grad:
                delattr(part, name)
                part.register_buffer(name, value.detach())
