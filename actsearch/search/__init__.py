"""Searching: checking requests, proposing activations, pruning."""

from __future__ import annotations

from actsearch.search.asking import claimed_trial
from actsearch.search.at_once import most_at_once
from actsearch.search.constraints import violations
from actsearch.search.prepare import PreparedJob, input_spec, prepare
from actsearch.search.pruners import make_pruner
from actsearch.search.samplers import make_sampler

__all__ = [
    "PreparedJob",
    "claimed_trial",
    "input_spec",
    "make_pruner",
    "make_sampler",
    "most_at_once",
    "prepare",
    "violations",
]
