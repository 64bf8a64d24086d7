"""Activations that a module's `forward` calls as functions: found with torch.fx, one module at a time.

Only the module's own `forward` is traced, its parts are not entered: so one part that cannot be traced spoils no other.
The module keeps its class, attributes and weights; it gets a `forward` of its own that calls activations as parts.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from types import MethodType
from typing import Any

from torch import Tensor, fx, nn

from actsearch.surgery.foreign_activations import FUNCTIONS, METHODS, is_activation, is_inplace, is_tensor_method

_CONSTANT = (type(None), bool, int, float, str)


class NotTraceable(Exception):
    """A `forward` whose activations cannot be replaced; says why."""


class _Shallow(fx.Tracer):
    """Enters no part of the module."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Every part is a leaf."""
        return True


class Traced:
    """The graphs of a module's `forward`, in training and in evaluation mode, and the activations in them.

    Attributes:
        functions: activation functions called, in order.
        uses: calls of activation parts after the first of each: name of the part, and which use of it.

    Raises:
        NotTraceable: where fx gives up, or where the modes call different activations.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._optional = _optional_arguments(module)
        training, evaluation = _graph(module, self._optional, True), _graph(module, self._optional, False)
        same = str(training) == str(evaluation)
        self._graphs = {True: training, False: training if same else evaluation}
        calls = {mode: list(_calls(graph)) for mode, graph in self._graphs.items()}
        self.functions = [function for _, function in calls[True]]
        if self.functions != [function for _, function in calls[False]]:
            raise NotTraceable("training and evaluation call different activations")
        self._nodes = [[calls[True][i][0], *([] if same else [calls[False][i][0]])] for i in range(len(self.functions))]
        uses = {mode: list(_further_uses(module, graph)) for mode, graph in self._graphs.items()}
        self.uses = [use for _, use in uses[True]]
        if self.uses != [use for _, use in uses[False]]:
            self.uses = []  # one of several places, then, with one activation
        self._used_at = [[uses[True][i][0], *([] if same else [uses[False][i][0]])] for i in range(len(self.uses))]

    def replace(self, index: int, part: str) -> None:
        """Call the part of this name in place of the activation function number `index`."""
        for node in self._nodes[index]:
            before = node.args[0] if node.args else node.kwargs["input"]
            with node.graph.inserting_after(node):
                after = node.graph.call_module(part, (before,))
            node.replace_all_uses_with(after)
            if _changes_input(node):
                _use_from(after, before, after)
            node.graph.erase_node(node)

    def function(self, index: int) -> Callable[[Tensor], Tensor]:
        """What the activation function number `index` computes, with the arguments that it is called with."""
        node = self._nodes[index][0]
        options = {name: value for name, value in node.kwargs.items() if name not in ("input", "inplace")}
        call = getattr(Tensor, node.target) if isinstance(node.target, str) else node.target
        return lambda x: call(x.clone(), *node.args[1:], **options)

    def redirect(self, index: int, part: str) -> None:
        """Call the part of this name at use number `index` of those in `uses`."""
        for node in self._used_at[index]:
            node.target = part

    def release_inputs(self) -> bool:
        """Where an activation part changed its input and that is used afterwards, use what the part returns instead.

        Returns:
            Whether there was such a place.
        """
        found = False
        for graph in set(self._graphs.values()):
            for node in graph.nodes:
                if node.op == "call_module" and _is_inplace_part(self._module, str(node.target)):
                    found |= _use_from(node, node.args[0], node)
        return found

    def install(self) -> None:
        """Give the module the changed `forward`."""
        forwards = {mode: _function(self._module, graph) for mode, graph in self._graphs.items()}
        signature = inspect.signature(self._module.forward) if self._optional else None

        def forward(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
            if signature is not None:
                bound = signature.bind(*args, **kwargs)
                bound.apply_defaults()
                args, kwargs = bound.args, {}
            return forwards[self.training](self, *args, **kwargs)

        self._module.forward = MethodType(forward, self._module)


def mentioned(module: nn.Module) -> tuple[str, ...] | None:
    """Activations that the source of a module's class calls as functions; None where there is no source to read."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(type(module))))
    except (OSError, TypeError, SyntaxError):
        return None
    return tuple(sorted({name for node in ast.walk(tree) if (name := _called(node)) in METHODS}))


def _called(node: ast.AST) -> str:
    """The name of the function or method that a piece of source calls; not of parts (`self.relu(x)`)."""
    if not isinstance(node, ast.Call):
        return ""
    if isinstance(node.func, ast.Name):
        return node.func.id
    if isinstance(node.func, ast.Attribute) and not (
        isinstance(node.func.value, ast.Name) and node.func.value.id == "self"
    ):
        return node.func.attr
    return ""


def _graph(module: nn.Module, optional: dict[str, Any], mode: bool) -> fx.Graph:
    before = module.training
    module.training = mode
    try:
        return _Shallow().trace(module, dict(optional) or None)
    except Exception as error:  # whatever a `forward` raises on symbols instead of tensors
        raise NotTraceable(f"torch.fx cannot trace it: {str(error).splitlines()[0] or type(error).__name__}") from error
    finally:
        module.training = before


def _optional_arguments(module: nn.Module) -> dict[str, Any]:
    """Arguments with a constant default: traced with it, and refused by the traced `forward` with any other value."""
    arguments = inspect.signature(module.forward).parameters.values()
    if any(a.kind in (a.KEYWORD_ONLY, a.VAR_KEYWORD) for a in arguments):
        raise NotTraceable("its forward takes keyword-only arguments")
    return {a.name: a.default for a in arguments if a.default is not a.empty and isinstance(a.default, _CONSTANT)}


def _calls(graph: fx.Graph) -> Iterator[tuple[fx.Node, str]]:
    for node in graph.nodes:
        if node.op == "call_function" and node.target in FUNCTIONS:
            yield node, FUNCTIONS[node.target]
        elif node.op == "call_method" and is_tensor_method(node.target):
            yield node, f"Tensor.{node.target}"


def _further_uses(module: nn.Module, graph: fx.Graph) -> Iterator[tuple[fx.Node, tuple[str, int]]]:
    """Second, third ... calls of an activation part: (call, (name of the part, which use of it))."""
    seen: Counter[str] = Counter()
    for node in graph.nodes:
        if node.op == "call_module" and is_activation(module.get_submodule(str(node.target))):
            seen[str(node.target)] += 1
            if seen[str(node.target)] > 1:
                yield node, (str(node.target), seen[str(node.target)])


def _changes_input(node: fx.Node) -> bool:
    name = node.target if isinstance(node.target, str) else FUNCTIONS[node.target]
    inplace = node.kwargs.get("inplace", node.args[-1] if len(node.args) > 1 else False)
    return name.endswith("_") or inplace is True


def _use_from(start: fx.Node, old: Any, new: fx.Node) -> bool:
    """Let nodes after `start` use `new` where they use `old`; whether there was any."""
    later = _after(start)
    users = [user for user in old.users if user in later]
    for user in users:
        user.replace_input_with(old, new)
    return bool(users)


def _after(start: fx.Node) -> set[fx.Node]:
    nodes: Sequence[fx.Node] = list(start.graph.nodes)
    return set(nodes[nodes.index(start) + 1 :])


def _is_inplace_part(module: nn.Module, path: str) -> bool:
    part = module.get_submodule(path)
    return is_activation(part) and is_inplace(part)


def _function(module: nn.Module, graph: fx.Graph) -> Callable[..., Any]:
    graph.lint()
    function: Callable[..., Any] = type(fx.GraphModule(module, graph)).forward
    return function
