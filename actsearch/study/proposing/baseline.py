"""The baseline's fair share of the search: docs/decisions/0006-the-baseline-gets-the-same-chance.md."""

from __future__ import annotations

from collections.abc import Mapping

from actsearch.activations import resolve
from actsearch.schemas import Scalar
from actsearch.space import Suggestion
from actsearch.study.checking.prepare import PreparedJob

_MOST_BETWEEN = 8


def as_baseline(prepared: PreparedJob, suggestion: Suggestion) -> Suggestion:
    """A suggestion's settings with the baseline's activations in its groups."""
    found = prepared.baselines(suggestion.architecture)
    everywhere = {group: found.get(group, prepared.baseline) for group in suggestion.activations}
    return Suggestion(everywhere, suggestion.architecture, suggestion.training)


def is_baseline(prepared: PreparedJob, suggestion: Suggestion) -> bool:
    """Whether a suggestion computes the baseline's activation everywhere."""
    wanted = as_baseline(prepared, suggestion).activations
    return all(resolve(spec) == wanted[group] for group, spec in suggestion.activations.items())


def baseline_turn(prepared: PreparedJob, number: int) -> Mapping[str, Scalar] | None:
    """The activation's parameters, by Optuna name, of a trial whose turn is the baseline's; None for any other trial.

    Where anything beside the activation is searched, every eighth trial (with fewer than eight families: one in so
    many) trains the baseline, with what the sampler proposes for the rest. Where nothing is, it would always give what
    trial 0 has given.

    Args:
        number: of the trial, from 0.
    """
    every = min(max(len(prepared.space.families), 2), _MOST_BETWEEN)
    searched_beside = prepared.space.training or prepared.space.architecture
    if prepared.request.sampler.exhaustive or not searched_beside or number == 0 or number % every:
        return None
    beside = ("training.", "architecture.")
    return {name: value for name, value in prepared.baseline_parameters.items() if not name.startswith(beside)}
