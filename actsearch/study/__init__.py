"""A search, written once: checking requests, proposing activations, judging what was found."""

from __future__ import annotations

from actsearch.study.checking.constraints import violations
from actsearch.study.checking.prepare import PreparedJob, input_spec, prepare, prepare_on
from actsearch.study.proposing.asking import claimed_trial
from actsearch.study.proposing.at_once import most_at_once
from actsearch.study.proposing.baseline import as_baseline, baseline_turn, is_baseline
from actsearch.study.proposing.pruners import make_pruner
from actsearch.study.proposing.samplers import make_sampler

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
