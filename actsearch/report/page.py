"""The page: findings and charts put into the template."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from actsearch.activations import get_family, snippet
from actsearch.report import words
from actsearch.report.charts import CHARTS, picture
from actsearch.report.findings import Findings, only_spec
from actsearch.schemas import ActivationSpec, Trial
from actsearch.version import __version__

_COSTS = (
    ("parameters", "parameters"),
    ("seconds", "training time, s"),
    ("latency_ms", "latency, ms (CPU, 64 samples)"),
    ("gpu_latency_ms", "latency, ms (GPU, 64 samples)"),
    ("int8_drop", "lost by INT8"),
    ("activation_cost", "activation cost, ReLU evaluations"),
    ("dead_fraction", "dead units"),
    ("activation_sparsity", "outputs near zero"),
    ("gradient_ratio", "gradient norm, first / last layer"),
)
_TOP = 12


def report_page(findings: Findings) -> str:
    """The report as one HTML document: styles and charts inside, no scripts, nothing fetched."""
    charts = {name: picture(name, findings, "inline") for name in CHARTS}
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            found=findings,
            job=findings.job,
            verdict=findings.verdict,
            winner=findings.winner,
            baseline=findings.baseline,
            formula=_formula(findings.winner),
            costs=_costs(findings),
            top=findings.families.entries[:_TOP],
            codes=_codes(findings.winner),
            request=json.dumps(findings.job.request.model_dump(mode="json", exclude_unset=True), indent=2),
            environment=_environment_of(findings.winner),
            version=__version__,
            charts={name: Markup(drawn.decode()) for name, drawn in charts.items() if drawn is not None},  # noqa: S704 - ours
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("actsearch.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": words.number,
        "signed": words.signed,
        "activation": words.trial,
        "searched": _searched,
    }
    return environment


def _searched(trial: Trial) -> str:
    """What was searched beside the activation."""
    named = {name: value for name, value in trial.parameters.items() if name.startswith(("training.", "architecture."))}
    return ", ".join(f"{name.partition('.')[2]} {words.number(value)}" for name, value in named.items())


def _formula(winner: Trial | None) -> tuple[str, str] | None:
    """Formula and reference of the winner where it is one activation of the catalogue."""
    spec = None if winner is None else only_spec(winner)
    if spec is None or spec.expression:
        return None
    family = get_family(spec.family)
    return family.formula, family.reference


def _costs(findings: Findings) -> list[tuple[str, Any, Any]]:
    """(name, winner's, baseline's) of the numbers beside quality that either has."""
    sides = [trial.metrics if trial is not None else {} for trial in (findings.winner, findings.baseline)]
    return [
        (label, sides[0].get(key), sides[1].get(key)) for key, label in _COSTS if any(key in side for side in sides)
    ]


def _codes(winner: Trial | None) -> list[tuple[str, str]]:
    """(where, PyTorch code) of each different activation of the winner."""
    if winner is None:
        return []
    places: dict[str, tuple[list[str], ActivationSpec]] = {}
    for group, spec in winner.activations.items():
        places.setdefault(spec.model_dump_json(), ([], spec))[0].append(group)
    only = len(places) == 1
    return [("" if only else ", ".join(groups), snippet(spec)) for groups, spec in places.values()]


def _environment_of(winner: Trial | None) -> Sequence[tuple[str, str]]:
    """Versions and device of the winner's training."""
    if winner is None:
        return []
    told: dict[str, Any] = winner.metrics.get("environment") or {}
    versions = [(name, str(version)) for name, version in (told.get("versions") or {}).items()]
    device = [("device", f"{told['device']} ({told.get('device_name', '')})")] if "device" in told else []
    seed = [("training seed", str(winner.metrics["seed"]))] if "seed" in winner.metrics else []
    return [*versions, *device, *seed]
