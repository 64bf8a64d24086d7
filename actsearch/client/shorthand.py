"""Requests in keywords: `submit(task="digits", families=["relu", "gelu"], trials=50, learning_rate=(1e-4, 1e-1))`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict
from uuid import UUID

from pydantic_core import to_jsonable_python

from actsearch.schemas import (
    ActivationSpec,
    Budget,
    Choices,
    Confirmation,
    FamilyChoice,
    FamilyTags,
    JobRequest,
    Named,
    Objective,
    Placement,
    Precision,
    Pruner,
    Range,
    Sampler,
    SearchSpace,
    TaskChoice,
    Training,
)

Document = dict[str, Any]


class Shorthand(TypedDict, total=False):
    """What `submit` takes as keywords: the fields of `JobRequest`, and short ways to the most used ones inside them.

    `learning_rate` is a number, or what to search it over: (low, high) on a log scale, a `Range` or `Choices`.
    """

    task: str | Named | TaskChoice | Mapping[str, Any]
    architecture: str | Named | Mapping[str, Any]
    space: SearchSpace | Mapping[str, Any]
    baseline: str | ActivationSpec | Mapping[str, Any] | None
    training: Training | Mapping[str, Any]
    budget: Budget | Mapping[str, Any]
    objective: Objective | Mapping[str, Any]
    objectives: Sequence[Objective | Mapping[str, Any]]
    measures: Sequence[str]
    sampler: str | Sampler | Mapping[str, Any]
    pruner: str | Pruner | Mapping[str, Any]
    confirmation: Literal["auto", "off"] | Confirmation | Mapping[str, Any]
    parallelism: int | None
    cohort_size: int | None
    priority: int
    seed: int | None
    name: str | None
    labels: Sequence[str]
    warm_start: Literal["auto", "off"] | Sequence[str | UUID]
    families: Literal["all"] | Sequence[str | FamilyChoice | FamilyTags | Mapping[str, Any]]
    placement: Placement | str
    trials: int
    epochs: int
    batch_size: int
    optimizer: str
    precision: Precision
    learning_rate: float | tuple[float, float] | Range | Choices


class Changes(TypedDict, total=False):
    """What `change` takes as keywords: the fields of `JobChange`, and `trials` for those of its budget."""

    name: str | None
    labels: Sequence[str]
    priority: int
    parallelism: int | None
    trials: int


_PLACES = {
    "families": ("space", "families"),
    "placement": ("space", "placement"),
    "trials": ("budget", "trials"),
    "epochs": ("training", "epochs"),
    "batch_size": ("training", "batch_size"),
    "optimizer": ("training", "optimizer"),
    "precision": ("training", "precision"),
}


def to_document(request: JobRequest | Mapping[str, Any] | None, keywords: Mapping[str, Any]) -> Document:
    """The JSON document of a request: `request`, with `keywords` put where they belong and winning over it.

    Nothing is checked here: the server does, and says which field is wrong.
    """
    given = request.model_dump(mode="json") if isinstance(request, JobRequest) else dict(request or {})
    document: Document = to_jsonable_python({**given, **keywords}, inf_nan_mode="constants")
    for keyword, (group, field) in _PLACES.items():
        if keyword in document:
            _put(document, group, field, document.pop(keyword))
    if "learning_rate" in document:
        _put_learning_rate(document, document.pop("learning_rate"))
    return document


def _put_learning_rate(document: Document, value: Any) -> None:
    """A searched learning rate belongs in the space; a fixed one in the training, and then not in the space."""
    if isinstance(value, list) and len(value) == 2:
        value = {"low": value[0], "high": value[1], "log": True}
    if isinstance(value, dict):
        searched = {**_group(_group(document, "space"), "training"), "learning_rate": value}
        _put(document, "space", "training", searched)
        return
    searched = _group(_group(document, "space"), "training")
    searched.pop("learning_rate", None)
    _put(document, "training", "learning_rate", value)


def _put(document: Document, group: str, field: str, value: Any) -> None:
    if isinstance(document.setdefault(group, {}), dict):  # otherwise it is wrong, and for the server to refuse
        document[group][field] = value


def _group(document: Document, name: str) -> Document:
    group = document.get(name)
    return group if isinstance(group, dict) else {}


def changes_document(changes: Changes) -> Document:
    """The document of `PATCH /v1/jobs/{id}`."""
    document: Document = to_jsonable_python(changes)
    if "trials" in document:
        document["budget"] = {"trials": document.pop("trials")}
    return document
