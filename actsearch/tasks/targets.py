"""What targets are: one rule for the service and for in-process searches, and what each kind makes of them.

The rule looks at the targets, and at the shape of the network's outputs where the network is the user's. It never takes
whole numbers for counts: nothing in them tells counts from class numbers, ratings or identifiers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from actsearch.tasks.kinds import Kind
from actsearch.tasks.splits import Array

FEW = 10
"""Whole numbers that are not numbered from 0 or 1 without gaps are classes up to this many different ones."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Taken:
    """What targets are taken as.

    Args:
        kind: their kind.
        why: what was found that speaks for it, or that it was asked for.
        otherwise: what else they may be, and how to say so; empty where nothing else fits.
    """

    kind: Kind
    why: str
    otherwise: str = ""

    def __str__(self) -> str:
        return f"{self.kind} ({self.why}{'; ' if self.otherwise else ''}{self.otherwise})"


class UnfitTargets(ValueError):
    """Targets cannot be of a kind; the message says which one is at fault and how to fix it."""


def take_targets(
    targets: Array, kind: Kind | None = None, *, named: bool = False, outputs: Shape | None = None
) -> Taken:
    """What targets are taken as.

    Args:
        targets: (N, ...), of any type; (N, 1) counts as (N,).
        kind: what they are said to be; None to infer it.
        named: whether the data bring names of classes, which the targets number.
        outputs: shape of the outputs on one sample, where the network is given; None where it is built to fit.
    """
    if kind is not None:
        return Taken(kind, "as you said")
    y = squeezed(targets)
    if named or y.dtype.kind in "USOT":
        return Taken("classification", "names of classes")
    if y.ndim == 2:
        return _several(y)
    if y.ndim > 2:
        return Taken("regression", f"numbers of shape {y.shape[1:]} per sample")
    return _column(y, outputs)


def _column(y: Array, outputs: Shape | None) -> Taken:
    """What numbers or booleans (N,) are taken as."""
    if np.isin(y, (0, 1)).all() and (y.dtype.kind != "f" or len(np.unique(y)) == 2):
        return _two(y, outputs)
    if y.dtype.kind == "f":
        return _decimals(y)
    return _whole_numbers(y, outputs)


def squeezed(targets: Array) -> Array:
    """Targets (N, 1) as (N,); others as they are."""
    return targets[:, 0] if targets.ndim == 2 and targets.shape[1] == 1 else targets


def _is_single(outputs: Shape | None) -> bool:
    return outputs in ((), (1,))


def _several(y: Array) -> Taken:
    if np.isin(y, (0, 1)).all():
        if (y.sum(1) == 1).all():
            return Taken("classification", "one-hot rows", "`kind`: `multilabel` if each column is a label of its own")
        return Taken("multilabel", f"{y.shape[1]} columns of 0 and 1", "`kind`: `regression` if they are quantities")
    if y.dtype.kind == "f" and (y >= 0).all() and np.allclose(y.sum(1), 1, atol=1e-4):
        hint = "if they are probabilities of classes, give the most probable class of each sample"
        return Taken("regression", f"{y.shape[1]} columns of numbers, each row of which sums to 1", hint)
    hint = "" if y.dtype.kind == "f" else "`kind`: `count` if they are counts"
    return Taken("regression", f"{y.shape[1]} columns of numbers", hint)


def _two(y: Array, outputs: Shape | None) -> Taken:
    what = "True and False" if y.dtype.kind == "b" else "only 0 and 1"
    hint = "`kind`: `regression` if they are quantities, `count` if they are counts"
    if _is_single(outputs):
        return Taken("binary", f"{what}, and the network has one output", hint)
    return Taken("classification", what, f"{hint}, `binary` for a network with one output")


def _decimals(y: Array) -> Taken:
    if (y != np.round(y)).any():
        return Taken("regression", "numbers with decimals")
    why = f"floating-point numbers, though all whole, {len(np.unique(y))} different ones"
    return Taken("regression", why, "`kind`: `classification` if they are classes, `count` if they are counts")


def _whole_numbers(y: Array, outputs: Shape | None) -> Taken:
    low, high, different = int(y.min()), int(y.max()), len(np.unique(y))
    found = f"{different} different whole numbers from {low} to {high}"
    quantity = "`kind`: `count` if they are counts, `regression` if they are quantities or ratings"
    if _is_single(outputs):
        return Taken("regression", f"{found}, and the network has one output", "`kind`: `count` if they are counts")
    if outputs is not None and len(outputs) == 1 and low >= 0 and high < outputs[0]:
        return Taken("classification", f"{found}, and the network has {outputs[0]} outputs", quantity)
    numbered = low in (0, 1) and high - low + 1 == different
    if different <= FEW or (numbered and len(y) >= 2 * different):
        return Taken("classification", f"{found}{' without gaps' if numbered else ''}", quantity)
    if different == len(y):
        found += ", no two alike: if they are identifiers, nothing can be learned from them"
    return Taken("regression", found, "`kind`: `classification` if they are classes, `count` if they are counts")


def as_kind(targets: Array, kind: Kind) -> Array:
    """Targets in the form that a kind works with.

    Returns:
        For `classification` and `binary` the class of each sample (N,), as given (text, whole numbers or booleans);
        for the others numbers in float64 of the shape given, 0 and 1 for `multilabel`.

    Raises:
        UnfitTargets: naming the first sample at fault.
    """
    if kind in ("classification", "binary"):
        return _classes(targets, kind)
    if targets.dtype.kind not in "iufb":
        raise UnfitTargets(f"{kind} needs numbers; found {targets.dtype} ({targets.flat[0]!r}); convert them first")
    values = targets.astype(np.float64)
    if kind == "multilabel":
        _refuse(values, ~np.isin(values, (0, 1)), "a label is 0 or 1", "give one column per label, 1 where it applies")
    if kind == "count":
        _refuse(values, (values < 0) | (values != np.round(values)), "a count is 0, 1, 2 ...", "use `regression`")
    return values


def _classes(targets: Array, kind: Kind) -> Array:
    y = squeezed(targets)
    if y.ndim == 2 and y.dtype.kind in "iufb" and np.isin(y, (0, 1)).all() and (y.sum(1) == 1).all():
        y = y.argmax(1)
    if y.ndim != 1:
        fix = "give one class per sample, or one-hot rows (a single 1 each)"
        raise UnfitTargets(f"{kind} has targets of shape {y.shape}; {fix}")
    if y.dtype.kind == "f":
        _refuse(y, y != np.round(y), "a class is a whole number or a name", "use `regression`")
        y = y.astype(np.int64)
    if kind == "binary" and len(np.unique(y)) > 2:
        raise UnfitTargets(f"binary has 2 classes; found {len(np.unique(y))}; use `classification`")
    return y


def _refuse(values: Array, wrong: Array, rule: str, fix: str) -> None:
    """Refuse targets if any is wrong, naming the first."""
    if wrong.any():
        place = tuple(int(axis[0]) for axis in np.nonzero(wrong))
        raise UnfitTargets(f"{rule}; the target of sample {place[0]} (from 0) is {values[place]:g}; {fix}")
