"""Expressions: what is text, what is refused and where, and that they behave like any family."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special
from torch import nn

from actsearch.activations import Activation, curve, expression_family, fingerprint, gain, resolve, snippet
from actsearch.activations.expressions import Expression, parse
from actsearch.activations.expressions.operators import FUNCTIONS, OPERATORS
from actsearch.activations.expressions.parse import MAX_DEPTH, MAX_NODES
from actsearch.activations.expressions.tree import Call, Input, Name, Node, Number, depth, has_input, nodes
from actsearch.errors import InvalidRequest
from actsearch.schemas import ActivationSpec

X = torch.linspace(-6, 6, 241, dtype=torch.float64) + 0.0031


def spec(text: str, learned: str | None = None, **parameters: float) -> ActivationSpec:
    return ActivationSpec.model_validate(
        {"family": "expression", "expression": text, "parameters": parameters, "learned": learned}
    )


def trees() -> st.SearchStrategy[Node]:
    """Any tree that the language can say: a negative constant is a number, not an operator on one."""
    leaves = st.one_of(
        st.just(Input()),
        st.floats(-1e6, 1e6).map(Number),
        st.sampled_from(["beta", "a", "b2", "mix_"]).map(Name),
    )

    def grow(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
        def call(name: str) -> st.SearchStrategy[Node]:
            arity = OPERATORS[name].arity
            return st.tuples(*[inner] * arity).map(lambda arguments: Call(name, arguments))

        return st.sampled_from(sorted(OPERATORS)).flatmap(call).filter(sayable)

    return st.recursive(leaves, grow, max_leaves=12).filter(has_input).filter(lambda tree: depth(tree) <= MAX_DEPTH)


def sayable(call: Node) -> bool:
    assert isinstance(call, Call)
    last = call.arguments[-1]
    return not (
        isinstance(last, Number) and (call.operator == "negative" or (call.operator == "/" and last.value == 0))
    )


@settings(max_examples=150, deadline=None, derandomize=True)
@given(tree=trees())
def test_text_of_a_tree_parses_to_the_tree(tree: Node) -> None:
    text = Expression(tree).text
    if len(text) <= 400 and len(list(nodes(tree))) <= MAX_NODES:
        assert parse(text).tree == tree


def python_meaning(node: Node, x: Any, values: dict[str, float]) -> Any:
    """The tree in numpy, written out apart from the operators' own table."""
    if isinstance(node, Input):
        return x
    if isinstance(node, Number):
        return node.value
    if isinstance(node, Name):
        return values[node.name]
    arguments = [np.asarray(python_meaning(argument, x, values), dtype=float) for argument in node.arguments]
    return MEANING[node.operator](*arguments)


def positive(b: Any) -> Any:
    return np.where(b < 0, np.minimum(b, -1e-6), np.maximum(b, 1e-6))


MEANING: dict[str, Callable[..., Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": lambda a, b: a / positive(b),
    "negative": np.negative,
    "^2": np.square,
    "^3": lambda a: a * a * a,
    "abs": np.abs,
    "sqrt": lambda a: np.sqrt(np.abs(a) + 2e-8),
    "exp": lambda a: np.exp(np.minimum(a, 20)),
    "log1p": lambda a: np.log1p(np.abs(a)),
    "sin": np.sin,
    "cos": np.cos,
    "sinh": lambda a: np.sinh(np.clip(a, -20, 20)),
    "atan": np.arctan,
    "tanh": np.tanh,
    "sigmoid": special.expit,
    "erf": special.erf,
    "softplus": lambda a: np.logaddexp(a, 0),
    "relu": lambda a: np.maximum(a, 0),
    "elu": lambda a: np.where(a > 0, a, np.expm1(np.minimum(a, 0))),
    "selu": lambda a: 1.0507009873554805 * np.where(a > 0, a, 1.6732632423543772 * np.expm1(np.minimum(a, 0))),
    "silu": lambda a: a * special.expit(a),
    "gelu": lambda a: a * special.ndtr(a),
    "max": np.maximum,
    "min": np.minimum,
    "gate": lambda a, b: special.expit(a) * b,
    "rbf": lambda a, b: np.exp(-((a - b) ** 2)),
    "mix": lambda a, b, share: share * a + (1 - share) * b,
}


def test_every_operator_has_a_meaning() -> None:
    assert MEANING.keys() == OPERATORS.keys()


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("inner", ["input", "parameter", "number"])
def test_each_operator_means_what_it_says(name: str, inner: str) -> None:
    first = {"input": Input(), "parameter": Name("beta"), "number": Number(1.25)}[inner]
    rest = (Number(0.75), Name("a"))[: OPERATORS[name].arity - 1]
    tree = Call("+", (Call(name, (first, *rest)), Input()))
    check_against_numpy(tree, {"beta": 1.7, "a": 0.4})


@settings(max_examples=60, deadline=None, derandomize=True)
@given(tree=trees(), a=st.floats(-3, 3), beta=st.floats(0.1, 3))
def test_trees_mean_what_they_say(tree: Node, a: float, beta: float) -> None:
    check_against_numpy(tree, {"a": a, "beta": beta, "b2": 0.5, "mix_": -1.0})


def check_against_numpy(tree: Node, values: dict[str, float]) -> None:
    with np.errstate(all="ignore"):
        wanted = python_meaning(tree, X.numpy(), values)
    regular = np.isfinite(wanted) & (np.abs(wanted) < 1e12)  # sines of huge numbers depend on the last bit
    expression = Expression(tree)
    ours = expression(X, **{name: values[name] for name in expression.parameters})
    assert ours.shape == X.shape
    np.testing.assert_allclose(ours.numpy()[regular], wanted[regular], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("", 0, "expected a number"),
        ("2x", 1, "expected an operator"),
        ("x +", 3, "expected a number"),
        ("x + * 2", 4, "expected a number"),
        ("max(x, 0", 8, "expected ')'"),
        ("max(x)", 0, "takes 2 arguments, not 1"),
        ("sigmoid(x, x)", 0, "takes 1 argument, not 2"),
        ("sigmoid * x", 0, "write its argument in parentheses"),
        ("x * foo(x)", 4, "there is no function 'foo'"),
        ("__import__('os').system('ls')", 11, '"\'" is no part'),
        ("x.__class__", 1, "'.' is no part"),
        ("x if x else 2", 2, "expected an operator"),
        ("lambda * x", 0, "means something else"),
        ("x * forward", 4, "means something else"),
        ("Beta * x", 0, "lowercase"),
        ("x ^ 4", 4, "only the powers 2 and 3"),
        ("x ** beta", 5, "only the powers 2 and 3"),
        ("x / 0", 4, "division by zero"),
        ("1e9 * x", 0, "numbers go up to"),
        ("a + b + c + d + e + x", 16, "more than 4 parameters"),
        ("2 - beta", 0, "does not depend on x"),
        ("x + é", 4, "is no part"),
        (" + ".join(["(x + x + x + x + x + x + x + x)"] * 4), 100, "more than 60"),
        ("x" + " + x" * 22, 82, "operators deep"),
        ("(" * 30 + "x" + ")" * 30, 20, "nested more than 20 deep"),
        ("-" * 100 + "x", 20, "nested more than 20 deep"),
        ("x" + " " * 400, 400, "longer than 400"),
    ],
)
def test_any_other_text_is_refused_with_its_place(text: str, place: int, reason: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(text)
    (problem,) = caught.value.problems
    said, shown, caret = problem.message.split("\n")
    assert problem.field == "expression"
    assert reason in said
    assert f"(character {place + 1})" in said
    assert (shown, caret) == (text, " " * place + "^")


@settings(max_examples=300, deadline=None, derandomize=True)
@given(text=st.text(st.sampled_from("x0123.+-*/^(), \n\t\x00'_abemnprt=[]{}:;é\u2028"), max_size=60))
def test_no_text_gives_anything_but_an_expression_or_an_invalid_request(text: str) -> None:
    try:
        expression = parse(text)
    except InvalidRequest:
        return
    assert parse(expression.text) == expression


def test_an_expression_equals_the_family_that_it_writes_out() -> None:
    assert fingerprint(spec("x * sigmoid(beta * x)", "fixed", beta=1.7)) == fingerprint(
        ActivationSpec(family="swish", parameters={"beta": 1.7})
    )
    assert fingerprint(spec("x*tanh(softplus(x))")) == fingerprint(ActivationSpec(family="mish"))
    assert gain(spec("max(x, 0)")) == pytest.approx(math.sqrt(2))
    assert gain(spec("max(x, slope * x)", slope=0.5)) == pytest.approx(math.sqrt(2 / 1.25))
    sampled = curve(spec("x^2 + a", a=1), low=-1, high=1, points=3)
    assert (sampled.value, sampled.derivative) == ([2, 1, 2], [-2, 0, 2])


@pytest.mark.parametrize(
    ("text", "cost"),
    [
        ("max(x, 0)^2 / (1 + abs(x))", "cheap"),
        ("relu(x) + sqrt(x)", "cheap"),
        ("x * sigmoid(b * x)", "exponential"),
        ("x * tanh(softplus(x))", "composite"),
    ],
)
def test_the_cost_is_that_of_the_operators(text: str, cost: str) -> None:
    assert expression_family(text).cost == cost


def test_a_resolved_expression_is_written_in_one_way_and_survives_json() -> None:
    one, other = resolve(spec("max(x,0)*swish( x )")), resolve(spec("(max(x, 0)) * silu(x)"))
    assert one == other
    assert one.expression == "max(x, 0) * silu(x)"
    assert one.label == one.expression
    assert resolve(ActivationSpec.model_validate_json(one.model_dump_json())) == one


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (ActivationSpec(family="expression"), "expression"),
        (ActivationSpec(family="relu", expression="x"), "expression"),
        (spec("beta * x"), "parameters.beta"),
        (spec("beta * x", beta=1e4), "parameters.beta"),
        (spec("x", gamma=1.0), "parameters.gamma"),
        (spec("x", "scalar"), "learned"),
        (spec("x )"), "expression"),
    ],
)
def test_a_wrong_expression_names_its_field(wrong: ActivationSpec, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        resolve(wrong)
    assert [problem.field for problem in caught.value.problems] == [field]


EVERYTHING = [
    "max(x, 0) * sigmoid(beta * x)",
    "x / (1 + abs(x)) + a * sin(b * x)",
    "mix(gate(x, a), rbf(x, b), sigmoid(c))",
    "min(x^2, 3) - sqrt(log1p(x^3)) * erf(a)",
    *(f"{name}({', '.join(['x', '2', 'a'][: operator.arity])})" for name, operator in FUNCTIONS.items()),
]


@pytest.mark.parametrize("text", EVERYTHING)
@pytest.mark.parametrize("learned", ["fixed", "scalar", "channel"])
def test_module_and_snippet_compute_the_same(text: str, learned: str) -> None:
    names = expression_family(text).parameters
    if not names and learned != "fixed":
        return
    full = spec(text, learned, **{name: 0.3 * (i + 1) for i, name in enumerate(names)})
    x = torch.randn(3, 64, 2, generator=torch.Generator().manual_seed(1))
    module = Activation(full, channels=64)
    scope: dict[str, Any] = {}
    exec(compile(snippet(full), "<snippet>", "exec"), scope)
    theirs: nn.Module = scope["activation"]
    torch.testing.assert_close(theirs(x), module(x))
    torch.testing.assert_close(pickle.loads(pickle.dumps(module))(x), module(x))
    assert [p.shape for p in theirs.parameters()] == [p.shape for p in module.parameters()]
    assert module(x.bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize("text", EVERYTHING)
def test_value_and_gradient_are_finite_and_broadcast(text: str) -> None:
    names = expression_family(text).parameters
    function = expression_family(text).function
    x = torch.cat([torch.linspace(-50, 50, 401), torch.zeros(1)]).requires_grad_()
    values = {name: torch.tensor([[0.5], [1.0], [-2.0]]).requires_grad_() for name in names}
    stacked = function(x.expand(3, -1), **values)
    torch.testing.assert_close(
        stacked,
        torch.stack([function(x, **{name: float(v[k].detach()) for name, v in values.items()}) for k in range(3)]),
    )
    slopes = torch.autograd.grad(stacked.sum(), [x, *values.values()])
    assert all(part.isfinite().all() for part in (stacked, *slopes))


def test_it_compiles_and_exports() -> None:
    x = torch.randn(4, 3)
    module = Activation(spec("max(x, 0) * sigmoid(beta * x) / (1 + softplus(a))", "channel", beta=2, a=1), channels=3)
    compiled = torch.compile(module, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), module(x))
    torch.testing.assert_close(torch.export.export(module, (x,)).module()(x), module(x))
