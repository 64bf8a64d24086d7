"""Random numbers of training: they depend on the seed and the place where they are drawn, on nothing else.

Every step starts from a seed of its own. Dropout draws one mask for all trials of a cohort (`randomness="same"`), a
stochastic activation draws from a stream of its site's own. So a trial sees the same noise alone and among others,
whatever these draw, and two trials differ by their activations, not by their noise.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b

import numpy as np
import torch


def derived_seed(*parts: int | str) -> int:
    """A seed in [0, 2^63) that is a fixed function of its parts."""
    digest = blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def seed_noise(seed: int, device: torch.device) -> None:
    """Seed the global generators of the CPU and of `device`.

    `torch.manual_seed` seeds every kind of accelerator, and where one is not there it notes the caller's stack for
    later, in milliseconds: as long as a step.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        # Not `torch.cuda.manual_seed`: it seeds the current device, whichever that is.
        torch.cuda.default_generators[_index(device)].manual_seed(seed)


def _index(device: torch.device) -> int:
    return torch.cuda.current_device() if device.index is None else device.index


@contextmanager
def preserved_noise(device: torch.device) -> Iterator[None]:
    """Whatever happens inside leaves torch's global generators of the CPU and of `device` as they were."""
    devices = [_index(device)] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield


@contextmanager
def site_noise(site: str, device: torch.device) -> Iterator[None]:
    """Inside, random numbers come from a stream that depends on the step's seed and on the site."""
    seed = derived_seed(torch.initial_seed(), site)
    with preserved_noise(device):
        seed_noise(seed, device)
        yield


@contextmanager
def seeded_everywhere(seed: int) -> Iterator[None]:
    """Inside, the global generators of torch (CPU and GPU), NumPy and `random` start from a seed; then they go on."""
    state, legacy = random.getstate(), np.random.get_state()
    try:
        devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
        with torch.random.fork_rng(devices=devices):
            torch.default_generator.manual_seed(seed)
            for device in devices:
                with torch.cuda.device(device):
                    torch.cuda.manual_seed(seed)
            np.random.seed(seed % 2**32)
            random.seed(seed)
            yield
    finally:
        random.setstate(state)
        np.random.set_state(legacy)
