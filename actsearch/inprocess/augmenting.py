"""The caller's augmentation of training batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_flatten

from actsearch.errors import FieldProblem, InvalidRequest
from actsearch.training.noise import seeded_everywhere

Augment = Callable[[Any], Any]
"""`augment(inputs) -> inputs` of a batch, in torch operations; random numbers from torch, NumPy or `random`."""


def check_augment(augment: Augment, inputs: Any) -> None:
    """See that an augmentation keeps number, shapes and types of inputs, and draws what seeds repeat.

    Args:
        inputs: of some samples.

    Raises:
        InvalidRequest: if it does not.
    """
    try:
        first, again = (_augmented(augment, inputs) for _ in range(2))
    except Exception as error:
        raise InvalidRequest(FieldProblem("augment", f"raises {type(error).__name__}: {error}")) from error
    (leaves, spec), (wanted, wanted_spec) = tree_flatten(first), tree_flatten(inputs)
    if spec != wanted_spec or [_form(leaf) for leaf in leaves] != [_form(leaf) for leaf in wanted]:
        message = (
            f"gives {[_form(leaf) for leaf in leaves]} for {[_form(leaf) for leaf in wanted]}; keep shapes and types"
        )
        raise InvalidRequest(FieldProblem("augment", message))
    if any(not a.equal(b) for a, b in zip(leaves, tree_flatten(again)[0], strict=True)):
        message = "draws other numbers each time, whatever the seeds are; draw from torch's global generator"
        raise InvalidRequest(FieldProblem("augment", message))


def _augmented(augment: Augment, inputs: Any) -> Any:
    with seeded_everywhere(0):
        return augment(inputs)


def _form(leaf: Any) -> tuple[tuple[int, ...], str]:
    return (tuple(leaf.shape), str(leaf.dtype)) if isinstance(leaf, Tensor) else ((), type(leaf).__name__)
