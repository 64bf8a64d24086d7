"""Own data as a reader found them, and the checks that make a dataset of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from actsearch.errors import FieldProblem, InvalidRequest
from actsearch.tasks.classification import classification_dataset
from actsearch.tasks.declaration import Dataset, InputKind
from actsearch.tasks.kinds import Kind
from actsearch.tasks.own_data.places import refuse
from actsearch.tasks.plain_targets import plain_target_dataset
from actsearch.tasks.regression import regression_dataset
from actsearch.tasks.splits import Array, Arrays, group_indices, split_indices
from actsearch.tasks.targets import Taken, UnfitTargets, as_kind, take_targets

PartName = Literal["train", "validation", "test"]
LEAST_SAMPLES = 10

KINDS: dict[int, InputKind] = {2: "vector", 3: "sequence", 4: "image"}


@dataclass(frozen=True)
class Samples:
    """Inputs (N, D), (N, C, L) or (N, C, H, W) of numbers, targets (N,) or (N, T), groups (N,) or None."""

    x: Array
    y: Array
    groups: Array | None = None


@dataclass(frozen=True)
class Raw:
    """What a reader found.

    Args:
        shown: the file, for messages.
        parts: `train` always; `validation` and `test` where the data bring their own.
        inputs, target: what messages call inputs and targets: an array, a column.
        classes: names of classes 0, 1 ..., where the data bring them.
        notes: what was guessed, and what looks strange.
        group: what messages call the groups, where there are any.
    """

    shown: str
    parts: Mapping[PartName, Samples]
    inputs: str
    target: str
    classes: tuple[str, ...] = field(default=())
    notes: tuple[str, ...] = ()
    group: str = ""


def taken_targets(raw: Raw, kind: Kind | None) -> Taken:
    """What the targets are taken as; `kind` as the request says it, None to infer it."""
    return take_targets(raw.parts["train"].y, kind, named=bool(raw.classes))


def check(raw: Raw) -> None:
    """See that inputs and targets can be trained on.

    Raises:
        InvalidRequest: naming the file, the array or column, and the shape or class at fault.
    """
    for name, samples in raw.parts.items():
        _check_inputs(raw, name, samples)
        _check_targets(raw, name, samples)
    _check_groups(raw)
    if len(raw.parts["train"].x) < LEAST_SAMPLES:
        raise refuse(f"{raw.shown}: {len(raw.parts['train'].x)} samples are too few; give at least {LEAST_SAMPLES}")
    _check_equal(raw, "samples differ in shape", {name: s.x.shape[1:] for name, s in raw.parts.items()})
    _check_equal(raw, "targets differ in shape", {name: s.y.shape[1:] for name, s in raw.parts.items()})
    _check_equal(raw, "targets differ in type", {name: _sort(s.y) for name, s in raw.parts.items()})


def _check_equal(raw: Raw, what: str, found: Mapping[PartName, object]) -> None:
    if len(set(found.values())) > 1:
        listed = ", ".join(f"{name} has {value}" for name, value in found.items())
        raise refuse(f"{raw.shown}: the parts' {what}: {listed}")


def _sort(y: Array) -> str:
    return "numbers" if y.dtype.kind in "iuf" else "classes"


def _check_inputs(raw: Raw, part: str, samples: Samples) -> None:
    x, where = samples.x, f"{raw.shown}, {raw.inputs} ({part})"
    if x.dtype.kind not in "iufb":
        raise refuse(f"{where}: holds {x.dtype}, not numbers")
    if x.ndim not in KINDS or 0 in x.shape:
        raise refuse(f"{where}: has shape {x.shape}; give (N, features), (N, channels, length) or (N, channels, H, W)")
    if not np.isfinite(x).all():
        raise refuse(f"{where}: {np.count_nonzero(~np.isfinite(x))} values are NaN or infinite; fill or drop them")


def _check_targets(raw: Raw, part: str, samples: Samples) -> None:
    y, where = samples.y, f"{raw.shown}, {raw.target} ({part})"
    if y.dtype.kind not in "iufbUSO" or y.ndim not in (1, 2):
        raise refuse(f"{where}: targets of {y.dtype} and shape {y.shape}; give (N,) classes or (N,) or (N, T) numbers")
    if len(y) != len(samples.x):
        raise refuse(f"{where}: {len(y)} targets for {len(samples.x)} samples")
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise refuse(f"{where}: {np.count_nonzero(~np.isfinite(y))} targets are NaN or infinite; drop those samples")


def _check_groups(raw: Raw) -> None:
    """Groups for all samples or for none, and no group in two parts."""
    groups = {name: samples.groups for name, samples in raw.parts.items() if samples.groups is not None}
    if groups and len(groups) < len(raw.parts):
        lacking = next(name for name in raw.parts if name not in groups)
        raise refuse(f"{raw.shown}: the {lacking} part has no groups, but others have; give groups for all parts")
    seen: dict[object, PartName] = {}
    for name, found in groups.items():
        if found.shape != (len(raw.parts[name].x),):
            raise refuse(f"{raw.shown}: groups ({name}) have shape {found.shape}; give one group per sample")
        if found.dtype.kind == "f" and np.isnan(found).any():
            message = f"groups ({name}) has {np.isnan(found).sum()} NaN; give every sample a group"
            raise refuse(f"{raw.shown}: {message}")
        for group in np.unique(found).tolist():
            if seen.setdefault(group, name) != name:
                raise refuse(f"{raw.shown}: group {group!r} is in the parts {seen[group]} and {name}; keep it in one")


def group_notes(raw: Raw) -> list[str]:
    """What is said of groups, where there are any."""
    found = [samples.groups for samples in raw.parts.values() if samples.groups is not None]
    count = len(np.unique(np.concatenate(found))) if found else 0
    return [f"{count} groups of {raw.group}; none is in two parts"] if found else []


def assemble(raw: Raw, split_seed: int, kind: Kind | None = None) -> Dataset:
    """The dataset: missing parts are split off the training part, then inputs are scaled by what is left of it.

    Args:
        raw: what was read.
        split_seed: of the split.
        kind: of the targets; None to infer it.

    Raises:
        InvalidRequest: if a class has too few samples, a part has a class that the training part lacks, or the targets
            cannot be of the kind that was asked for.
    """
    inputs, taken = KINDS[raw.parts["train"].x.ndim], taken_targets(raw, kind).kind
    raw = _of_kind(raw, taken, is_asked=kind is not None)
    if taken == "classification":
        arrays = _split(_numbered(raw), split_seed, stratify=True)
        return replace(classification_dataset(arrays, inputs, classes=len(raw.classes) or None), classes=_names(raw))
    if taken == "binary":
        numbered = _columns(_split(_numbered(raw), split_seed, stratify=True))
        return replace(plain_target_dataset(numbered, inputs), classes=_names(raw))
    arrays = _columns(_split(raw.parts, split_seed, stratify=False))
    return (regression_dataset if taken == "regression" else plain_target_dataset)(arrays, inputs)


def _of_kind(raw: Raw, kind: Kind, *, is_asked: bool) -> Raw:
    """The data with targets in the form of a kind."""
    parts: dict[PartName, Samples] = {}
    for name, samples in raw.parts.items():
        try:
            parts[name] = replace(samples, y=as_kind(samples.y, kind))
        except UnfitTargets as error:
            message = f"{raw.shown}, {raw.target} ({name}): {error}"
            raise InvalidRequest(FieldProblem("kind" if is_asked else "task.name", message)) from None
    return replace(raw, parts=parts)


def _columns(arrays: Arrays) -> Arrays:
    """Targets (N,) as (N, 1)."""
    train, validation, test = (y.reshape(len(y), -1) for y in (arrays.y_train, arrays.y_validation, arrays.y_test))
    return replace(arrays, y_train=train, y_validation=validation, y_test=test)


def _names(raw: Raw) -> tuple[str, ...]:
    """Names of the classes, in the order of their numbers."""
    return raw.classes or tuple(map(str, np.unique(raw.parts["train"].y).tolist()))


def _numbered(raw: Raw) -> dict[PartName, Samples]:
    """The parts with classes numbered from 0, in sorted order unless the data say their own."""
    train = raw.parts["train"].y
    classes, counts = np.unique(train, return_counts=True)
    if len(classes) < 2:
        raise refuse(f"{raw.shown}, {raw.target}: holds {len(classes)} class; classification needs 2")
    if counts.min() < 3 and len(raw.parts) < 3:
        rare, count = classes[counts.argmin()], counts.min()
        hint = "; for a quantity set `kind` to `regression`, for counts to `count`" if train.dtype.kind in "iu" else ""
        raise refuse(f"{raw.shown}, {raw.target}: class {rare!s} has {count} of the 3 samples it needs{hint}")
    if raw.classes:
        classes = np.arange(len(raw.classes))
    return {name: replace(part, y=_places(raw, name, part.y, classes)) for name, part in raw.parts.items()}


def _places(raw: Raw, part: str, y: Array, classes: Array) -> Array:
    strange = np.setdiff1d(y, classes)
    if len(strange):
        named = ", ".join(map(str, strange[:3]))
        raise refuse(f"{raw.shown}, {raw.target} ({part}): the training part has no class {named}")
    return np.searchsorted(classes, y)


def _split(parts: Mapping[PartName, Samples], seed: int, *, stratify: bool) -> Arrays:
    """The three parts; each that is missing takes a fifth of the training part's samples."""
    whole = parts["train"]
    missing: list[PartName] = [name for name in ("validation", "test") if name not in parts]
    labels = whole.y if stratify else None
    if whole.groups is None:
        sets = split_indices(len(whole.x), [0.2] * len(missing), seed, labels=labels)
    else:
        try:
            sets = group_indices(whole.groups, len(missing), seed, labels=labels)
        except ValueError as error:
            raise refuse(str(error)) from None
    taken = {name: Samples(whole.x[at], whole.y[at]) for name, at in zip(missing, sets[1:], strict=True)}
    train = Samples(whole.x[sets[0]], whole.y[sets[0]])
    every = {**parts, **taken, "train": train}
    validation, test = every["validation"], every["test"]
    return Arrays(train.x, train.y, validation.x, validation.y, test.x, test.y)
