"""Which activations are the same function under two names."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from actsearch.activations.expressions.family import family_of
from actsearch.activations.given import AS_GIVEN
from actsearch.activations.resolution import learned_names, resolve
from actsearch.schemas import ActivationSpec

# Values are compared on a grid of relative width 1e-5. The offset is irrational, so that the round numbers which
# activations love (0, 1, 6, 0.01 ...) never lie on the border of two cells, where the last bit would decide.
_CELLS = 1e5
_OFFSET = 2**0.5 - 1


def fingerprint(spec: ActivationSpec) -> str:
    """16 hexadecimal digits that activations share when they compute the same function.

    The function is compared at the 1,000 quantiles of N(0, 1) and at eight points of its tails, where, say, `relu`
    and `relu6` part. Two names that are equal only at first (learned parameters) or on average (random slopes) differ.
    Rounding makes equal functions differ with a chance of about one in a million. `as given` is equal to itself only.

    Raises:
        InvalidRequest: see `resolve`.
    """
    full = resolve(spec)
    if full.family == AS_GIVEN:
        return hashlib.sha256(AS_GIVEN.encode()).hexdigest()[:16]
    family = family_of(full)
    value = family.function(_points(), **full.parameters)
    cells = torch.floor(torch.asinh(value) * _CELLS + _OFFSET).nan_to_num(nan=0.5).to(torch.float64)
    digest = hashlib.sha256((cells + 0.0).numpy().astype("<f8").tobytes())  # + 0.0 turns -0.0 into 0.0
    trained = learned_names(full)
    if trained or family.stochastic:
        digest.update(repr((full.label, full.learned, trained)).encode())
    return digest.hexdigest()[:16]


def _points() -> Tensor:
    """(1008,), float64."""
    shares = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    tails = torch.tensor([-40.0, -11.0, -7.0, -4.5, 4.5, 7.0, 11.0, 40.0], dtype=torch.float64)
    return torch.cat([torch.special.ndtri(shares), tails])
