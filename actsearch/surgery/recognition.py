"""Which activation of the catalogue a function is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy

import torch
from torch import Tensor, nn

from actsearch.activations import Activation, distinct_families, learned_names, resolve
from actsearch.errors import InvalidRequest
from actsearch.schemas import ActivationSpec


def usual(functions: Iterable[Callable[[Tensor], Tensor]]) -> ActivationSpec | None:
    """The activation of the catalogue that most of these are; None if none is in it."""
    found = [recognised(function) for function in functions]
    counts = Counter(spec.model_dump_json() for spec in found if spec is not None)
    return ActivationSpec.model_validate_json(counts.most_common(1)[0][0]) if counts else None


def recognised(function: Callable[[Tensor], Tensor]) -> ActivationSpec | None:
    """The activation of the catalogue that computes the same as a function or module; None if there is none.

    Tried are every family's defaults, and the slope of `leaky_relu` and the depth of `elu` that fit. A `PReLU` is
    known by its class, for what it computes is learned.
    """
    if isinstance(function, Activation):
        return function.spec
    if isinstance(function, nn.PReLU):
        return ActivationSpec(family="prelu", learned="scalar" if function.num_parameters == 1 else "channel")
    x = torch.linspace(-8, 8, 321, dtype=torch.float64)
    try:
        called = deepcopy(function).double().eval() if isinstance(function, nn.Module) else function
        with torch.no_grad():
            value, at_minus_one = called(x.clone()), float(called(-torch.ones(1, dtype=torch.float64)))
    except Exception:  # a function of somebody else's, which may want anything
        return None
    return next((spec for spec in _candidates(at_minus_one) if _computes(spec, x, value)), None)


def _candidates(at_minus_one: float) -> Iterator[ActivationSpec]:
    yield from (ActivationSpec(family=name) for name, family in distinct_families().items() if not family.stochastic)
    if math.isfinite(at_minus_one):
        yield ActivationSpec(family="leaky_relu", parameters={"slope": _rounded(-at_minus_one)})
        yield ActivationSpec(family="elu", parameters={"alpha": _rounded(at_minus_one / math.expm1(-1.0))})


def _rounded(value: float) -> float:
    return float(f"{value:.9g}")


def _computes(spec: ActivationSpec, x: Tensor, value: Tensor) -> bool:
    try:
        full = resolve(spec)
    except InvalidRequest:  # a parameter out of its range
        return False
    if learned_names(full):
        return False
    return torch.allclose(Activation(full)(x), value, rtol=1e-6, atol=1e-9)
