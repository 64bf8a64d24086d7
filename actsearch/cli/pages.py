"""One thing shown whole: an activation with its plot."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.syntax import Syntax
from rich.text import Text

from actsearch.cli.plot import Points, plot
from actsearch.cli.texts import parameter_text, parameters_text, samples_text, shape_text, value_text
from actsearch.schemas import ActivationInfo, TaskInfo

VALUE_STYLE, SLOPE_STYLE = "bold cyan", "magenta"


def activation_page(info: ActivationInfo) -> RenderableType:
    """Everything about an activation."""
    facts = {
        "formula": info.formula,
        "reference": info.reference,
        "hyperparameters": parameters_text(info.parameters),
        "tags": ", ".join(info.tags),
        "same as": info.alias_of or "",
        "shown": info.activation.text,
        "gain": f"{value_text(info.gain)} (chi {value_text(info.chi)})",
    }
    lines = [Text(f"{name:<16}", style="dim").append(value, style="default") for name, value in facts.items() if value]
    return Group(Text(info.name, style="bold"), *lines, Text(), *_picture(info), Syntax(info.snippet, "python"))


def task_page(info: TaskInfo) -> RenderableType:
    """Everything about a task; what was guessed when own data were read stands last."""
    facts = {
        "what it is": info.description,
        "input": shape_text(info),
        "outputs": str(info.outputs),
        "samples": samples_text(info),
        "judged by": info.metric,
        "architectures": ", ".join(info.architectures),
        "parameters": ", ".join(map(parameter_text, info.parameters)),
        "source": info.source,
    }
    lines = [Text(f"{name:<16}", style="dim").append(value, style="default") for name, value in facts.items()]
    return Group(Text(info.name, style="bold"), *lines, *(Text(f"note: {note}") for note in info.notes))


def _picture(info: ActivationInfo) -> list[RenderableType]:
    value, slope = (_points(info.curve.x, ys) for ys in (info.curve.value, info.curve.derivative))
    if not value:
        return [Text("no finite value to plot")]
    legend = Text("  f(x)", style=VALUE_STYLE).append("   f'(x)", style=SLOPE_STYLE)
    return [plot([(slope, SLOPE_STYLE), (value, VALUE_STYLE)]), legend, Text()]


def _points(xs: Sequence[float], ys: Sequence[float | None]) -> Points:
    return [(x, y) for x, y in zip(xs, ys, strict=True) if y is not None]
