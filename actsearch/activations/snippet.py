"""Copy-paste PyTorch code of an activation, for a user who takes the winner home without this package."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Sequence
from types import FunctionType, ModuleType
from typing import Any

from torch.nn import functional

from actsearch.activations.declaration import Family
from actsearch.activations.expressions.family import EXPRESSION, family_of
from actsearch.activations.expressions.operators import HELPERS
from actsearch.activations.expressions.tree import Expression
from actsearch.activations.given import AS_GIVEN
from actsearch.activations.resolution import learned_names, resolve
from actsearch.errors import FieldProblem, InvalidRequest
from actsearch.schemas import ActivationSpec

CHANNELS = "channels = 64  # size of axis 1 of the input\n"


def snippet(spec: ActivationSpec) -> str:
    """Python source that needs only torch and defines `activation`, an `nn.Module` that computes `spec`.

    Uses `torch.nn` where it has the function; else a small module around the family's own source. Values learned for
    each channel start from the line `channels = 64`, which the user sets.

    Raises:
        InvalidRequest: see `resolve`, and for `as given`, which is the network's own code.
    """
    full = resolve(spec)
    if full.family == AS_GIVEN:
        raise InvalidRequest(FieldProblem("family", "the network came with it; there is no code to add"))
    family = family_of(full)
    if family.torch_module is not None and _torch_suffices(family.torch_module, full):
        return _torch_snippet(family.torch_module, full)
    return _own_snippet(family, full)


def _torch_suffices(module: str, full: ActivationSpec) -> bool:
    """Whether torch's module learns what the spec wants learned: all do nothing of the kind, but for `{channels}`."""
    wanted = full.learned if learned_names(full) else "fixed"
    return wanted == ("channel" if "{channels}" in module else "fixed")


def _torch_snippet(module: str, full: ActivationSpec) -> str:
    built = module.format(**full.parameters, channels="channels")
    channels = CHANNELS if "{channels}" in module else ""
    return f"from torch import nn\n\n{channels}activation = {built}\n"


def _own_snippet(family: Family, full: ActivationSpec) -> str:
    if isinstance(family.function, Expression):
        modules, definitions = _expression_sources(family.function)
    else:
        modules, definitions = _sources(family.function)
    channels = CHANNELS if full.learned == "channel" and learned_names(full) else ""
    head = "\n".join(sorted({"import torch", "from torch import Tensor, nn", *modules}, key=_import_order))
    parts = [head, *definitions, _module_source(family, full)]
    name = _class_name(family)
    return "\n\n\n".join(parts) + f"\n\n\n{channels}activation = {name}({'channels' if channels else ''})\n"


def _expression_sources(expression: Expression) -> tuple[list[str], list[str]]:
    """As `_sources`, for the function that an expression is."""
    helpers = sorted(_names(expression.source) & set(HELPERS))
    parameters = "".join(f", {name}: float | Tensor" for name in expression.parameters)
    own = f"def expression(x: Tensor{parameters}) -> Tensor:\n    return {expression.source}"
    needed = [_sources(HELPERS[name]) for name in helpers]
    modules = [line for lines, _ in needed for line in lines]
    if "F." in expression.source:
        modules.append(_import_line("F", functional))
    return modules, [*(text for _, texts in needed for text in texts), own]


def _function_name(family: Family) -> str:
    function = family.function
    return EXPRESSION if isinstance(function, Expression) else inspect.unwrap(function).__name__


def _import_order(line: str) -> tuple[bool, str]:
    return line.startswith("from"), line


def _sources(function: Callable[..., Any]) -> tuple[list[str], list[str]]:
    """Import lines and definitions, in order of need, that make a function complete."""
    inner = inspect.unwrap(function)
    source = _undecorated(inner)
    modules: list[str] = []
    definitions: list[str] = []
    for name in sorted(_names(source) & set(inner.__globals__)):
        value = inner.__globals__[name]
        if isinstance(value, ModuleType):
            modules.append(_import_line(name, value))
        elif isinstance(value, FunctionType) and value is not inner:
            deeper_modules, deeper = _sources(value)
            modules += deeper_modules
            definitions += [text for text in deeper if text not in definitions]
        elif not callable(value):
            definitions.append(f"{name} = {value!r}")
    return modules, [*definitions, source]


def _names(source: str) -> set[str]:
    """Names that the source reads, annotations included."""
    return {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}


def _import_line(name: str, module: ModuleType) -> str:
    parent, _, last = module.__name__.rpartition(".")
    if not parent:
        return f"import {last}" if last == name else f"import {last} as {name}"
    return f"from {parent} import {last}" if last == name else f"from {parent} import {last} as {name}"


def _undecorated(function: Callable[..., Any]) -> str:
    source = textwrap.dedent(inspect.getsource(function))
    definition = ast.parse(source).body[0]
    return "\n".join(source.splitlines()[definition.lineno - 1 :])  # decorators stand above `def`'s line


def _class_name(family: Family) -> str:
    return "".join(part.capitalize() for part in family.name.split("_"))


def _module_source(family: Family, full: ActivationSpec) -> str:
    trained = learned_names(full)
    per_channel = full.learned == "channel" and bool(trained)
    lines = [f"class {_class_name(family)}(nn.Module):", f'    """{family.formula} ({family.reference})."""', ""]
    if trained:
        lines += _init_lines(full, trained, per_channel)
    lines.append("    def forward(self, x: Tensor) -> Tensor:")
    if per_channel:
        lines.append("        shape = (-1,) + (1,) * (x.dim() - 2)")
    lines.append(f"        return {_function_name(family)}({_arguments(family, full, per_channel)})")
    return "\n".join(lines)


def _init_lines(full: ActivationSpec, trained: Sequence[str], per_channel: bool) -> list[str]:
    signature = "self, channels: int" if per_channel else "self"
    lines = [f"    def __init__({signature}) -> None:", "        super().__init__()"]
    for name in trained:
        value = full.parameters[name]
        start = f"torch.full((channels,), {value!r})" if per_channel else f"torch.tensor({value!r})"
        lines.append(f"        self.{name} = nn.Parameter({start})")
    return [*lines, ""]


def _arguments(family: Family, full: ActivationSpec, per_channel: bool) -> str:
    trained = learned_names(full)
    arguments = ["x"]
    for name, value in full.parameters.items():
        learned = f"self.{name}.view(shape)" if per_channel else f"self.{name}"
        arguments.append(f"{name}={learned if name in trained else repr(value)}")
    if family.stochastic:
        arguments.append("training=self.training")
    return ", ".join(arguments)
