"""The shape-aware sampler: activations are compared by the function they compute, not by their parameters.

Idea: Bingham & Miikkulainen, "Efficient Activation Function Optimization through Surrogate Modeling" (AQuaSurF),
NeurIPS 2023; the features, the model and the code are our own.
"""

from __future__ import annotations

from actsearch.study.proposing.shape.observations import Observation, Source
from actsearch.study.proposing.shape.sampler import ShapeSampler

__all__ = ["Observation", "ShapeSampler", "Source"]
