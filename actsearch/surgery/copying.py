"""Copies of modules that somebody else made."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, TypeVar

from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)


def copied(module: Module) -> Module:
    """A deep copy; tensors that were computed and kept, as old-style `weight_norm` does, are copied by value."""
    memo: dict[int, Any] = {}
    for part in module.modules():
        for value in vars(part).values():
            if isinstance(value, Tensor) and not value.is_leaf:
                memo[id(value)] = value.detach().clone()
    return deepcopy(module, memo)


_HOOKS = (
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
)


def hand_on_hooks(old: nn.Module, new: nn.Module) -> None:
    """Let a module that takes another's place call its hooks."""
    for name in _HOOKS:
        mine, theirs = getattr(new, name, None), getattr(old, name, None)
        if mine is not None and theirs:
            mine.update(theirs)
    if old._backward_hooks:
        new._is_full_backward_hook = old._is_full_backward_hook
