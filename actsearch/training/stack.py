"""K trials as one vectorised program: weights stacked on a leading axis, one forward and backward pass for all.

All trained numbers are one matrix, a row a trial, so that an optimiser step is a handful of operations whatever the
network's depth, and leaving trials are rows that are not copied. `vmap` runs a template of the network on views of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from actsearch.schemas import ActivationSpec, Training
from actsearch.tasks.declaration import Part, Predict, Task
from actsearch.training.batches import pieces
from actsearch.training.build import GivenSite, site_activations
from actsearch.training.layers import blocks_of, layers_of
from actsearch.training.optimisers import clipped, stacked_optimiser
from actsearch.training.precision import in_precision
from actsearch.training.sites import Merge, Observe, Observer, StackedSite, slot_name
from actsearch.training.trials import weight_names
from actsearch.training.types import Candidate

Named = dict[str, Tensor]

_METRIC_NUMBERS = 2**23
"""Outputs whose final metrics are computed at once: they sort them, which takes several times their memory."""


@dataclass(frozen=True)
class _Layout:
    """Where each parameter lies in a row of the matrix (K, P): weights first, then the activations' slots."""

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    sizes: tuple[int, ...]
    decayed: int

    def views(self, matrix: Tensor) -> Named:
        """Parameters by name, each (K, *shape), without copying."""
        columns = matrix.split(self.sizes, dim=1)
        return {
            name: part.view(len(matrix), *shape)
            for name, part, shape in zip(self.names, columns, self.shapes, strict=True)
        }


class _OtherInputs(Exception):
    """A task's loss asks for outputs on other inputs than the batch's, or for derivatives by them."""


class StackedTrials:
    """K trials of one architecture (see `network.Trials`).

    Args:
        modules: from `build_module`, one a trial, on the CPU.
        candidates: in the same order; trials of one family should be neighbours (they share operations).
        piece: samples of a trial in a forward pass of an evaluation.
    """

    def __init__(
        self,
        modules: Sequence[nn.Module],
        candidates: Sequence[Candidate],
        task: Task,
        training: Training,
        *,
        device: torch.device,
        piece: int,
    ) -> None:
        self._task, self._piece, self._clip = task, piece, training.gradient_clip
        self._modules, self._device = list(modules), device
        self._specs = _specs(modules)
        self._counts = [sum(value.numel() for value in module.parameters()) for module in modules]
        self._template = _template(modules, self._specs, device)
        self._sites = {path: cast("StackedSite", self._template.get_submodule(path)) for path in self._specs}
        self._layout = _layout(self._template, self._sites)
        self._matrix = _matrix(modules, self._layout).to(device).requires_grad_()
        self._buffers = _buffers(modules, self._sites, device)
        layers = layers_of(self._template)
        self._blocks = blocks_of(self._template, len(modules), device)
        self._layers = layers and in_precision(training.precision, device, layers)
        self._layers_suffice = False  # whether a loss was content with them
        self._network = in_precision(training.precision, device, partial(_called, self._template), vmapped=True)
        self._optimiser = stacked_optimiser(training.optimizer, candidates, self._matrix.detach(), self._layout.decayed)

    def step(self, batch: Part, factor: float) -> Tensor:
        """One optimiser step of every trial on a batch; the losses before it, (K,)."""
        if not self._template.training:  # setting it takes a walk through all modules
            self._template.train()
        parameters = self._layout.views(self._matrix)
        losses = self._losses(batch, parameters)
        # Trials share nothing, so the gradient of the sum is each trial's own gradient, row by row.
        found = torch.autograd.grad(losses.sum(), list(parameters.values()), materialize_grads=True)
        gradients = [gradient.reshape(len(gradient), -1) for gradient in found]  # (K, n)
        if self._clip is not None:
            gradients = clipped(gradients, self._clip)
        self._optimiser.step(self._matrix.detach(), gradients, factor)
        return losses.detach()

    def _losses(self, batch: Part, parameters: Named) -> Tensor:
        if self._task.stacked_loss is not None:
            return self._task.stacked_loss(self._outputs(parameters, batch[0]), batch)
        if self._layers is not None:
            before = {} if self._layers_suffice else {name: value.clone() for name, value in self._buffers.items()}
            try:
                outputs = self._layers(parameters, self._buffers, batch[0], self._blocks)
                losses = self._losses_of_outputs(batch, outputs)
            except _OtherInputs:
                self._layers = None
                for name, value in before.items():  # statistics of what does not count
                    self._buffers[name].copy_(value)
            else:
                self._layers_suffice = True
                return losses
        return self._vmapped_losses(batch, parameters)

    def _losses_of_outputs(self, batch: Part, outputs: Tensor) -> Tensor:
        """Losses of outputs (K, B, ...), if all that the task's loss asks for are the outputs on the batch itself."""

        def loss(output: Tensor) -> Tensor:
            def predict(x: Any) -> Tensor:
                if x is not batch[0]:
                    raise _OtherInputs
                return output

            return self._task.loss(predict, batch)

        return torch.vmap(loss, randomness="same")(outputs)

    def _vmapped_losses(self, batch: Part, parameters: Named) -> Tensor:
        def loss(parameters: Named, buffers: Named) -> Tensor:
            return self._task.loss(self._predict(parameters, buffers), batch)

        return torch.vmap(loss, randomness="same")(parameters, self._buffers)

    def _predict(self, parameters: Named, buffers: Named) -> Predict:
        return lambda x: self._network((parameters, buffers), (x,))

    @torch.no_grad()
    def evaluate(self, part: Part, further: Collection[str] = ()) -> dict[str, Tensor]:
        """The task's metrics on a part and the final ones named in `further`, each (K,)."""
        self._template.eval()
        parameters = self._layout.views(self._matrix)
        found = [self._outputs(parameters, piece[0]) for piece in pieces(part, self._piece)]  # (K, n, ...)
        outputs = torch.cat(found, dim=1)
        at_once = max(1, _METRIC_NUMBERS // outputs[0].numel()) if further else None
        return dict(torch.vmap(lambda y: self._task.measured(y, part, further), chunk_size=at_once)(outputs))

    def _outputs(self, parameters: Named, x: Any) -> Tensor:
        """Outputs (K, B, ...) for inputs (B, ...)."""
        if self._layers is not None:
            return self._layers(parameters, self._buffers, x, self._blocks)

        def outputs(parameters: Named, buffers: Named, x: Any) -> Tensor:
            return self._predict(parameters, buffers)(x)

        return torch.vmap(outputs, in_dims=(0, 0, None), randomness="same")(parameters, self._buffers, x)

    def largest_slopes(self, part: Part) -> dict[str, Tensor]:
        """For each site the largest |f'(x)| of each channel, (K, channels)."""
        return self._observed(part, StackedSite.largest_slopes, torch.maximum)

    def near_zero(self, part: Part, bound: float) -> dict[str, Tensor]:
        """For each site the share of outputs with |f(x)| < bound, (K,)."""

        def count(_: StackedSite, x: Tensor, value: Tensor) -> Tensor:
            near = (value.abs() < bound).float().sum()
            return torch.stack([near, torch.full_like(near, value.numel())])

        counts = self._observed(part, count, torch.add)
        return {name: near / numbers for name, (near, numbers) in ((n, c.unbind(1)) for n, c in counts.items())}

    @torch.no_grad()
    def _observed(self, part: Part, observe: Observe, merge: Merge) -> Named:
        """What `observe` finds at each site over a part, (K, ...); `merge` joins what its several uses find."""
        self._template.eval()

        def observations(parameters: Named, buffers: Named, x: Any) -> Named:
            observer = Observer(observe, merge, {})
            for site in self._sites.values():
                site.observer = observer
            self._predict(parameters, buffers)(x)
            return observer.recorded

        forward = torch.vmap(observations, in_dims=(0, 0, None), randomness="same")
        found: Named = {}
        for piece in pieces(part, self._piece):
            new = forward(self._layout.views(self._matrix), self._buffers, piece[0])
            found = {name: merge(found[name], value) if found else value for name, value in new.items()}
        for site in self._sites.values():
            site.observer = None
        return found

    def gradient_norms(self, batch: Part) -> tuple[Tensor, Tensor]:
        """Norms of the gradient by the first and the last layer's weights, each (K,)."""
        self._template.eval()
        names = weight_names(dict(zip(self._layout.names, self._layout.shapes, strict=True)))
        parameters = self._layout.views(self._matrix)
        losses = self._losses(batch, parameters)
        first, last = torch.autograd.grad(losses.sum(), [parameters[name] for name in names])
        return first.flatten(1).norm(dim=1), last.flatten(1).norm(dim=1)

    def parameter_counts(self) -> list[int]:
        """Trained numbers of each trial."""
        return self._counts

    @torch.no_grad()
    def module(self, row: int) -> nn.Module:
        """The network of a trial with the weights and statistics it has now, in evaluation mode."""
        module = self._modules[row].to(self._device).eval()
        views = self._layout.views(self._matrix)
        for name, value in _template_parameters(module):
            value.copy_(views[name][row])
        for name, buffer in module.named_buffers():
            buffer.copy_(self._buffers[name][row])
        return module

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with the trials at these places only."""
        index = torch.tensor(rows, device=self._matrix.device)
        self._matrix = self._matrix.detach()[index].requires_grad_()
        self._buffers = {name: value[index] for name, value in self._buffers.items()}
        self._optimiser.keep(index)
        self._counts = [self._counts[row] for row in rows]
        self._modules = [self._modules[row] for row in rows]
        for path, site in self._sites.items():
            self._specs[path] = [self._specs[path][row] for row in rows]
            site.arrange(self._specs[path])
        self._blocks = blocks_of(self._template, len(rows), self._device)


def _called(template: nn.Module, state: tuple[Named, Named], inputs: tuple[Any]) -> Tensor:
    """The template with parameters and buffers in the place of its own.

    Without the kernels that torch's attention takes in evaluation: under `vmap` it takes them where gradients are asked
    for, too, which they do not have.
    """
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        outputs: Tensor = functional_call(template, state, inputs)
        return outputs
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _specs(modules: Sequence[nn.Module]) -> dict[str, list[ActivationSpec]]:
    """The activation of each module at each site, by the site's path."""
    each = [site_activations(module) for module in modules]
    return {path: [activations[path].spec for activations in each] for path in each[0]}


def _template(modules: Sequence[nn.Module], specs: dict[str, list[ActivationSpec]], device: torch.device) -> nn.Module:
    """A copy of the network with a `StackedSite` at every site; its own weights are never used."""
    template = deepcopy(modules[0]).to(device)
    each = [site_activations(module) for module in modules]
    for path, activation in each[0].items():
        given = next((here for one in each if isinstance(here := one[path], GivenSite)), None)
        site = StackedSite(
            activation.site,
            specs[path],
            channels=activation.channels,
            axis=activation.axis,
            device=device,
            given=given and given.forward,
        )
        template.set_submodule(path, site.to(device))
    return template


def _layout(template: nn.Module, sites: dict[str, StackedSite]) -> _Layout:
    slots = {f"{path}.{name}" for path, site in sites.items() for name, _ in site.named_parameters()}
    named = sorted(template.named_parameters(), key=lambda item: item[0] in slots)  # stable: weights keep their order
    sizes = tuple(value.numel() for _, value in named)
    return _Layout(
        names=tuple(name for name, _ in named),
        shapes=tuple(tuple(value.shape) for _, value in named),
        sizes=sizes,
        decayed=sum(size for (name, _), size in zip(named, sizes, strict=True) if name not in slots),
    )


def _matrix(modules: Sequence[nn.Module], layout: _Layout) -> Tensor:
    """The parameters of the modules, (K, P); slots that a trial does not use are zero."""
    matrix = torch.zeros(len(modules), sum(layout.sizes))
    views = layout.views(matrix)
    for row, module in enumerate(modules):
        for name, value in _template_parameters(module):
            views[name][row] = value.detach()
    return matrix


def _template_parameters(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """A module's parameters under the names that the template gives them."""
    activations = site_activations(module)
    for name, value in module.named_parameters():
        path, _, parameter = name.rpartition(".")
        own = activations.get(path)
        yield (name if own is None else f"{path}.{slot_name(own.spec, parameter)}"), value


def _buffers(modules: Sequence[nn.Module], sites: dict[str, StackedSite], device: torch.device) -> Named:
    """The modules' buffers and the sites' mark of a trial, each (K, ...)."""
    each = [dict(module.named_buffers()) for module in modules]
    stacked = {name: torch.stack([buffers[name] for buffers in each]).to(device) for name in each[0]}
    return stacked | {f"{path}.trial": torch.zeros(len(modules), device=device) for path in sites}
