"""SGD, Adam and AdamW for K trials at once: one matrix of parameters, a row a trial, with rates of its own.

They follow torch.optim's arithmetic, so that a trial takes the same steps in a cohort as alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from actsearch.training.types import Candidate

BETAS = (0.9, 0.999)
EPSILON = 1e-8


class StackedOptimiser(Protocol):
    """Steps on parameters (K, P), of which the first `decayed` columns take weight decay."""

    def step(self, parameters: Tensor, gradient: Tensor, factor: float) -> None:
        """Change `parameters` (K, P) in place; the learning rates count times `factor`. May overwrite `gradient`."""
        ...

    def keep(self, rows: Tensor) -> None:
        """Forget all trials but `rows` (k,)."""
        ...


def stacked_optimiser(name: str, candidates: Sequence[Candidate], parameters: Tensor, decayed: int) -> StackedOptimiser:
    """The optimiser called `name` (`sgd`, `adam` or `adamw`) for `parameters` (K, P) of K candidates."""
    if name == "sgd":
        return StackedSGD(candidates, parameters, decayed)
    return StackedAdam(candidates, parameters, decayed, decoupled=name == "adamw")


def clip_rows(gradient: Tensor, largest: float) -> None:
    """Scale each row of `gradient` (K, P) down in place to a norm of at most `largest`, as `clip_grad_norm_` does."""
    norms = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)  # (K, 1)
    gradient.mul_((largest / (norms + 1e-6)).clamp_(max=1.0))


def _column(values: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device).unsqueeze(1)  # (K,) -> (K, 1)


class StackedSGD:
    """Stochastic gradient descent with momentum and L2 weight decay."""

    def __init__(self, candidates: Sequence[Candidate], parameters: Tensor, decayed: int) -> None:
        self._rate = _column([c.learning_rate for c in candidates], parameters)
        self._decay = _column([c.weight_decay for c in candidates], parameters)
        self._momentum = _column([c.momentum for c in candidates], parameters)
        self._velocity = torch.zeros_like(parameters)
        self._decayed = decayed

    def step(self, parameters: Tensor, gradient: Tensor, factor: float) -> None:
        """Step: v = momentum v + g + decay p;  p = p - rate v."""
        gradient[:, : self._decayed].addcmul_(parameters[:, : self._decayed], self._decay)
        self._velocity.mul_(self._momentum).add_(gradient)
        parameters.addcmul_(self._velocity, self._rate, value=-factor)

    def keep(self, rows: Tensor) -> None:
        """Forget all trials but `rows`."""
        self._rate, self._decay, self._momentum = self._rate[rows], self._decay[rows], self._momentum[rows]
        self._velocity = self._velocity[rows]


class StackedAdam:
    """Adam (Kingma & Ba 2015), with L2 or with decoupled weight decay (AdamW: Loshchilov & Hutter 2019)."""

    def __init__(self, candidates: Sequence[Candidate], parameters: Tensor, decayed: int, *, decoupled: bool) -> None:
        self._decoupled = decoupled
        self._rate = _column([c.learning_rate for c in candidates], parameters)
        self._decay = _column([c.weight_decay for c in candidates], parameters)
        self._mean = torch.zeros_like(parameters)
        self._square = torch.zeros_like(parameters)
        self._decayed = decayed
        self._steps = 0

    def step(self, parameters: Tensor, gradient: Tensor, factor: float) -> None:
        """Step: p = p - rate m' / (sqrt(s') + eps), m' and s' the bias-corrected moments; decay before it.

        Decoupled, p = (1 - rate decay) p; else g = g + decay p.
        """
        self._steps += 1
        weights = parameters[:, : self._decayed]
        if self._decoupled:
            weights.mul_(1 - factor * self._rate * self._decay)
        else:
            gradient[:, : self._decayed].addcmul_(weights, self._decay)
        self._mean.lerp_(gradient, 1 - BETAS[0])
        self._square.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        denominator = torch.sqrt(self._square, out=gradient)
        denominator.div_(math.sqrt(1 - BETAS[1] ** self._steps)).add_(EPSILON)
        step = torch.div(self._mean, denominator, out=gradient)
        parameters.addcmul_(step, self._rate, value=-factor / (1 - BETAS[0] ** self._steps))

    def keep(self, rows: Tensor) -> None:
        """Forget all trials but `rows`."""
        self._rate, self._decay = self._rate[rows], self._decay[rows]
        self._mean, self._square = self._mean[rows], self._square[rows]
