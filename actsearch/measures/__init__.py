"""Costs of a finished network: latency, size, arithmetic of its activations, and what quantisation takes."""

from __future__ import annotations

from actsearch.measures.costs import activation_cost, parameter_count
from actsearch.measures.latency import Latency, latency
from actsearch.measures.measuring import measure
from actsearch.measures.quantisation import int8_drop, quantised

__all__ = ["Latency", "activation_cost", "int8_drop", "latency", "measure", "parameter_count", "quantised"]
