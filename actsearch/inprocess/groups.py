"""Holding parts of the caller's data out by groups: no patient, scene or speaker is in two of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from actsearch.errors import FieldProblem, InvalidRequest
from actsearch.inprocess.data import Data, check_row_names
from actsearch.tasks.declaration import Part
from actsearch.tasks.kinds import Kind
from actsearch.tasks.parts import rows, sample_count
from actsearch.tasks.splits import group_indices

Groups = Sequence[Any] | NDArray[Any] | Tensor
"""The group of each sample of `train_data`, in its order: names or numbers."""


def read_groups(groups: Groups, train_data: Data, samples: int) -> NDArray[np.int64]:
    """The number of each sample's group, (N,).

    Args:
        groups: as the caller gives them.
        train_data: likewise; says whether the samples have an order.
        samples: N.

    Raises:
        InvalidRequest: the groups are not one for each sample, some are missing, or the samples have no order.
    """
    if isinstance(train_data, DataLoader):
        message = "needs samples whose order is known; give `train_data` as (inputs, targets), or its parts themselves"
        raise _wrong(message)
    if isinstance(train_data, tuple | list) and len(train_data) == 2:
        check_row_names(train_data[0], groups, "groups", what="groups")
    if isinstance(groups, Tensor):
        groups = groups.detach().cpu().numpy()
    labels = np.asarray(groups, dtype=object)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or len(labels) != samples:
        message = f"has shape {tuple(labels.shape)}; give one group for each of the {samples} samples of train_data"
        raise _wrong(message)
    missing = [place for place, one in enumerate(labels) if one is None or one != one]  # noqa: PLR0124 - NaN, NaT
    if missing:
        message = f"sample {missing[0]} (from 0) has no group ({len(missing)} have none); give each sample one"
        raise _wrong(message)
    numbers: NDArray[np.int64] = np.unique([str(one) for one in labels], return_inverse=True)[1].astype(np.int64)
    return numbers


def held_out_groups(
    part: Part, groups: NDArray[np.int64], names: Sequence[str], seed: int, kind: Kind
) -> tuple[dict[str, Part], list[str]]:
    """Whole groups of about a fifth of the samples for each name, the rest as `train_data`; and a note on each.

    Args:
        part: all samples, N.
        groups: the number of each sample's group, (N,).
        names: of the parts to hold out.
        seed: of the random choice.
        kind: what the targets are; classes keep their shares as far as whole groups allow.

    Raises:
        InvalidRequest: there are too few groups.
    """
    labels = part[1].reshape(sample_count(part), -1)[:, 0].numpy() if kind in ("classification", "binary") else None
    try:
        rest, *taken = group_indices(groups, len(names), seed, labels=labels)
    except ValueError as error:
        raise _wrong(str(error)) from None
    chosen = zip(("train_data", *names), (rest, *taken), strict=True)
    notes = [
        f"{name}: {len(one)} samples of train_data, {len(np.unique(groups[one]))} of {len(np.unique(groups))} groups, "
        "drawn at random"
        for name, one in zip(names, taken, strict=True)
    ]
    return {name: rows(part, torch.from_numpy(np.sort(one))) for name, one in chosen}, notes


def _wrong(message: str) -> InvalidRequest:
    return InvalidRequest(FieldProblem("groups", message))
