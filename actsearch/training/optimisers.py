"""SGD, Adam and AdamW for K trials at once: one matrix of parameters, a row a trial, with rates of its own.

They follow torch.optim's arithmetic, so that a trial takes the same steps in a cohort as alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from actsearch.training.types import Candidate

BETAS = (0.9, 0.999)
EPSILON = 1e-8


class StackedOptimiser(Protocol):
    """Steps on parameters (K, P), of which the first `decayed` columns take weight decay."""

    def step(self, parameters: Tensor, gradients: Sequence[Tensor], factor: float) -> None:
        """Change `parameters` (K, P) in place; the learning rates count times `factor`.

        Args:
            gradients: of columns beside each other, (K, n) each; together all P.
        """
        ...

    def keep(self, rows: Tensor) -> None:
        """Forget all trials but `rows` (k,)."""
        ...


def stacked_optimiser(name: str, candidates: Sequence[Candidate], parameters: Tensor, decayed: int) -> StackedOptimiser:
    """The optimiser called `name` (`sgd`, `adam` or `adamw`) for `parameters` (K, P) of K candidates."""
    if name == "sgd":
        return StackedSGD(candidates, parameters, decayed)
    return StackedAdam(candidates, parameters, decayed, decoupled=name == "adamw")


def clipped(gradients: Sequence[Tensor], largest: float) -> list[Tensor]:
    """Gradients (K, n) scaled down to a norm of at most `largest` in each row of all, as `clip_grad_norm_` does."""
    norms = torch.stack([torch.linalg.vector_norm(gradient, dim=1) for gradient in gradients])
    scale = (largest / (torch.linalg.vector_norm(norms, dim=0) + 1e-6)).clamp_(max=1.0).unsqueeze(1)  # (K, 1)
    return [gradient * scale for gradient in gradients]


def _column(values: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device).unsqueeze(1)  # (K,) -> (K, 1)


class _Decay:
    """Weight decay of the trials, which costs nothing where no trial has any."""

    def __init__(self, candidates: Sequence[Candidate], parameters: Tensor, decayed: int) -> None:
        self._decayed = decayed
        self._any = any(c.weight_decay for c in candidates)
        self.strength = _column([c.weight_decay for c in candidates], parameters)

    def added_to(self, gradient: Tensor, parameters: Tensor) -> None:
        """L2: g = g + decay p, in place; both (K, P)."""
        if self._any:
            gradient[:, : self._decayed].addcmul_(parameters[:, : self._decayed], self.strength)

    def shrink(self, parameters: Tensor, rate: Tensor) -> None:
        """Decoupled: p = (1 - rate decay) p."""
        if self._any:
            parameters[:, : self._decayed].mul_(1 - rate * self.strength)


class StackedSGD:
    """Stochastic gradient descent with momentum and L2 weight decay."""

    def __init__(self, candidates: Sequence[Candidate], parameters: Tensor, decayed: int) -> None:
        self._rate = _column([c.learning_rate for c in candidates], parameters)
        self._momentum = _column([c.momentum for c in candidates], parameters)
        self._velocity = torch.zeros_like(parameters)
        self._decay = _Decay(candidates, parameters, decayed)

    def step(self, parameters: Tensor, gradients: Sequence[Tensor], factor: float) -> None:
        """Step: v = momentum v + g + decay p;  p = p - rate v."""
        # Column by column: joined first, the gradients would go through memory twice more.
        columns = self._velocity.split([gradient.shape[1] for gradient in gradients], dim=1)
        for gradient, velocity in zip(gradients, columns, strict=True):
            torch.addcmul(gradient, velocity, self._momentum, out=velocity)
        self._decay.added_to(self._velocity, parameters)
        parameters.addcmul_(self._velocity, self._rate, value=-factor)

    def keep(self, rows: Tensor) -> None:
        """Forget all trials but `rows`."""
        self._rate, self._momentum = self._rate[rows], self._momentum[rows]
        self._velocity = self._velocity[rows]
        self._decay.strength = self._decay.strength[rows]


class StackedAdam:
    """Adam (Kingma & Ba 2015), with L2 or with decoupled weight decay (AdamW: Loshchilov & Hutter 2019).

    torch's fused Adam knows one learning rate. So it moves a point that stands at zero, with the rate 1, and how far it
    went is then taken at each trial's own rate.
    """

    def __init__(self, candidates: Sequence[Candidate], parameters: Tensor, decayed: int, *, decoupled: bool) -> None:
        self._decoupled = decoupled
        self._rate = _column([c.learning_rate for c in candidates], parameters)
        self._decay = _Decay(candidates, parameters, decayed)
        self._move = torch.zeros_like(parameters)
        self._adam = _fused_adam(self._move)

    @torch.no_grad()
    def step(self, parameters: Tensor, gradients: Sequence[Tensor], factor: float) -> None:
        """Step: p = p - rate m' / (sqrt(s') + eps), m' and s' the bias-corrected moments; decay before it.

        Decoupled, p = (1 - rate decay) p; else g = g + decay p.
        """
        gradient = torch.cat(list(gradients), dim=1)
        if self._decoupled:
            self._decay.shrink(parameters, factor * self._rate)
        else:
            self._decay.added_to(gradient, parameters)
        self._move.zero_().grad = gradient
        self._adam.step()
        parameters.addcmul_(self._move, self._rate, value=factor)

    def keep(self, rows: Tensor) -> None:
        """Forget all trials but `rows`."""
        moments = self._adam.state[self._move]
        self._rate, self._move = self._rate[rows], self._move[rows]
        self._decay.strength = self._decay.strength[rows]
        self._adam = _fused_adam(self._move)
        if moments:
            kept = {name: moments[name][rows] for name in ("exp_avg", "exp_avg_sq")}
            self._adam.state[self._move] = {"step": moments["step"], **kept}


def _fused_adam(point: Tensor) -> torch.optim.Adam:
    return torch.optim.Adam([point], lr=1.0, betas=BETAS, eps=EPSILON, fused=True)
