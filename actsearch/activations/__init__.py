"""The catalogue of activations: families as plain differentiable functions with declared hyperparameters.

A family is one decorated function (`declaration`); importing this package declares them all, those of installed plugins
too. From the declaration derive the module, the gain, the snippet, the curve, the fingerprint and the property tests.
"""

from __future__ import annotations

# isort: off
from actsearch.activations import rectifiers as rectifiers
from actsearch.activations import exponential as exponential
from actsearch.activations import sigmoid_weighted as sigmoid_weighted
from actsearch.activations import self_gated as self_gated
from actsearch.activations import expanded_gates as expanded_gates
from actsearch.activations import saturating as saturating
from actsearch.activations import soft as soft
from actsearch.activations import thresholds as thresholds
from actsearch.activations import periodic as periodic
from actsearch.activations import discovered as discovered
from actsearch.activations import learned as learned
from actsearch.activations import spline as spline
from actsearch.activations import blends as blends
from actsearch.activations import rational as rational

# isort: on
from actsearch.activations.curve import Curve, curve
from actsearch.activations.declaration import Family, Parameter, distinct_families, families, family, get_family
from actsearch.activations.describe import describe, describe_activation
from actsearch.activations.expressions import EXPRESSION, GRAMMAR, Grammar, expression_family, family_of
from actsearch.activations.fingerprint import fingerprint
from actsearch.activations.gain import derivative_second_moment, gain, largest_second_moment, second_moment
from actsearch.activations.given import AS_GIVEN, GIVEN
from actsearch.activations.module import Activation
from actsearch.activations.resolution import learned_names, resolve
from actsearch.activations.snippet import snippet
from actsearch.plugins import load_plugins

__all__ = [
    "AS_GIVEN",
    "EXPRESSION",
    "GIVEN",
    "GRAMMAR",
    "Activation",
    "Curve",
    "Family",
    "Grammar",
    "Parameter",
    "curve",
    "derivative_second_moment",
    "describe",
    "describe_activation",
    "distinct_families",
    "expression_family",
    "families",
    "family",
    "family_of",
    "fingerprint",
    "gain",
    "get_family",
    "largest_second_moment",
    "learned_names",
    "resolve",
    "second_moment",
    "snippet",
]

load_plugins("actsearch.families")  # last: a plugin imports this package
