"""Rational functions (Pade activation units) that start as an approximation of a named activation."""

from __future__ import annotations

from torch import Tensor

from actsearch.activations.declaration import Parameter, family

# P = sum p_i x^i (i = 0..5), Q = sum q_j x^j (j = 1..4): least squares on 601 points of [-3, 3] as in the paper's
# appendix. The largest error there is 0.034 for the two with a kink, 1e-4 for the smooth ones.
INITIAL = {
    "relu": ((0.03392, 0.49999, 1.66795, 1.98461, 0.93728, 0.15003), (9e-05, -3.96934, 6e-05, -0.30007)),
    "leaky_relu": ((0.03358, 0.50501, 1.65136, 2.00457, 0.92797, 0.15154), (-8e-05, -3.96934, -6e-05, -0.30007)),
    "swish": ((0.0, 0.5, 0.25, 0.05326, 0.0058, 0.00028), (0.0, 0.10653, 0.0, 0.00055)),
    "tanh": ((0.0, 0.99999, 0.0, 0.1077, 0.0, 0.00087), (0.0, 0.441, 0.0, 0.01458)),
}


def _parameters(name: str) -> dict[str, Parameter]:
    numerator, denominator = INITIAL[name]
    values = {f"p{i}": v for i, v in enumerate(numerator)} | {f"q{j}": v for j, v in enumerate(denominator, start=1)}
    return {
        key: Parameter(value, -10.0, 10.0, learnable=True, description=f"coefficient of x^{key[1]}", searched=False)
        for key, value in values.items()
    }


def rational(
    x: Tensor,
    *,
    p0: float | Tensor,
    p1: float | Tensor,
    p2: float | Tensor,
    p3: float | Tensor,
    p4: float | Tensor,
    p5: float | Tensor,
    q1: float | Tensor,
    q2: float | Tensor,
    q3: float | Tensor,
    q4: float | Tensor,
) -> Tensor:
    """P(x) / (1 + |Q(x)|), P of degree 5 and Q of degree 4, by Horner's rule."""
    numerator = p0 + x * (p1 + x * (p2 + x * (p3 + x * (p4 + x * p5))))
    denominator = x * (q1 + x * (q2 + x * (q3 + x * q4)))
    return numerator / (1 + denominator.abs())


for _name in INITIAL:
    family(
        name=f"rational_{_name}",
        formula="(p0 + p1 x + ... + p5 x^5) / (1 + |q1 x + ... + q4 x^4|), at first close to " + _name,
        reference="Molina et al. 2020, Pade activation units: end-to-end learning of flexible activation functions",
        parameters=_parameters(_name),
        monotone=_name == "tanh",
        learned="scalar",
    )(rational)
