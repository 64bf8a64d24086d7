"""What an activation looks like to a network at initialisation, as a vector in which near means alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import norm

from actsearch.activations import expression_family, families, get_family
from actsearch.activations.declaration import Family

Array = npt.NDArray[np.float64]
Values = Mapping[str, float]
Activation = tuple[str, str | None, Values]
"""A family, its expression where it is `expression`, and all its hyperparameters."""

_POINTS, _EVERY = 128, 4
_SAMPLED = _POINTS // _EVERY
_SIGNALS = 5
WIDTH = 2 * _SAMPLED + _SIGNALS
_SETTINGS = 16
_REMEMBERED = 50_000
_Key = tuple[str, str | None, tuple[tuple[str, float], ...]]
_known: dict[_Key, Array] = {}


def features(activations: Sequence[Activation]) -> Array:
    """Vectors (N, D) of activations.

    Three blocks, each of unit variance over the catalogue: the function and its derivative at quantiles of N(0, 1),
    scaled by the gain that initial weights get (two functions that differ by a factor are the same network), and
    signals at initialisation: mean, log chi_1 and its size (how far gradients vanish or explode with depth; the
    imbalance of gradients, the proxy that held in our measurements, grows with it), roughness, log gain.
    """
    mean, scale = _reference()
    return (_raw(activations) - mean) * scale


@lru_cache(maxsize=1024)
def catalogue_settings(family: str) -> Array:
    """Where a family is looked at, (M, P) in shares of its hyperparameters' ranges; the same each time."""
    if family not in families():
        return np.zeros((0, 0))
    count = sum(p.searched for p in get_family(family).parameters.values())
    return np.random.default_rng(0).random((_SETTINGS if count else 1, count))


def _raw(activations: Sequence[Activation]) -> Array:
    if len(_known) > _REMEMBERED:
        _known.clear()
    keys: list[_Key] = [(name, text, tuple(sorted(values.items()))) for name, text, values in activations]
    missing: dict[tuple[str, str | None, tuple[str, ...]], list[_Key]] = {}  # those with the same values in use
    for key in dict.fromkeys(keys):
        if key not in _known:
            missing.setdefault((*key[:2], tuple(n for n, _ in key[2])), []).append(key)
    for (name, text, _), wanted in missing.items():
        family = get_family(name) if text is None else expression_family(text)
        _known.update(zip(wanted, _family_rows(family, [dict(key[2]) for key in wanted]), strict=True))
    return np.stack([_known[key] for key in keys])


def _family_rows(family: Family, settings: Sequence[Values]) -> Array:
    """Raw vectors (N, D) of one family at several settings, computed together."""
    x = _quantiles().repeat(len(settings), 1).requires_grad_()  # (N, points)
    parameters = {n: torch.tensor([[float(s[n])] for s in settings], dtype=x.dtype) for n in settings[0]}
    with torch.enable_grad():
        value = family.function(x, **parameters)
        (derivative,) = torch.autograd.grad(value.sum(), x)
    f, slope = np.nan_to_num(value.detach().numpy()), np.nan_to_num(derivative.numpy())
    gain = 1 / np.sqrt(np.clip((f**2).mean(1), 1e-4, 1e4))
    if family.initial_gain is not None:
        gain = np.array([family.initial_gain(**s) for s in settings])
    f, slope = f * gain[:, None], slope * gain[:, None]
    chi = np.clip(np.log10(np.clip((slope**2).mean(1), 1e-4, 1e4)), -2, 2)
    rough = np.log10(np.abs(np.diff(slope, axis=1)).mean(1) + 1e-3)
    signals = np.stack([np.arcsinh(f.mean(1)), chi, np.abs(chi), rough, np.log10(gain)], 1)
    return np.concatenate([np.arcsinh(f[:, ::_EVERY]), np.arcsinh(slope[:, ::_EVERY]), signals], 1)


@lru_cache(maxsize=1)
def _quantiles() -> torch.Tensor:
    return torch.from_numpy(norm.ppf((np.arange(_POINTS) + 0.5) / _POINTS))


@lru_cache(maxsize=1)
def _reference() -> tuple[Array, Array]:
    """Mean and scale (D,) over the catalogue; each block counts alike."""
    raw = _raw([(n, None, at_shares(f, row)) for n, f in families().items() for row in catalogue_settings(n)])
    scale = np.empty(raw.shape[1])
    for block in (slice(0, _SAMPLED), slice(_SAMPLED, 2 * _SAMPLED)):
        scale[block] = 1 / np.sqrt(raw[:, block].var(0).sum())
    scale[-_SIGNALS:] = 1 / (raw[:, -_SIGNALS:].std(0) + 1e-9) / np.sqrt(_SIGNALS)
    return raw.mean(0), scale


def at_shares(family: Family, shares: Array) -> dict[str, float]:
    """A family's hyperparameters with the searched ones at `shares` (P,) of their ranges; the others at defaults."""
    left = iter(shares)
    values = {}
    for name, p in family.parameters.items():
        if not p.searched:
            values[name] = p.default
        elif p.log:
            values[name] = p.low * (p.high / p.low) ** next(left)
        else:
            values[name] = p.low + (p.high - p.low) * next(left)
        if p.whole:
            values[name] = round(values[name])
    return values
