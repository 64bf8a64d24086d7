"""Activation sites of a cohort: one operation that gives each trial its own family and parameters.

Under `vmap` a site sees one trial. Its batching rule sees them all, stacked: it splits the stack into runs of the same
family, gives each run that family's formula with parameters (k, 1, ..., 1), and joins the results. The rule's own
operations are ordinary autograd operations, so gradients of signals and of learned parameters come by themselves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, cast

import torch
from torch import Tensor, nn

from actsearch.activations import AS_GIVEN, family_of, learned_names
from actsearch.schemas import ActivationSpec
from actsearch.training.noise import site_noise


@dataclass(frozen=True)
class Group:
    """A run of trials with the same family and the same way of learning.

    Args:
        start, size: where in the stack.
        fixed: values of the parameters that are not learned: a number where all agree, else (size,).
        learned: parameter name -> place among the site's learned slots.
        stochastic: draws random numbers in training.
    """

    function: Callable[..., Tensor]
    start: int
    size: int
    fixed: Mapping[str, float | Tensor]
    learned: Mapping[str, int]
    stochastic: bool


class StackedSite(nn.Module):
    """The activations of K trials at one site; to be called under `vmap` over the trials.

    Learned parameters live in slots, one for each (family, way of learning, parameter) in the cohort, of shape () or
    (channels,) for a trial, (K, ...) stacked. A trial uses the slots of its own family; the others' gradients are zero.

    Args:
        specs: the resolved activation of each trial, in the order of the stack.
        channels, axis: the channel axis and its size, counted with the batch axis.
        device: where the trials are trained.
        given: what trials compute whose activation is `as given`; see `GivenSite.stacks`.
    """

    gain = 1.0

    def __init__(
        self,
        site: str,
        specs: Sequence[ActivationSpec],
        *,
        channels: int,
        axis: int,
        device: torch.device,
        given: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self._given = given
        self.site, self.channels, self.axis, self._device = site, channels, axis, device
        for spec in specs:
            for name in learned_names(spec):
                shape = () if spec.learned == "scalar" else (channels,)
                self.register_parameter(slot_name(spec, name), nn.Parameter(torch.zeros(shape)))
        self._slots = tuple(self._parameters)
        # Batched wherever the trials are: tells the batching rule apart from a `vmap` that the task's loss may use.
        self.register_buffer("trial", torch.zeros(()))
        self.observer: Observer | None = None
        self.arrange(specs)

    def arrange(self, specs: Sequence[ActivationSpec]) -> None:
        """Say which trials the stack holds now."""
        self.groups: list[Group] = []
        start = 0
        for _, run in groupby(specs, key=lambda spec: (spec.label, spec.learned)):
            members = list(run)
            self.groups.append(self._group(members, start))
            start += len(members)

    def _group(self, members: Sequence[ActivationSpec], start: int) -> Group:
        first = members[0]
        if first.family == AS_GIVEN and self._given is not None:
            return Group(self._given, start, len(members), fixed={}, learned={}, stochastic=False)
        family = family_of(first)
        # Members may have different hyperparameters in use; the formula leaves alone what a trial has not.
        used = [name for name in family.parameters if any(name in member.parameters for member in members)]
        learned = [name for name in used if family.parameters[name].learnable] if learned_names(first) else []
        return Group(
            function=family.function,
            start=start,
            size=len(members),
            fixed={
                name: self._shared([m.parameters.get(name, family.parameters[name].default) for m in members])
                for name in used
                if name not in learned
            },
            learned={name: self._slots.index(slot_name(first, name)) for name in learned},
            stochastic=family.stochastic,
        )

    def _shared(self, values: Sequence[float]) -> float | Tensor:
        return values[0] if len(set(values)) == 1 else torch.tensor(values, device=self._device)

    def forward(self, x: Tensor) -> Tensor:
        """f(x) of the trial, shape of `x`; tells the observer, if there is one."""
        slots = [self._parameters[name] for name in self._slots]
        value = _applied(x, self.trial, self, 0, self.axis % x.dim(), *slots)
        if self.observer is not None:
            self.observer.record(self, x, value)
        return value

    def largest_slopes(self, x: Tensor, _: Tensor) -> Tensor:
        """The largest |f'(x)| of each channel, (channels,)."""
        slots = [self._parameters[name] for name in self._slots]
        axis = self.axis % x.dim()
        slope = _applied(x, self.trial, self, 1, axis, *slots)
        return slope.detach().abs().movedim(axis, 0).flatten(1).amax(1)

    def stacked(self, x: Tensor, slots: Sequence[Tensor], order: int, axis: int, rows: range | None = None) -> Tensor:
        """The `order`-th derivative of each trial's activation at x (K, B, ...); learned slots (K,) or (K, channels).

        Args:
            axis: the channel axis of one trial's x.
            rows: the trials that x and the slots are of, whole groups; None for all.
        """
        if order:
            return self._derivative(x, slots, order, axis)
        axes = _Axes.of(x, axis)
        groups = self.groups if rows is None else [group for group in self.groups if group.start in rows]
        first = groups[0].start
        parts = x.permute(axes.order).split([group.size for group in groups], dim=axes.trial)
        values = [self._grouped(group, part, slots, axes, first) for group, part in zip(groups, parts, strict=True)]
        joined = values[0] if len(values) == 1 else torch.cat(values, dim=axes.trial)
        return joined.permute(axes.back)

    def _derivative(self, x: Tensor, slots: Sequence[Tensor], order: int, axis: int) -> Tensor:
        recorded = torch.is_grad_enabled()
        with torch.enable_grad():
            at = x if x.requires_grad else x.detach().requires_grad_()
            below = self.stacked(at, slots, order - 1, axis)
            if not below.requires_grad:  # the derivative of a constant
                return torch.zeros_like(x)
            (slope,) = torch.autograd.grad(below.sum(), at, create_graph=recorded or order > 1, allow_unused=True)
        return torch.zeros_like(x) if slope is None else slope

    def _grouped(self, group: Group, x: Tensor, slots: Sequence[Tensor], axes: _Axes, first: int) -> Tensor:
        """A group's formula on its part of a signal in the order of memory; the slots are of trials from `first` on."""
        values: dict[str, Any] = {n: v if isinstance(v, float) else axes.along(v, x) for n, v in group.fixed.items()}
        start = group.start - first
        rows = slice(start, start + group.size)
        values |= {name: axes.along(slots[slot][rows], x) for name, slot in group.learned.items()}
        if not group.stochastic:
            return group.function(x, **values)
        # Random numbers come in the order of the axes (k, B, ...): that of a trial alone.
        usual = {name: v.permute(axes.back) if isinstance(v, Tensor) else v for name, v in values.items()}
        with site_noise(self.site, x.device):
            value = _same_noise(group.function, x.permute(axes.back), usual, training=self.training)
        return value.permute(axes.order)


@dataclass(frozen=True)
class _Axes:
    """Where a signal's axes are when they are put in the order of memory, outermost first.

    Formulas are elementwise, so they run in that order: parts of the stack are then views, and join as they lie.

    Args:
        order, back: permutation of (k, B, ...) to the order of memory, and back.
        trial, channel: the axis of the trials and of the channels.
    """

    order: list[int]
    back: list[int]
    trial: int
    channel: int

    @classmethod
    def of(cls, x: Tensor, axis: int) -> _Axes:
        """Of a signal (K, B, ...) whose channels are `axis` of one trial's."""
        strides = x.stride()
        order = sorted(range(x.dim()), key=lambda axis: (-strides[axis], axis))
        back = sorted(range(x.dim()), key=order.__getitem__)
        return cls(order, back, trial=order.index(0), channel=order.index(axis + 1))

    def along(self, value: Tensor, x: Tensor) -> Tensor:
        """Values (k,) or (k, channels) shaped to broadcast against x."""
        if value.dim() == 2 and self.channel < self.trial:
            value = value.t()
        shape = [1] * x.dim()
        shape[self.trial] = x.shape[self.trial]
        if value.dim() == 2:
            shape[self.channel] = x.shape[self.channel]
        return value.to(x.dtype).reshape(shape)


Observe = Callable[[StackedSite, Tensor, Tensor], Tensor]
"""What to keep of a site's input and output in a forward pass, both of one trial."""


Merge = Callable[[Tensor, Tensor], Tensor]
"""Joins what two uses of a site gave: a recurrent cell uses its sites at every step."""


@dataclass(frozen=True)
class Observer:
    """Keeps what `observe` makes of each site, in `recorded` by the site's name."""

    observe: Observe
    merge: Merge
    recorded: dict[str, Tensor]

    def record(self, site: StackedSite, x: Tensor, value: Tensor) -> None:
        """Observe one use of a site."""
        new, before = self.observe(site, x, value), self.recorded.get(site.site)
        self.recorded[site.site] = new if before is None else self.merge(before, new)


class _SiteOperation(torch.autograd.Function):
    """A site's activation (or its `order`-th derivative) as one operation with its own batching rule."""

    @staticmethod
    def forward(x: Tensor, trial: Tensor, site: StackedSite, order: int, axis: int, *slots: Tensor) -> Tensor:
        raise TypeError("a site of a cohort works under vmap over the trials only")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, trial, ctx.site, ctx.order, ctx.axis, *slots = inputs
        ctx.save_for_backward(x, trial, *slots)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Only for derivatives that the task's loss takes itself, with respect to the network's input."""
        x, trial, *slots = ctx.saved_tensors
        slope = _applied(x, trial, ctx.site, ctx.order + 1, ctx.axis, *slots)
        return (gradient * slope, None, None, None, None, *(None for _ in slots))

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Tensor, int]:
        """The batching rule: over the trials, or over anything else inside a trial."""
        x, trial, site, order, axis, *slots = inputs
        if in_dims[1] is None:  # not the trials: one more axis of the signal, kept behind the channels
            moved = x.movedim(in_dims[0], -1)
            return _applied(moved, trial, site, order, axis, *slots), moved.dim() - 1
        x = x.expand(info.batch_size, *x.shape) if in_dims[0] is None else x.movedim(in_dims[0], 0)
        lead = [slot.movedim(dim, 0) for slot, dim in zip(slots, in_dims[5:], strict=True)]
        return site.stacked(x, lead, order, axis), 0


def _applied(*inputs: Any) -> Tensor:
    return cast("Tensor", _SiteOperation.apply(*inputs))  # type: ignore[no-untyped-call]


def slot_name(spec: ActivationSpec, parameter: str) -> str:
    """Name of the slot that holds a learned parameter of a resolved spec."""
    family = spec.family
    if spec.expression is not None:  # its text cannot be part of a parameter's name
        family += hashlib.sha256(spec.expression.encode()).hexdigest()[:8]
    return f"{family}_{spec.learned}_{parameter}"


def _same_noise(function: Callable[..., Tensor], x: Tensor, values: dict[str, Any], *, training: bool) -> Tensor:
    """A stochastic formula on x (k, B, ...) whose trials all draw the same numbers."""

    def one(x: Tensor, tensors: dict[str, Tensor]) -> Tensor:
        numbers = {name: value for name, value in values.items() if isinstance(value, float)}
        return function(x, **numbers, **tensors, training=training)

    tensors = {name: value for name, value in values.items() if isinstance(value, Tensor)}
    return torch.vmap(one, randomness="same")(x, tensors)
