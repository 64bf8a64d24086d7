"""One trial alone: an ordinary module, an optimiser of torch.optim. The reference for the stacked trials."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.utils.hooks import RemovableHandle

from actsearch.schemas import Training
from actsearch.tasks.declaration import Part, Task
from actsearch.training.batches import pieces
from actsearch.training.build import SiteActivation, site_activations
from actsearch.training.precision import in_precision
from actsearch.training.trials import weight_names
from actsearch.training.types import Candidate


class PlainTrial:
    """A single trial (see `network.Trials`, K = 1).

    Args:
        module: from `build_module`, already on the device.
        piece: samples in a forward pass of an evaluation.
    """

    def __init__(self, module: nn.Module, candidate: Candidate, task: Task, training: Training, *, piece: int) -> None:
        self._module, self._task, self._piece = module, task, piece
        device = next(module.parameters()).device
        if device.type == "cpu" and any(isinstance(part, nn.BatchNorm2d) for part in module.modules()):
            # oneDNN's convolutions and torch's BatchNorm: 1.04 (32 channels) to 1.12 times (16) as fast on a resnet.
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._forward = in_precision(training.precision, device, module)
        self._clip = training.gradient_clip
        self._rate = candidate.learning_rate
        self._optimiser = optimiser(module, candidate, training.optimizer)

    def step(self, batch: Part, factor: float) -> Tensor:
        """One optimiser step; the loss before it, (1,)."""
        if not self._module.training:  # setting it takes a walk through all modules
            self._module.train()
        for group in self._optimiser.param_groups:
            group["lr"] = self._rate * factor
        self._optimiser.zero_grad()
        loss = self._task.loss(self._forward, batch)
        loss.backward()
        if self._clip is not None:
            nn.utils.clip_grad_norm_(self._module.parameters(), self._clip)
        self._optimiser.step()
        return loss.detach().unsqueeze(0)

    @torch.no_grad()
    def evaluate(self, part: Part, further: Collection[str] = ()) -> dict[str, Tensor]:
        """The task's metrics on a part and the final ones named in `further`, each (1,)."""
        self._module.eval()
        outputs = torch.cat([self._forward(piece[0]) for piece in pieces(part, self._piece)])  # (N, ...)
        return {name: value.unsqueeze(0) for name, value in self._task.measured(outputs, part, further).items()}

    def largest_slopes(self, part: Part) -> dict[str, Tensor]:
        """For each site the largest |f'(x)| of each channel, (1, channels)."""
        found: dict[str, Tensor] = {}

        def record(activation: SiteActivation, inputs: tuple[Tensor, ...]) -> None:
            slopes = _slopes(activation, inputs[0])
            found[activation.site] = torch.maximum(found.get(activation.site, slopes), slopes)

        self._observe(part, [a.register_forward_pre_hook(record) for a in site_activations(self._module).values()])
        return {site: slopes.unsqueeze(0) for site, slopes in found.items()}

    def near_zero(self, part: Part, bound: float) -> dict[str, Tensor]:
        """For each site the share of outputs with |f(x)| < bound, (1,)."""
        found: dict[str, tuple[Tensor, int]] = {}

        def record(activation: SiteActivation, _: tuple[Tensor, ...], output: Tensor) -> None:
            near, numbers = found.get(activation.site, (torch.zeros((), device=output.device), 0))
            found[activation.site] = near + (output.abs() < bound).sum(), numbers + output.numel()

        self._observe(part, [a.register_forward_hook(record) for a in site_activations(self._module).values()])
        return {site: near.unsqueeze(0) / numbers for site, (near, numbers) in found.items()}

    @torch.no_grad()
    def _observe(self, part: Part, hooks: Sequence[RemovableHandle]) -> None:
        """Run the network over a part in evaluation mode, for the sake of hooks that are removed afterwards."""
        self._module.eval()
        for piece in pieces(part, self._piece):
            self._forward(piece[0])
        for hook in hooks:
            hook.remove()

    def gradient_norms(self, batch: Part) -> tuple[Tensor, Tensor]:
        """Norms of the gradient by the first and the last layer's weights, each (1,)."""
        self._module.eval()
        named = dict(self._module.named_parameters())
        names = weight_names({name: tuple(value.shape) for name, value in named.items()})
        loss = self._task.loss(self._forward, batch)
        first, last = torch.autograd.grad(loss, [named[name] for name in names])
        return first.norm().unsqueeze(0), last.norm().unsqueeze(0)

    def parameter_counts(self) -> list[int]:
        """Trained numbers, [n]."""
        return [sum(value.numel() for value in self._module.parameters())]

    def module(self, row: int) -> nn.Module:
        """The trial's network itself, in evaluation mode."""
        return self._module.eval()

    def keep(self, rows: Sequence[int]) -> None:
        """Nothing to do: the one trial stays."""


def optimiser(module: nn.Module, candidate: Candidate, name: str) -> Optimizer:
    """The optimiser of a module from `build_module`; activations' parameters take no weight decay (He et al. 2015)."""
    own = {id(value) for part in site_activations(module).values() for value in part.parameters()}
    parameters = list(module.parameters())
    groups = [
        {"params": [p for p in parameters if id(p) not in own], "weight_decay": candidate.weight_decay},
        {"params": [p for p in parameters if id(p) in own], "weight_decay": 0.0},
    ]
    if name == "sgd":
        return SGD(groups, lr=candidate.learning_rate, momentum=candidate.momentum, fused=True)
    kind = AdamW if name == "adamw" else Adam
    return kind(groups, lr=candidate.learning_rate, fused=True)


def _slopes(activation: SiteActivation, x: Tensor) -> Tensor:
    """The largest |f'(x)| of each channel, (channels,)."""
    with torch.enable_grad():
        at = x.detach().requires_grad_()
        value = activation.forward(at)
        if not value.requires_grad:  # the derivative of a constant
            return x.new_zeros(activation.channels)
        (slope,) = torch.autograd.grad(value.sum(), at, allow_unused=True)
    slope = torch.zeros_like(at) if slope is None else slope
    return slope.abs().movedim(activation.axis, 0).flatten(1).amax(1)
