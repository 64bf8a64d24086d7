"""Searching: checking requests, proposing activations, pruning."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

from actsearch.search.asking import claimed_trial
from actsearch.search.at_once import most_at_once
from actsearch.search.constraints import violations
from actsearch.search.fair_baseline import as_baseline, baseline_turn, is_baseline
from actsearch.search.prepare import PreparedJob, input_spec, prepare, prepare_on
from actsearch.search.pruners import make_pruner
from actsearch.search.samplers import make_sampler

__all__ = [
    "PreparedJob",
    "as_baseline",
    "baseline_turn",
    "claimed_trial",
    "input_spec",
    "is_baseline",
    "make_pruner",
    "make_sampler",
    "most_at_once",
    "prepare",
    "prepare_on",
    "violations",
]


class _CallableModule(ModuleType):
    """The package, which can also be called: `actsearch.search(...)` is `actsearch.inprocess.search(...)`."""

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        # By name: `inprocess` stands above this package, which must not know it (docs/decisions).
        return import_module("actsearch.inprocess").search(*arguments, **keywords)


sys.modules[__name__].__class__ = _CallableModule
