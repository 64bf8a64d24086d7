"""Parts of data sets whose inputs are one tensor or several: a tuple, a dictionary, or any tree of these."""

from __future__ import annotations

from typing import Any, TypeVar, cast

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

Tree = TypeVar("Tree")


def sample_count(inputs: Any) -> int:
    """Samples of inputs or of a part: the length of the first tensor."""
    return len(tree_leaves(inputs)[0])


def rows(tree: Tree, chosen: slice | Tensor) -> Tree:
    """The samples at `chosen` of every tensor."""
    return cast("Tree", tree_map(lambda tensor: tensor[chosen], tree))


def moved(tree: Tree, device: torch.device | str) -> Tree:
    """Every tensor on a device."""
    return cast("Tree", tree_map(lambda tensor: tensor.to(device), tree))


def device_of(tree: Any) -> torch.device:
    """Where the first tensor is."""
    found: Tensor = tree_leaves(tree)[0]
    return found.device
