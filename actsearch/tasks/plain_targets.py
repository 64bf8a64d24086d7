"""Data sets whose targets are used as they are: counts, and labels of 0 and 1."""

from __future__ import annotations

import torch

from actsearch.tasks.declaration import Dataset, InputKind, Part
from actsearch.tasks.splits import Array, Arrays, Scaler


def plain_target_dataset(arrays: Arrays, kind: InputKind) -> Dataset:
    """A dataset whose inputs (N, ...) are scaled by the training part's statistics; targets (N, T) become float32."""
    scale = Scaler.fit(arrays.x_train)
    return Dataset(
        train=_part(scale(arrays.x_train), arrays.y_train),
        validation=_part(scale(arrays.x_validation), arrays.y_validation),
        test=_part(scale(arrays.x_test), arrays.y_test),
        input_kind=kind,
        input_shape=tuple(arrays.x_train.shape[1:]),
        outputs=arrays.y_train.shape[1],
    )


def _part(x: Array, y: Array) -> Part:
    return torch.from_numpy(x), torch.from_numpy(y.astype("float32"))
