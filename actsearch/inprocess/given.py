"""What a ready-made network computes at its sites: what the catalogue calls it, and whether a stack may call it."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from actsearch.activations import Activation, distinct_families, learned_names, resolve
from actsearch.errors import FieldProblem, InvalidRequest
from actsearch.schemas import ActivationSpec
from actsearch.surgery.copying import copied
from actsearch.surgery.recognition import recognised

Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Nearest:
    """The activation of the catalogue that is nearest to a function.

    Args:
        difference: root mean square for inputs of N(0, 1); 0 where both compute the same.
    """

    activation: ActivationSpec
    difference: float

    def __str__(self) -> str:
        if self.difference == 0:
            return f"{self.activation.text} of the catalogue"
        return f"nearest in the catalogue: {self.activation.text}, RMS difference {self.difference:.2g}"


def nearest(function: Function) -> Nearest | None:
    """The catalogue's nearest activation; None for a function that cannot be called on its own."""
    same = recognised(function)
    if same is not None:
        return Nearest(same, 0.0)
    shares = (torch.arange(200, dtype=torch.float64) + 0.5) / 200
    x = torch.special.ndtri(shares)
    value = _called(function, x)
    if value is None or value.shape != x.shape:
        return None
    differences = {
        name: float((Activation(ActivationSpec(family=name))(x) - value).square().mean().sqrt())
        for name, family in distinct_families().items()
        if not family.stochastic and not learned_names(resolve(ActivationSpec(family=name)))
    }
    name = min(differences, key=differences.__getitem__)
    return Nearest(ActivationSpec(family=name), differences[name])


def _called(function: Function, x: Tensor) -> Tensor | None:
    try:
        called = deepcopy(function).double().eval() if isinstance(function, nn.Module) else function
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            return called(x.clone()).detach()
    except Exception:  # a function of somebody else's, which may want anything
        return None


def keeps_nothing(function: Function) -> bool:
    """Whether a function is the same for any number of trials at once: no weights, no noise, no modes, elementwise."""
    if isinstance(function, nn.Module) and function.state_dict():
        return False
    x = torch.linspace(-3, 3, 24).view(4, 6)
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            wanted = _in_mode(function, True, 0)(x.clone())
            others = [_in_mode(function, True, 1)(x.clone()), _in_mode(function, False, 1)(x.clone())]
            others.append(_in_mode(function, True, 0)(x.t().clone()).t())
            others.append(_in_mode(function, True, 0)(x.view(2, 2, 6).clone()).view(4, 6))
    except Exception:  # it wants something else: it is called alone, as the network calls it
        return False
    return all(torch.equal(wanted, other) for other in others)


def _in_mode(function: Function, mode: bool, seed: int) -> Function:
    torch.default_generator.manual_seed(seed)
    return deepcopy(function).train(mode) if isinstance(function, nn.Module) else function


def check_same(model: nn.Module, rebuilt: nn.Module, batch: Any) -> None:
    """See that a module computes what it did before its activations were taken out and put back, in both modes.

    Raises:
        InvalidRequest: if it does not.
    """
    for mode in (True, False):
        first, again = (_outputs(model, batch, mode) for _ in range(2))
        if _alike(first, again) and not _alike(first, _outputs(rebuilt, batch, mode)):
            when = "training" if mode else "evaluation"
            message = (
                f"in {when} it computes something else once its own activations are taken out and put back, so nothing "
                "could be compared with it; leave out places with `sites`, or give `build(act)`"
            )
            raise InvalidRequest(FieldProblem("model", message))


def _outputs(module: nn.Module, batch: Any, mode: bool) -> list[Tensor]:
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        outputs = copied(module).train(mode)(batch)
    return [leaf for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor)]


def _alike(some: list[Tensor], others: list[Tensor]) -> bool:
    return len(some) == len(others) and all(
        a.shape == b.shape and torch.allclose(a, b, rtol=1e-3, atol=1e-5, equal_nan=True)
        for a, b in zip(some, others, strict=True)
    )
