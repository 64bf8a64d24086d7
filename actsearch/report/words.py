"""Values and activations as people read them."""

from __future__ import annotations

from actsearch.schemas import Trial


def number(value: object) -> str:
    """Four significant digits; a dash for nothing."""
    if value is None:
        return "–"
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, float) and not value.is_integer():
        return f"{value:.4g}"
    return f"{value:,.0f}" if isinstance(value, int | float) else str(value)


def signed(value: float | None) -> str:
    """With its sign: +0.021; a dash for nothing."""
    return "–" if value is None else f"{value:+.4g}"


def trial(found: Trial) -> str:
    """A trial's activation, or its activations by site where they differ."""
    specs = list(found.activations.items())
    if specs and all(spec == specs[0][1] for _, spec in specs):
        return specs[0][1].text
    return ", ".join(f"{group}: {spec.text}" for group, spec in specs)
