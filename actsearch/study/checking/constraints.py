"""Constraints that are checked before a trial is trained."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from actsearch.architectures import InputSpec
from actsearch.errors import InvalidRequest
from actsearch.schemas import JobRequest
from actsearch.space import Suggestion
from actsearch.training import build_module


def violations(request: JobRequest, spec: InputSpec, suggestion: Suggestion) -> Mapping[str, float]:
    """By how much a suggestion exceeds each of the request's limits (0 or less: it keeps to it), by their names."""
    limit = request.space.constraints.max_parameters
    if limit is None:
        return {}
    try:
        return {"max_parameters": parameter_count(request, spec, suggestion) - limit}
    except InvalidRequest:  # cannot be built: training will say why
        return {}


def parameter_count(request: JobRequest, spec: InputSpec, suggestion: Suggestion) -> int:
    """Trainable numbers of a suggestion's network, learned activation parameters included; found without memory.

    Raises:
        InvalidRequest: the network cannot be built.
    """
    parameters = {**request.architecture.parameters, **suggestion.architecture}
    with torch.device("meta"):
        module = build_module(request.architecture.name, parameters, spec, suggestion.activations, seed=0)
    return sum(parameter.numel() for parameter in module.parameters())
