"""Batches: the same for all trials, from the seed."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from actsearch.tasks.declaration import Part
from actsearch.training.noise import derived_seed


def on_device(part: Part, device: torch.device) -> Part:
    """A part of a dataset on a device."""
    return tuple(tensor.to(device) for tensor in part)


def steps_per_epoch(samples: int, batch_size: int) -> int:
    """Full batches in an epoch, at least one."""
    return max(1, samples // batch_size)


def batches(part: Part, batch_size: int, seed: int, epoch: int) -> Iterator[Part]:
    """The batches of an epoch, in an order that depends on seed and epoch only.

    All have `batch_size` samples (or all there are): the last, incomplete batch of an epoch is left out, other samples
    every time, so that a step's cost, BatchNorm's statistics and the weight of a sample do not depend on it.
    """
    samples = len(part[0])
    generator = torch.Generator().manual_seed(derived_seed(seed, "batches", epoch))
    order = torch.randperm(samples, generator=generator).to(part[0].device, non_blocking=True)
    shuffled = tuple(tensor[order] for tensor in part)
    for start in range(0, steps_per_epoch(samples, batch_size) * batch_size, batch_size):
        yield tuple(tensor[start : start + batch_size] for tensor in shuffled)


def pieces(part: Part, size: int) -> Iterator[Part]:
    """A part in order, in pieces of at most `size` samples."""
    yield from zip(*(tensor.split(size) for tensor in part), strict=True)
