"""actsearch: find the right activation function for a network, and prove it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from actsearch.version import __version__

if TYPE_CHECKING:
    from actsearch.client import AsyncClient, AsyncJobHandle, Client, JobHandle
    from actsearch.client.errors import (
        AccessDenied,
        AnswerError,
        ConflictError,
        InvalidRequestError,
        MalformedAnswer,
        NoAnswer,
        NoResult,
        NotFoundError,
        ServerError,
        ServerUnreachable,
        WaitTimeout,
    )
    from actsearch.errors import (
        ActsearchError,
        ClientError,
        FieldProblem,
        IllegalTransition,
        InvalidRequest,
        NotFound,
        StoreError,
        TrainingError,
    )
    from actsearch.inprocess import Activations as Activations
    from actsearch.inprocess import SearchResult as SearchResult
    from actsearch.inprocess import search as search
    from actsearch.schemas import (
        ActivationSpec,
        Budget,
        Choices,
        FamilyChoice,
        Job,
        JobRequest,
        JobState,
        JobSummary,
        Named,
        Objective,
        Placement,
        Pruner,
        Range,
        Sampler,
        SearchSpace,
        TaskChoice,
        Training,
        Trial,
        TrialState,
    )
    from actsearch.surgery.swapping import swap_activations as swap_activations

__all__ = [
    "AccessDenied",
    "ActivationSpec",
    "ActsearchError",
    "AnswerError",
    "AsyncClient",
    "AsyncJobHandle",
    "Budget",
    "Choices",
    "Client",
    "ClientError",
    "ConflictError",
    "FamilyChoice",
    "FieldProblem",
    "IllegalTransition",
    "InvalidRequest",
    "InvalidRequestError",
    "Job",
    "JobHandle",
    "JobRequest",
    "JobState",
    "JobSummary",
    "MalformedAnswer",
    "Named",
    "NoAnswer",
    "NoResult",
    "NotFound",
    "NotFoundError",
    "Objective",
    "Placement",
    "Pruner",
    "Range",
    "Sampler",
    "SearchSpace",
    "ServerError",
    "ServerUnreachable",
    "StoreError",
    "TaskChoice",
    "Training",
    "TrainingError",
    "Trial",
    "TrialState",
    "WaitTimeout",
    "__version__",
]

# Exported, too, but not by `from actsearch import *`: these load torch.
_HEAVY = {
    "Activations": "actsearch.inprocess",
    "SearchResult": "actsearch.inprocess",
    "search": "actsearch.inprocess",
    "swap_activations": "actsearch.surgery.swapping",
}
_HOMES = ("actsearch.errors", "actsearch.schemas", "actsearch.client.errors", "actsearch.client")


def __getattr__(name: str) -> object:
    """Load what is exported on its first use, so that `import actsearch` alone stays light."""
    if name in _HEAVY:
        return getattr(import_module(_HEAVY[name]), name)
    if name in __all__:
        for module in map(import_module, _HOMES):
            if hasattr(module, name):
                value: object = getattr(module, name)
                globals()[name] = value
                return value
    raise AttributeError(f"module 'actsearch' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_HEAVY})
