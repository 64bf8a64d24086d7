"""A search, written once: checking requests, proposing activations, running the one loop, judging what was found."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actsearch.study.checking.constraints import violations
    from actsearch.study.checking.prepare import PreparedJob, input_spec, prepare, prepare_on
    from actsearch.study.proposing.at_once import most_at_once
    from actsearch.study.proposing.baseline import as_baseline, baseline_turn, is_baseline
    from actsearch.study.proposing.pruners import make_pruner
    from actsearch.study.proposing.samplers import make_sampler

_PLACES = {
    "PreparedJob": "checking.prepare",
    "as_baseline": "proposing.baseline",
    "baseline_turn": "proposing.baseline",
    "input_spec": "checking.prepare",
    "is_baseline": "proposing.baseline",
    "make_pruner": "proposing.pruners",
    "make_sampler": "proposing.samplers",
    "most_at_once": "proposing.at_once",
    "prepare": "checking.prepare",
    "prepare_on": "checking.prepare",
    "violations": "checking.constraints",
}

__all__ = [
    "PreparedJob",
    "as_baseline",
    "baseline_turn",
    "input_spec",
    "is_baseline",
    "make_pruner",
    "make_sampler",
    "most_at_once",
    "prepare",
    "prepare_on",
    "violations",
]


def __getattr__(name: str) -> Any:
    """Load on first use: the store imports `actsearch.study.ledger`, and is not to load torch with it."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
