"""Networks that somebody else has built, as networks with activation sites."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from actsearch.architectures.declaration import Sites
from actsearch.architectures.stages import stage_of
from actsearch.surgery.copying import copied, hand_on_hooks
from actsearch.surgery.examination import arguments
from actsearch.surgery.swapping import swap


@dataclass(frozen=True)
class ReadyMade:
    """A network whose activations are taken out.

    Args:
        module: a copy of the given one, in evaluation mode, with a stand-in at each site.
        sites: by path in `module`, in the order in which signals pass them: (axis, size of it) of the channels.
        replaced, left, functions: see `Swapped`.
        outputs: of the given module on the batch, with ReLU at all sites.
    """

    module: nn.Module
    sites: Mapping[str, tuple[int, int]]
    replaced: Mapping[str, str]
    left: Mapping[str, str]
    functions: Mapping[str, Callable[[Tensor], Tensor]]
    outputs: Any

    def put(self, module: nn.Module, sites: Sites) -> nn.Module:
        """`module` (this one or a copy of it) with a site's activation at each place, in up to three stages."""
        for index, (path, (axis, channels)) in enumerate(self.sites.items()):
            activation = sites(path, stage=stage_of(index, len(self.sites)), channels=channels, axis=axis)
            hand_on_hooks(module.get_submodule(path), activation)
            module.set_submodule(path, activation)
        return module.train()


def take_out(model: nn.Module, batch: Any, *, sites: Collection[str] | None = None, prove: bool = True) -> ReadyMade:
    """A module without its activations: those that a batch passes on its way, each proved to be exchangeable.

    Args:
        model: left as it is.
        batch: inputs, (B, ...), or several, see `inputs` of `swap_activations`.
        sites: see `swap_activations`.
        prove: whether each place is examined; not needed again for `sites` that were found so in such a model.

    Raises:
        InvalidRequest: for sites that match nothing.
        ValueError: for an activation that stands at places of different widths and cannot be told apart.
        Exception: whatever the module's `forward` raises.
    """
    if any(is_lazy(value) for value in [*model.parameters(), *model.buffers()]):
        model = _with_sizes(model, batch)
    swapped = swap(model, Probe, sites=sites, inputs=batch if prove else None)
    met, outputs = _walked(swapped.module, batch)
    replaced = {path: swapped.replaced[path] for path in met}
    functions = {path: swapped.functions[path] for path in met}
    return ReadyMade(swapped.module.eval(), met, replaced, swapped.left, functions, outputs)


class Probe(nn.ReLU):
    """Stands at a place until it is known what passes there."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path


def _with_sizes(model: nn.Module, batch: Any) -> nn.Module:
    """A copy whose lazy parts have learned their sizes."""
    model = copied(model).eval()
    args, kwargs = arguments(batch)
    with torch.no_grad():
        model(*args, **kwargs)
    return model


def _walked(module: nn.Module, batch: Any) -> tuple[dict[str, tuple[int, int]], Any]:
    walk = _Walk()
    hooks = [part.register_forward_pre_hook(walk.enter) for part in module.modules()]
    args, kwargs = arguments(batch)
    with torch.no_grad():
        outputs = module.eval()(*args, **kwargs)
    for hook in hooks:
        hook.remove()
    return walk.met, outputs


class _Walk:
    """Follows a forward pass: which places it meets, in order, with axis and number of their channels.

    Channels are last behind linear layers and their norms, on axis 1 behind convolutions and theirs.
    """

    def __init__(self) -> None:
        self.met: dict[str, tuple[int, int]] = {}
        self._last = False

    def enter(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """To be called before each module's forward."""
        if isinstance(module, Probe):
            self._meet(module.path, inputs[0])
        elif isinstance(module, _SPATIAL) or type(module).__name__.endswith("2d"):
            self._last = False
        elif isinstance(module, _LAST):
            self._last = True

    def _meet(self, path: str, signal: Tensor) -> None:
        axis = signal.dim() - 1 if self._last or signal.dim() < 2 else 1
        channels = signal.shape[axis]
        before = self.met.setdefault(path, (axis, channels))
        if before[1] != channels:
            raise ValueError(
                f"{path} sees signals of {before[1]} and of {channels} channels; "
                "let an activation module of its own stand at each place"
            )


_SPATIAL = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.GroupNorm)
_LAST = (nn.Linear, nn.LayerNorm, nn.Embedding, nn.RNNBase, nn.MultiheadAttention)
