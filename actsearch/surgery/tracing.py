"""The activations in a module's own `forward`: found with torch.fx, one module at a time.

Parts of the module are not entered, so one that cannot be traced spoils no other. Modules that `forward` makes are.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from actsearch.surgery.foreign_activations import METHODS, is_inplace
from actsearch.surgery.regions import changes_input, operation, regions
from actsearch.surgery.rewriting import Arguments, recipe, rewrite

_CONSTANT = (type(None), bool, int, float, str)

Call = tuple[tuple[Any, ...], dict[str, Any]]
"""Arguments and keyword arguments of a `forward`."""


class NotTraceable(Exception):
    """A `forward` whose activations cannot be replaced; says why."""


class _Shallow(fx.Tracer):
    """Enters no part of the module."""

    def __init__(self, arguments: Arguments) -> None:
        super().__init__()
        self._arguments = arguments

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Every part is a leaf."""
        return True

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Enter modules that are no parts: those that `forward` itself has made."""
        try:
            self.path_of_module(m)
        except NameError:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def create_arg(self, a: Any) -> Any:
        """Mappings of a class of their own keep it: an `OrderedDict`, an output of transformers."""
        if isinstance(a, dict) and type(a) is not dict and all(isinstance(key, str) for key in a):
            return self.create_node("call_function", type(a), (), {key: self.create_arg(a[key]) for key in a})
        return super().create_arg(a)

    def create_args_for_root(self, root_fn: Callable[..., Any], is_module: bool, concrete_args: Any = None) -> Any:
        """Symbols for some of the arguments."""
        names = self._arguments.symbols
        fixed = {name: value for name, value in self._arguments.fixed.items() if value is not ...}

        def called(*symbols: Any) -> Any:
            return root_fn(self.root, **dict(zip(names, symbols, strict=True)), **fixed)

        called.__annotations__ = {}  # which would come to stand in the graph
        return called, [self.create_proxy("placeholder", name, (), {}) for name in names]


class Traced:
    """The graphs of a module's `forward`, in training and in evaluation mode, and the activations in them.

    Args:
        module: to be traced.
        activations: modules that are one activation each.
        call: how it is called; None for its required arguments alone. What it gives as a constant is fixed.

    Attributes:
        regions: activations that are calculated in it, in order.
        uses: calls of activation parts after the first of each: name of the part, and which use of it.
        unread: names of activation parts that change their input and whose result nobody uses.

    Raises:
        NotTraceable: where fx gives up, or where the modes call different activations.
    """

    def __init__(self, module: nn.Module, activations: set[nn.Module], call: Call | None = None) -> None:
        self._module, self._activations = module, activations
        self._arguments = _read_arguments(module, call)
        (training, counts), (evaluation, also) = (_graph(module, self._arguments, mode) for mode in (True, False))
        self._graphs = [training] if str(training) == str(evaluation) else [training, evaluation]
        self.is_changed = False
        self._replaced: dict[fx.Node, fx.Node] = {}  # results of regions, by which others may begin
        for graph in self._graphs:
            self._release_inputs(graph)
        found = [regions(graph, module, activations) for graph in self._graphs]
        self.regions = found[-1]
        if [r.old for r in found[0]] != [r.old for r in self.regions]:
            raise NotTraceable("training and evaluation call different activations")
        self._regions = list(zip(*found, strict=True))
        inside = {node for each in found for region in each for node in region.nodes}
        self.absorbed = {str(node.target) for node in inside if node.op == "call_module"}
        uses = [list(_further_uses(module, graph, activations, inside)) for graph in self._graphs]
        self.uses = [use for _, use in uses[0]]
        if self.uses != [use for _, use in uses[-1]]:
            self.uses = []  # one of several places, then, with one activation
        self.side_effects = [
            operation(n) for n in self.graph.nodes if changes_input(n) and not n.users and operation(n) in METHODS
        ]
        self.unread = {
            str(node.target)
            for node in self.graph.nodes
            if node.op == "call_module" and not node.users and self._is_inplace(str(node.target))
        }
        self._used_at = [[each[i][0] for each in uses] for i in range(len(self.uses))]
        if (counts or also) and (self.regions or self.uses or self.is_changed):
            raise NotTraceable("its forward changes its buffers")

    @property
    def graph(self) -> fx.Graph:
        """In evaluation mode."""
        return self._graphs[-1]

    def replace(self, index: int, part: str) -> None:
        """Call the part of this name in place of the activation number `index` of `regions`."""
        for region in self._regions[index]:
            graph, result = region.result.graph, region.result
            source = self._replaced.get(region.source, region.source)
            with graph.inserting_after(result):
                after = graph.call_module(part, (source,))
            result.replace_all_uses_with(after)
            self._replaced[result] = after
            self.is_changed = True
            for node in reversed(region.nodes):
                if not node.users:
                    graph.erase_node(node)

    def redirect(self, index: int, part: str) -> None:
        """Call the part of this name at use number `index` of those in `uses`."""
        for node in self._used_at[index]:
            node.target = part
        self.is_changed = True

    def further_use(self, index: int) -> fx.Node:
        """The call of use number `index` of those in `uses`, in evaluation mode."""
        return self._used_at[index][-1]

    def install(self) -> None:
        """Give the module the changed `forward`, if it was changed."""
        if not self.is_changed:
            return
        if isinstance(self._module, fx.GraphModule):
            self._module.graph = self._graphs[-1]
            return
        names: dict[str, Any] = {}
        bodies = []
        for graph in self._graphs:
            graph.lint()
            code = graph.python_code("self")
            names |= code.globals
            bodies.append(code.src)
        arguments = self._arguments
        rewrite(self._module, recipe(arguments, (bodies[0], bodies[-1]), names))

    def _release_inputs(self, graph: fx.Graph) -> None:
        """Where a call changes its input and that is used afterwards, use what the call returns instead."""
        for node in graph.nodes:
            part = node.op == "call_module" and self._is_inplace(str(node.target))
            if part or (changes_input(node) and isinstance(node.args[0] if node.args else None, fx.Node)):
                self.is_changed |= _use_from(node, node.args[0], node) and part

    def _is_inplace(self, path: str) -> bool:
        part = self._module.get_submodule(path)
        return part in self._activations and is_inplace(part)


def mentioned(module: nn.Module) -> tuple[str, ...] | None:
    """Activations that the methods of a module call as functions: of its class, and of those down to its `forward`.

    None where there is no source to read.
    """
    order = type(module).__mro__
    kinds = order[: next((place for place, kind in enumerate(order) if "forward" in vars(kind)), 0) + 1]
    methods = [value for kind in kinds for value in vars(kind).values() if inspect.isfunction(value)]
    try:  # of each method: that of a class may be of another one with the same name
        trees = [ast.parse(textwrap.dedent(inspect.getsource(method))) for method in methods]
    except (OSError, TypeError, SyntaxError):
        return None
    return tuple(sorted({name for tree in trees for node in ast.walk(tree) if (name := _called(node)) in METHODS}))


def _called(node: ast.AST) -> str:
    """The name of the function or method that a piece of source calls; not of parts (`self.relu(x)`)."""
    if not isinstance(node, ast.Call):
        return ""
    if isinstance(node.func, ast.Name):
        return node.func.id
    if isinstance(node.func, ast.Call):  # `nn.ReLU()(x)`
        return _called(node.func).lower()
    if isinstance(node.func, ast.Attribute) and not (
        isinstance(node.func.value, ast.Name) and node.func.value.id == "self"
    ):
        return node.func.attr
    return ""


def _graph(module: nn.Module, arguments: Arguments, mode: bool) -> tuple[fx.Graph, bool]:
    """The graph of a `forward`, and whether it changes buffers, which happens while it is traced and is in no graph."""
    before = module.training
    module.training = mode
    buffers = [(value, value._version, value.clone()) for value in module.buffers(recurse=False)]
    try:
        graph = _Shallow(arguments).trace(module)
    except Exception as error:  # whatever a `forward` raises on symbols instead of tensors
        raise NotTraceable(f"torch.fx cannot trace it: {str(error).splitlines()[0] or type(error).__name__}") from error
    finally:
        module.training = before
        changed = [(value, saved) for value, version, saved in buffers if value._version != version]
        for value, saved in changed:
            value.copy_(saved)
    graph._tracer_cls = None  # by which torch would trace it again when it is unpickled
    return graph, bool(changed)


def _read_arguments(module: nn.Module, call: Call | None) -> Arguments:
    if "forward" in vars(module):
        raise NotTraceable("its forward was replaced on the object; give it a class of its own")
    signature = inspect.signature(module.forward)
    given = _given(signature, call)
    symbols: list[str] = []
    fixed: dict[str, Any] = {}
    texts: list[str] = []
    defaults: dict[str, Any] = {}
    for p in signature.parameters.values():
        if p.kind in (p.VAR_POSITIONAL, p.POSITIONAL_ONLY):
            raise NotTraceable("its forward takes arguments by position only")
        if p.kind is p.VAR_KEYWORD:
            if given.get(p.name):
                raise NotTraceable(f"its forward is given further keyword arguments: {', '.join(given[p.name])}")
            fixed[p.name] = ...
            texts.append(f"**{p.name}")
            continue
        if p.kind is p.KEYWORD_ONLY and "*" not in texts:
            texts.append("*")
        value = given.get(p.name, p.default)
        if value is p.empty or not isinstance(value, _CONSTANT) or (call is not None and p.default is p.empty):
            symbols.append(p.name)
        else:
            fixed[p.name] = value
        if p.default is not p.empty:
            if not isinstance(p.default, _CONSTANT):
                raise NotTraceable(f"its argument {p.name} has a default that is no constant")
            defaults[p.name] = p.default
        texts.append(p.name if p.default is p.empty else f"{p.name}=_default_{p.name}")
    return Arguments(tuple(symbols), fixed, ", ".join(texts), defaults)


def _given(signature: inspect.Signature, call: Call | None) -> dict[str, Any]:
    if call is None:
        return {}
    bound = signature.bind(*call[0], **call[1])
    return dict(bound.arguments)


def tensors(value: Any) -> list[Tensor]:
    """The tensors in nested containers."""
    return [leaf for leaf in pytree.tree_leaves(value) if isinstance(leaf, Tensor)]


def _further_uses(
    module: nn.Module, graph: fx.Graph, activations: set[nn.Module], inside: set[fx.Node]
) -> Iterator[tuple[fx.Node, tuple[str, int]]]:
    """Second, third ... calls of an activation part: (call, (name of the part, which use of it))."""
    seen: Counter[str] = Counter()
    for node in graph.nodes:
        if node.op == "call_module" and node not in inside and module.get_submodule(str(node.target)) in activations:
            seen[str(node.target)] += 1
            if seen[str(node.target)] > 1:
                yield node, (str(node.target), seen[str(node.target)])


def _use_from(start: fx.Node, old: Any, new: fx.Node) -> bool:
    """Let nodes after `start` use `new` where they use `old`; whether there was any."""
    nodes = list(start.graph.nodes)
    later = set(nodes[nodes.index(start) + 1 :])
    users = [user for user in old.users if user in later]
    for user in users:
        user.replace_input_with(old, new)
    return bool(users)
