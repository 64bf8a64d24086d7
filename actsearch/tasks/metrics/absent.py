"""Which metrics mean nothing on some targets, whatever the network says."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def of_classes(truth: Tensor, classes: int) -> dict[str, str]:
    """Reasons by metric, for classes (N,) from 0."""
    missing = [number for number, count in enumerate(truth.bincount(minlength=classes).tolist()) if not count]
    if not missing:
        return {}
    reason = f"class {_listed(missing)} does not occur"
    two = classes == 2
    precise = {} if two and 1 not in missing else {"average_precision": reason}  # of class 1 alone
    return {"roc_auc": reason, **precise}


def of_labels(truth: Tensor) -> dict[str, str]:
    """Reasons by metric, for labels (N, T) of 0 and 1."""
    counts = truth.flatten(1).sum(0).long().tolist()
    never = [number for number, count in enumerate(counts) if count == 0]
    always = [number for number, count in enumerate(counts) if count == len(truth)]
    reasons = [f"label {_listed(never)} never occurs"] if never else []
    found = {"average_precision": reasons[0]} if never else {}
    reasons += [f"label {_listed(always)} always occurs"] if always else []
    return found | ({"roc_auc": " and ".join(reasons)} if reasons else {})


def of_numbers(targets: Tensor) -> Mapping[str, str]:
    """Reasons by metric, for targets (N, ...)."""
    each = targets.reshape(len(targets), -1)
    constant = torch.nonzero((each == each[:1]).all(0)).flatten().tolist()
    if not constant:
        return {}
    what = "the targets are" if each.shape[1] == 1 else f"target {_listed(constant)} is"
    return {"r2": f"{what} constant"}


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:3])) + (f" and {len(numbers) - 3} more" if len(numbers) > 3 else "")
