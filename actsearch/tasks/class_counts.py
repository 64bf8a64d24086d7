"""How many samples each class has."""

from __future__ import annotations

from collections.abc import Iterator

from actsearch.tasks.declaration import Dataset, TaskKind

_LISTED = 12


def class_counts(kind: TaskKind, dataset: Dataset) -> dict[str, dict[str, int]]:
    """Samples by class, for each part; empty for targets that are no classes."""
    if kind not in ("classification", "binary"):
        return {}
    classes = 2 if kind == "binary" else dataset.outputs
    names = dataset.classes or tuple(map(str, range(classes)))
    parts = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    return {
        part: dict(zip(names, samples[1].long().flatten().bincount(minlength=classes).tolist(), strict=True))
        for part, samples in parts.items()
        if samples is not None
    }


def class_counts_in_words(kind: TaskKind, dataset: Dataset) -> Iterator[str]:
    """`training samples by class: cat 40, dog 8`, where targets are classes."""
    for part, counts in class_counts(kind, dataset).items():
        if part == "train":
            listed = ", ".join(f"{name} {count}" for name, count in list(counts.items())[:_LISTED])
            more = f" and {len(counts) - _LISTED} more classes" if len(counts) > _LISTED else ""
            yield f"training samples by class: {listed}{more}"
