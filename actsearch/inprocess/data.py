"""From what users keep their data in to tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from actsearch.errors import FieldProblem, InvalidRequest
from actsearch.inprocess.loaders import Read, as_loader, fingerprints, read_loader
from actsearch.inprocess.tensors import class_names, to_inputs, to_targets
from actsearch.tasks.declaration import Part
from actsearch.tasks.kinds import Kind
from actsearch.tasks.parts import rows, sample_count
from actsearch.tasks.splits import stratified_holdout

Data = Any
"""(inputs, targets) as tensors, arrays, lists or frames, or a `torch.utils.data` Dataset or DataLoader of pairs.

Several inputs are a tuple or dictionary of tensors or arrays.
"""

HELD_OUT = 0.2


@dataclass
class Classes:
    """Names of the classes, in order, where the training targets are names; filled when these are read."""

    names: tuple[str, ...] = ()

    def numbered(self, targets: NDArray[np.str_], name: str, *, training: bool) -> Tensor:
        """The number of each target's class.

        Args:
            targets: names (N,).
            name: of the argument, for errors.
            training: whether these say which classes there are.

        Raises:
            InvalidRequest: the training data have no such class.
        """
        if training:
            self.names = tuple(sorted(set(targets.tolist())))
        numbers = {one: number for number, one in enumerate(self.names)}
        for place, one in enumerate(targets.tolist()):
            if one not in numbers:
                known = f"{', '.join(map(repr, self.names[:10]))}" if self.names else "numbers"
                message = f"the target of sample {place} (from 0) is {one!r}; those of train_data are {known}"
                raise InvalidRequest(FieldProblem(name, message))
        return torch.tensor([numbers[one] for one in targets.tolist()])

    @property
    def notes(self) -> list[str]:
        """How they are numbered."""
        if not self.names:
            return []
        shown = ", ".join(map(repr, self.names[:10])) + (" ..." if len(self.names) > 10 else "")
        return [f"classes: outputs 0 to {len(self.names) - 1} stand for {shown}"]


def read(data: Data, name: str, *, training: bool, classes: Classes | None = None) -> Read:
    """Inputs (N, ...) and targets (N, ...) as tensors on the CPU, and what was found out about them.

    Floating-point numbers become float32, whole numbers int64, bytes (and booleans, unless they are one of several
    inputs) float32 among the inputs.

    Args:
        name: of the argument, for errors.
        training: whether they may be drawn anew for each epoch, and say which classes there are.
        classes: where targets are names.

    Raises:
        InvalidRequest: if they are no such thing, are empty or differ in length; see `read_loader` for loaders.
    """
    if isinstance(data, DataLoader):
        found = read_loader(data, name, training=training)
    elif isinstance(data, tuple | list) and len(data) == 2:
        check_row_names(data[0], data[1], name)
        names = class_names(data[1]) if classes is not None else None
        if classes is not None and names is not None:
            targets = classes.numbered(names, f"{name}[1]", training=training)
        else:
            targets = to_targets(data[1], f"{name}[1]")
        found = Read((to_inputs(data[0], f"{name}[0]"), targets))
    elif isinstance(data, tuple) and all(hasattr(value, "shape") for value in data):
        message = (
            f"is a tuple of {len(data)}; give (inputs, targets): several inputs are a tuple or dictionary of their own"
        )
        raise InvalidRequest(FieldProblem(name, message))
    elif hasattr(data, "columns"):
        message = "is a frame; say which columns are what: (frame.drop(columns='y'), frame['y'])"
        raise InvalidRequest(FieldProblem(name, message))
    elif isinstance(data, IterableDataset) or _is_map(data):
        found = read_loader(as_loader(data), name, training=training, what=type(data).__name__)
        found = replace(found, batch_size=None, in_order=False)
    else:
        message = (
            f"is a {type(data).__name__}; give (inputs, targets), a DataLoader, or a data set with `len` and indices"
        )
        raise InvalidRequest(FieldProblem(name, message))
    _check_lengths(found.part, name)
    return found


def _is_map(data: Data) -> bool:
    return hasattr(data, "__getitem__") and hasattr(data, "__len__") and not isinstance(data, Mapping | str | bytes)


def check_row_names(inputs: Any, targets: Any, name: str, what: str = "targets") -> None:
    """Rows of frames are taken by position: refuse those whose names say that they belong together otherwise.

    Args:
        name: of the argument, for errors.
        what: the second of the two is.

    Raises:
        InvalidRequest: both have the same row names, in another order.
    """
    ours, theirs = getattr(inputs, "index", None), getattr(targets, "index", None)
    if ours is None or theirs is None or not (hasattr(ours, "equals") and hasattr(theirs, "equals")):
        return
    if len(ours) == len(theirs) and not ours.equals(theirs) and sorted(map(str, ours)) == sorted(map(str, theirs)):
        message = (
            f"inputs and {what} have the same row names (`index`) in another order; align them "
            f"(`{what}.loc[inputs.index]`), or call `reset_index(drop=True)` on both if they belong together as is"
        )
        raise InvalidRequest(FieldProblem(name, message))


def shared_samples(train: Part, others: Mapping[str, Part]) -> list[str]:
    """Notes on validation and test samples that are among the training samples, too.

    Args:
        train: the training samples.
        others: the parts that trials are judged on, by name.
    """
    known = set(fingerprints(train)) if others else set()
    counts = {name: sum(one in known for one in fingerprints(part)) for name, part in others.items()}
    return [
        f"{name}: {count} of {sample_count(others[name])} samples are in train_data, too; results on them say little "
        "about new ones"
        for name, count in counts.items()
        if count
    ]


def _check_lengths(part: Part, name: str) -> None:
    inputs, targets = part
    named = {name: inputs} if not isinstance(inputs, Mapping) else dict(inputs)
    if isinstance(inputs, tuple):
        named = {str(place): value for place, value in enumerate(inputs)}
    lengths = {key: sample_count(value) if value.dim() else 0 for key, value in named.items() if hasattr(value, "dim")}
    wanted = len(targets) if targets.dim() else 0
    for key, length in lengths.items():
        if not length or length != wanted:
            of = "" if key == name else f" of {key!r}"
            message = f"has {length} inputs{of} and {wanted} targets; give one target an input, and at least one"
            raise InvalidRequest(FieldProblem(name, message))


def held_out(part: Part, seed: int, whole: int, kind: Kind) -> tuple[Part, Part]:
    """A part without a fifth of `whole` of its samples, and those; a random choice, in which classes keep their shares.

    Raises:
        InvalidRequest: if there are fewer than two samples.
    """
    samples = sample_count(part)
    if samples < 2:
        message = "one sample cannot be split; give `valid_data` or more of it"
        raise InvalidRequest(FieldProblem("train_data", message))
    size = min(max(1, round(HELD_OUT * whole)), samples - 1)
    rest, taken = map(torch.from_numpy, stratified_holdout(part[1].numpy(), kind, seed, size=size))
    return rows(part, rest), rows(part, taken)
