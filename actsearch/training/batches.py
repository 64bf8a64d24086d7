"""Batches: the same for all trials, from the seed."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.utils._pytree import tree_flatten, tree_unflatten

from actsearch.tasks.declaration import Part
from actsearch.tasks.parts import device_of, moved, rows, sample_count
from actsearch.training.noise import derived_seed


def on_device(part: Part, device: torch.device) -> Part:
    """A part of a dataset on a device."""
    return moved(part, device)


def steps_per_epoch(samples: int, batch_size: int) -> int:
    """Full batches in an epoch, at least one."""
    return max(1, samples // batch_size)


def batches(part: Part, batch_size: int, seed: int, epoch: int, *, in_order: bool = False) -> Iterator[Part]:
    """The batches of an epoch, in an order that depends on seed and epoch only, or in that of the part.

    All have `batch_size` samples (or all there are): the last, incomplete batch of an epoch is left out, other samples
    every time, so that a step's cost, BatchNorm's statistics and the weight of a sample do not depend on it.
    """
    samples = sample_count(part)
    if in_order:
        shuffled = part
    else:
        generator = torch.Generator().manual_seed(derived_seed(seed, "batches", epoch))
        order = torch.randperm(samples, generator=generator).to(device_of(part), non_blocking=True)
        shuffled = rows(part, order)
    for start in range(0, steps_per_epoch(samples, batch_size) * batch_size, batch_size):
        yield rows(shuffled, slice(start, start + batch_size))


def pieces(part: Part, size: int) -> Iterator[Part]:
    """A part in order, in pieces of at most `size` samples."""
    leaves, spec = tree_flatten(part)
    for some in zip(*(leaf.split(size) for leaf in leaves), strict=True):
        yield tree_unflatten(list(some), spec)
