"""A network of known layers for K trials at once, written out layer by layer.

`vmap` runs any module but pays for it at every operation. Chains of `stacked_layers` are run directly instead.
Signals are (K, B, ...) whatever their strides; before the first weights all trials share one (B, ...).

On a CPU, networks of convolutions run family by family with the channels innermost: torch's
convolutions and pools are faster so.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from actsearch.training.build import SiteActivation
from actsearch.training.sites import StackedSite
from actsearch.training.stacked_layers import KNOWN, UNITS, Block, Layer, Named, Signal, Weights, unshared

# Measured on one CPU thread (AMD EPYC with AVX-512), convnet of 8 channels on 8 x 8 pixels, milliseconds a trial-step:
# families of four trials 0.73 a block and 0.80 together, of eight 0.58 and 0.67.
_FEWEST_IN_BLOCK = 4


class Layers:
    """The forward pass of a template for all trials of a stack.

    Args:
        chain: path of each layer in the template, and the layer.
    """

    def __init__(self, chain: Sequence[tuple[str, Layer]]) -> None:
        self._chain = chain

    def __call__(self, parameters: Named, buffers: Named, x: Tensor, blocks: Sequence[Block]) -> Tensor:
        """Outputs (K, B, ...) for inputs (B, ...); running statistics among `buffers` are changed in place.

        Args:
            blocks: from `blocks_of`.
        """
        if len(blocks) == 1:
            return self._outputs(parameters, buffers, x, blocks[0])
        sizes = [len(block) for block in blocks]
        apart = {name: value.split(sizes) for name, value in parameters.items()}
        noise = torch.get_rng_state()
        outputs = []
        for place, block in enumerate(blocks):
            torch.set_rng_state(noise)  # all trials see the same
            own = {name: parts[place] for name, parts in apart.items()}
            running = {name: value[block.rows.start : block.rows.stop] for name, value in buffers.items()}
            outputs.append(self._outputs(own, running, x, block))
        return torch.cat(outputs)

    def _outputs(self, parameters: Named, buffers: Named, x: Tensor, block: Block) -> Tensor:
        signal = Signal(x, shared=True)
        for path, layer in self._chain:
            signal = layer(signal, _weights(path, parameters, buffers), block)
        return unshared(signal, len(block))


def blocks_of(template: nn.Module, trials: int, device: torch.device) -> list[Block]:
    """How a stack of K trials runs: all together, but for convolutions on a CPU.

    There four and more trials that share their activation at every site are a block of their own, channels last; what
    lies between is run together as it is: parts of the innermost axis are slow to split and to join. Units of more than
    one number run under `vmap`, where a site has all of its trials.
    """
    parts = list(template.modules())
    sites = [part for part in parts if isinstance(part, StackedSite)]
    convolved = any(isinstance(part, nn.Conv1d | nn.Conv2d) for part in parts)
    if device.type != "cpu" or not convolved or not sites or any(isinstance(part, UNITS) for part in parts):
        return [Block(range(trials))]
    starts = [{group.start for group in site.groups} for site in sites]
    cuts = [*sorted(set.intersection(*starts)), trials]
    blocks: list[Block] = []
    for rows in (range(start, stop) for start, stop in pairwise(cuts)):
        alike = len(rows) >= _FEWEST_IN_BLOCK and all(len(places.intersection(rows)) == 1 for places in starts)
        start = blocks.pop().rows.start if blocks and not alike and not blocks[-1].channels_last else rows.start
        blocks.append(Block(range(start, rows.stop), channels_last=alike))
    return blocks


def layers_of(template: nn.Module) -> Layers | None:
    """The template as a chain of layers; None if it holds anything but what is known here."""
    chain = _chain("", template)
    return None if chain is None else Layers(chain)


def is_chain(module: nn.Module) -> bool:
    """Whether a module from `build_module` can be written out layer by layer."""
    if type(module) is nn.Sequential:
        return all(is_chain(child) for child in module.children())
    if isinstance(module, SiteActivation):
        return True
    make = KNOWN.get(type(module))
    return make is not None and make(module) is not None


def _chain(path: str, module: nn.Module) -> list[tuple[str, Layer]] | None:
    if type(module) is nn.Sequential:
        parts = [_chain(f"{path}{name}.", child) for name, child in module.named_children()]
        return None if any(part is None for part in parts) else [step for part in parts for step in part or ()]
    make = KNOWN.get(type(module))
    layer = make(module) if make else None
    return None if layer is None else [(path, layer)]


def _weights(path: str, parameters: Named, buffers: Named) -> Weights:
    def get(name: str) -> Tensor:
        full = f"{path}{name}"
        return parameters[full] if full in parameters else buffers[full]

    return get
