"""Values and activations as people read them."""

from __future__ import annotations

from actsearch.schemas import ActivationSpec, Trial


def number(value: object) -> str:
    """Four significant digits; a dash for nothing."""
    if value is None:
        return "–"
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, float) and not value.is_integer():
        return f"{value:.4g}"
    return f"{value:,.0f}" if isinstance(value, int | float) else str(value)


def signed(value: float) -> str:
    """With its sign: +0.021."""
    return f"{value:+.4g}"


def activation(spec: ActivationSpec) -> str:
    """`leaky_relu(slope=0.12)`."""
    values = ", ".join(f"{name}={value:.3g}" for name, value in spec.parameters.items())
    head = spec.expression or spec.family
    if spec.expression:
        return f"{head}, {values}" if values else head
    return f"{head}({values})" if values else head


def trial(found: Trial) -> str:
    """A trial's activation, or its activations by site where they differ."""
    specs = list(found.activations.items())
    if specs and all(spec == specs[0][1] for _, spec in specs):
        return activation(specs[0][1])
    return ", ".join(f"{group}: {activation(spec)}" for group, spec in specs)
