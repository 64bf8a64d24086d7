"""Writes docs/activations.md and a small plot of each family into docs/activations/, from the declarations alone.

Run it after a change of the catalogue: `python docs/generate_activations.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from actsearch.activations import Family, Parameter, curve, describe_activation, families
from actsearch.schemas import ActivationSpec

HERE = Path(__file__).parent
LOW, HIGH, POINTS = -4.0, 4.0, 81
WIDTH, HEIGHT, SCALE = 160, 120, 20  # pixels, and pixels a unit; the axes cross in the middle

HEAD = """# Activations

Every family that can be searched, from its declaration: written by `docs/generate_activations.py`, do not edit. The plots
show the value (black) and the derivative (grey) at the default hyperparameters, on [-4, 4]. *Gain* is
1 / sqrt(E[f(z)²]) for z ~ N(0, 1), what initial weights are scaled by; *chi* is gain² E[f'(z)²]: gradients of a deep
plain network vanish where it is below 1 and explode where it is above. `actsearch activations NAME --parameter NAME=VALUE`
and `GET /v1/activations/{family}` say the same for other hyperparameters, and give PyTorch code. Functions that are not
here can be written out as [expressions](expressions.md) or [declared](families.md). Functions of more
than one number (GLU and its kin, maxout, CReLU, Meta-ACON, dynamic ReLU, the funnel) are
[units](requests.md#units-of-more-than-one-number) of the architectures that offer them.
"""


def page() -> str:
    """The whole page."""
    parts, module = [HEAD], ""
    for family in catalogue():
        if family.function.__module__ != module:
            module = family.function.__module__
            parts.append(f"## {_title(module)}\n")
        parts.append(entry(family))
    return "\n".join(parts)


def catalogue() -> list[Family]:
    """The families of the package, in the order of its modules; not those that somebody's plugin adds."""
    ours = [f for f in families().values() if f.function.__module__.startswith("actsearch.activations.")]
    modules = list(dict.fromkeys(family.function.__module__ for family in ours))
    return sorted(ours, key=lambda family: modules.index(family.function.__module__))


def entry(family: Family) -> str:
    """A family's part of the page."""
    info = describe_activation(ActivationSpec(family=family.name), points=3)
    chi = "" if info.chi is None else f", chi {info.chi:.3f}"
    words = [*family.tags, *([] if family.cost == "cheap" else [f"cost {family.cost}"])]
    lines = [
        f"### {family.name}\n",
        f'<img src="activations/{family.name}.svg" width="{WIDTH}" height="{HEIGHT}" alt="{family.name}">\n',
        f"`{family.formula}`\n",
        *(f"- {_names(names)} {_parameter(family, names[0])}" for names in _alike(family)),
        f"- gain {info.gain:.3f}{chi}; {', '.join(words)}",
        *([f"- the same function as `{family.alias_of}`"] if family.alias_of else []),
        f"- {family.reference}\n",
    ]
    return "\n".join(lines)


def _alike(family: Family) -> list[list[str]]:
    """Names of the hyperparameters, those together that follow each other and are declared alike."""

    def declared(name: str) -> Parameter:
        return replace(family.parameters[name], needs=None)

    return [list(names) for _, names in groupby(family.parameters, key=declared)]


def _names(names: Sequence[str]) -> str:
    return f"`{names[0]}`" if len(names) == 1 else f"`{names[0]}` to `{names[-1]}`"


def _title(module: str) -> str:
    return str(sys.modules[module].__doc__).splitlines()[0].removesuffix(".")


def _parameter(family: Family, name: str) -> str:
    p = family.parameters[name]
    scale = " (log)" if p.log else ""
    trained = family.learned == "fixed"
    learned = (", may be learned" if trained else f", learned ({family.learned})") if p.learnable else ""
    searched = "" if p.searched else ", not searched"
    return f"= {p.default:g} in [{p.low:g}, {p.high:g}]{scale}: {p.description}{learned}{searched}"


def plot(family: Family) -> str:
    """A family's curves as SVG."""
    sampled = curve(ActivationSpec(family=family.name), LOW, HIGH, POINTS)
    slope, value = (_line(sampled.x, ys) for ys in (sampled.derivative, sampled.value))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" fill="none">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>'
        f'<path d="M0 {HEIGHT // 2}H{WIDTH}M{WIDTH // 2} 0V{HEIGHT}" stroke="#ddd"/>'
        f'<polyline points="{slope}" stroke="#999"/>'
        f'<polyline points="{value}" stroke="#000" stroke-width="2"/></svg>\n'
    )


def _line(xs: Sequence[float], ys: Sequence[float]) -> str:
    return " ".join(f"{WIDTH / 2 + SCALE * x:.0f},{_height(y):.1f}" for x, y in zip(xs, ys, strict=True))


def _height(y: float) -> float:
    """The pixel row of a value; what lies far outside ends just outside."""
    return min(max(HEIGHT / 2 - SCALE * y, -HEIGHT), 2.0 * HEIGHT)


def main() -> None:
    """Write the page and the plots, and remove plots of families that are gone."""
    (HERE / "activations.md").write_text(page(), encoding="utf-8")
    pictures = HERE / "activations"
    pictures.mkdir(exist_ok=True)
    for old in pictures.glob("*.svg"):
        old.unlink()
    for family in catalogue():
        (pictures / f"{family.name}.svg").write_text(plot(family), encoding="utf-8")


if __name__ == "__main__":
    main()
