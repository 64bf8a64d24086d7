"""Regression of a sum of sines: smooth networks learn the low frequencies first and may never reach the high ones.

Reference: Rahaman et al., "On the Spectral Bias of Neural Networks", https://arxiv.org/abs/1806.08734.
"""

from __future__ import annotations

import numpy as np
import torch

from actsearch.schemas import ParameterInfo
from actsearch.tasks.declaration import Dataset, Part, register
from actsearch.tasks.kinds import task_of_kind
from actsearch.tasks.splits import SPLIT_SEED, Array, split_indices

_SAMPLES = ParameterInfo(name="samples", type="int", default=1024, low=64, high=65_536, description="Points in all.")
_SINES = ParameterInfo(name="sines", type="int", default=5, low=1, high=32, description="Sines in the sum.")


def multi_sine(x: Array, sines: int) -> Array:
    """sqrt(2 / n) Σ sin(2π k x + k²), k = 1 ... n, at places x in [-1, 1]; mean 0, variance 1 over the interval."""
    k = np.arange(1, sines + 1)
    return np.asarray(np.sqrt(2 / sines) * np.sin(2 * np.pi * x[..., None] * k + k**2).sum(-1))


def _load(samples: int = 1024, sines: int = 5, split_seed: int = 0) -> Dataset:
    x = np.linspace(-1, 1, samples)
    y = multi_sine(x, sines)
    train, validation, test = split_indices(samples, (0.2, 0.2), split_seed)
    return Dataset(
        train=_part(x[train], y[train]),
        validation=_part(x[validation], y[validation]),
        test=_part(x[test], y[test]),
        input_kind="coordinates",
        input_shape=(1,),
        outputs=1,
    )


def _part(x: Array, y: Array) -> Part:
    return torch.from_numpy(x[:, None]).float(), torch.from_numpy(y[:, None]).float()  # (N, 1) each


register(
    task_of_kind(
        "regression",
        "multi_sine",
        "A sum of sines on [-1, 1], without noise: fitting several frequencies at once.",
        _load,
        source="A formula, computed here",
        parameters=(_SAMPLES, _SINES, SPLIT_SEED),
    )
)
