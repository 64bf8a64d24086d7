"""Whether a function or module is one activation: found by trying it on numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.dropout import _DropoutNd

from actsearch.activations import Activation
from actsearch.surgery.copying import copied
from actsearch.surgery.foreign_activations import has_torchs_class, is_namesake

Function = Callable[[Tensor], Tensor]

_SHAPES = ((4, 6), (2, 5, 6), (2, 3, 4, 6))
_FEW = 4096
"""Numbers that a hand-written activation may learn."""


def activation_modules(root: nn.Module) -> set[nn.Module]:
    """The parts of a module that are one activation each: torch's and the catalogue's by class, others by trial.

    Parts inside such a part are not among them: `x * self.relu6(x + 3) / 6` is one activation.
    """
    found: set[nn.Module] = set()
    for module in reversed(list(root.modules())):  # parts before what holds them
        if _is_one(module, found):
            found -= set(module.modules())
            found.add(module)
    return found


def is_elementwise(function: Function, shapes: Iterator[tuple[int, ...]] | None = None) -> bool | None:
    """Whether each number of the result depends on the number at its place alone, and not linearly.

    Args:
        function: gets tensors that it may change.
        shapes: to try; the first one that it accepts decides.

    Returns:
        None where it accepts no tensor of these shapes.
    """
    generator = torch.Generator().manual_seed(0)
    for shape in shapes or iter(_SHAPES):
        x = 3 * torch.randn(shape, generator=generator)
        try:
            y = function(x.clone())
            return _each_alone(function, x, y, generator) and _is_curved(function, x)
        except Exception:  # noqa: S112  # whatever somebody else's function raises
            continue
    return None


def is_gating(function: Function) -> bool:
    """Whether values stay in [0, 1] or above zero, as those of a sigmoid, a softplus or an exponential."""
    try:
        with torch.no_grad():
            y = function(torch.linspace(-8, 8, 321).view(1, -1))
    except Exception:
        return False
    low, high = float(y.min()), float(y.max())
    return low > 0 or (low >= 0 and high <= 1 + 1e-6)


def _is_one(module: nn.Module, found: set[nn.Module]) -> bool:
    if isinstance(module, Activation) or has_torchs_class(module):
        return True
    if type(module).__module__.startswith("torch.") or isinstance(module, _OTHERS):
        return False
    if not all(part in found or isinstance(part, nn.Identity) for part in _outermost_parts(module, found)):
        return False
    sizes = [value.numel() for value in module.parameters()]
    if sum(sizes) > _FEW:
        return False
    verdict = _tried(module, max(sizes, default=1))
    return is_namesake(module) if verdict is None else verdict


_OTHERS = (
    nn.Sequential, nn.ModuleList, nn.ModuleDict, nn.Linear, _ConvNd, _NormBase, nn.LayerNorm, nn.GroupNorm,
    nn.Embedding, _DropoutNd, nn.Identity, nn.Flatten,
)  # fmt: skip
"""Never an activation, nor are their subclasses; saves trying them."""


def _outermost_parts(module: nn.Module, found: set[nn.Module]) -> Iterator[nn.Module]:
    for part in module.children():
        if part in found or not any(True for _ in part.children()):
            yield part
        else:
            yield from _outermost_parts(part, found)


def _tried(module: nn.Module, channels: int) -> bool | None:
    """Tried in both modes, on a copy: what is random or counts in training is no function of one number."""
    try:
        tried = copied(module).cpu().float()
        for part in tried.modules():
            part._forward_hooks.clear()
            part._forward_pre_hooks.clear()
        with torch.random.fork_rng(devices=[]):
            wide = ((2, channels), (2, channels, 3), (2, 3, channels), (2, channels, 3, 3))
            shapes = wide if channels > 1 else _SHAPES
            verdicts = [is_elementwise(tried.train(mode), iter(shapes)) for mode in (False, True)]
            x = torch.linspace(-3, 3, 2 * 3 * channels).view(2, channels, 3)
            if verdicts == [True, True] and channels == 1:
                return torch.equal(tried.eval()(x.clone()), tried.train()(x.clone()))
    except Exception:
        return None
    return None if None in verdicts else all(verdicts)


def _each_alone(function: Function, x: Tensor, y: Tensor, generator: torch.Generator) -> bool:
    if not isinstance(y, Tensor) or y.shape != x.shape or y.dtype != x.dtype:
        return False
    if not torch.equal(y.nan_to_num(), function(x.clone()).nan_to_num()):
        return False
    changed = torch.rand(x.shape, generator=generator) < 0.5
    for where in (changed, ~changed):
        other = function(torch.where(where, x + 1.5, x))
        if not torch.allclose(other[~where], y[~where], rtol=1e-5, atol=1e-6, equal_nan=True):
            return False
    return True


def _is_curved(function: Function, x: Tensor) -> bool:
    """Whether it is no constant, straight line or staircase anywhere in [-6, 6]."""
    grid = torch.linspace(-6, 6, 49).view(-1, *[1] * x.dim())
    points = [(value + torch.zeros_like(x)).requires_grad_() for value in grid]
    with torch.enable_grad():
        values = [function(point.clone()) for point in points]
        if not values[0].requires_grad:
            return False
        slopes = torch.stack(torch.autograd.grad(torch.stack(values).nan_to_num().sum(), points))
    y = torch.stack([value.detach() for value in values])
    line = y[:1] + (y[-1:] - y[:1]) * (grid - grid[:1]) / 12
    scale = 1e-4 * (1 + y.nan_to_num().abs().amax())
    return bool(((y - line).abs() > scale).any() and (slopes != 0).any())
