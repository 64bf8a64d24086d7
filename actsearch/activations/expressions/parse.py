"""From text to a tree: a tokenizer and a Pratt parser for a small language that can only say what it means to allow.

Nothing is ever evaluated as Python. A text that is not an expression is refused with the place of the first mistake.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from actsearch.activations.expressions.operators import CONSTANTS, FUNCTIONS, HELPERS, OTHER_NAMES
from actsearch.activations.expressions.tree import Call, Expression, Input, Name, Node, Number, depth, has_input, nodes
from actsearch.errors import FieldProblem, InvalidRequest

MAX_TEXT, MAX_NODES, MAX_DEPTH, MAX_PARAMETERS, MAX_NUMBER = 400, 60, 20, 4, 1e6
"""Limits: characters, nodes and depth of the tree, parameters, magnitude of a constant."""

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_]\w*)|(?P<sign>\*\*|.))", re.A
)
_BINDING = {"+": 1, "-": 1, "*": 2, "/": 2, "^": 4, "**": 4}
_SIGN_BINDING = 3  # -x * y is (-x) * y, and -x^2 is -(x^2)
# Names that mean something else in a module or in the source of a snippet.
_TAKEN = {"spec", "gain", "axis", "site", "channels", "shape", "torch", "activation", "expression", *HELPERS}


@dataclass(frozen=True)
class Token:
    """A word of the text; `kind` is `number`, `name`, `sign` or `end`."""

    kind: str
    text: str
    place: int


def parse(text: str) -> Expression:
    """The expression that `text` says: `max(x, 0) * sigmoid(beta * x)`.

    Numbers, `pi`, `x`, parameters (at most `MAX_PARAMETERS` names of one's own), `+ - * /`, `^2`, `^3`, parentheses and
    the functions of `operators.FUNCTIONS`.

    Raises:
        InvalidRequest: for any other text; the message shows the text with a caret under the mistake.
    """
    if len(text) > MAX_TEXT:
        raise _mistake(text, MAX_TEXT, f"it is longer than {MAX_TEXT} characters")
    return Expression(_Parser(text).whole())


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_tokens(text))
        self._at = 0
        self._nesting = 0
        self._parameters: set[str] = set()

    def whole(self) -> Node:
        tree = self._expression(0)
        if self._next.kind != "end":
            raise self._mistake(self._next, "expected an operator such as + or * here")
        if not has_input(tree):
            raise _mistake(self._text, 0, "it does not depend on x")
        return tree

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._next
        self._at += token.kind != "end"
        return token

    def _expression(self, binding: int) -> Node:
        """What binds more tightly than `binding`, from here on."""
        self._nesting += 1
        if self._nesting > MAX_DEPTH:
            raise self._mistake(self._next, f"nested more than {MAX_DEPTH} deep")
        left = self._operand()
        while (bound := _BINDING.get(self._next.text, 0)) > binding:
            operator = self._take()
            if operator.text in ("^", "**"):
                left = self._power(operator, left)
            else:
                right_at = self._next
                right = self._expression(bound)
                if operator.text == "/" and right == Number(0.0):
                    raise self._mistake(right_at, "division by zero")
                left = self._call(operator, operator.text, left, right)
        self._nesting -= 1
        return left

    def _operand(self) -> Node:
        token = self._take()
        if token.kind == "number":
            return self._number(token)
        if token.kind == "name":
            return self._named(token)
        if token.text == "-":
            inner = self._expression(_SIGN_BINDING)
            return Number(-inner.value) if isinstance(inner, Number) else self._call(token, "negative", inner)
        if token.text == "(":
            inner = self._expression(0)
            self._expect(")")
            return inner
        raise self._mistake(token, "expected a number, x, a parameter, a function or a parenthesis here")

    def _number(self, token: Token) -> Node:
        value = float(token.text)
        if value > MAX_NUMBER:
            raise self._mistake(token, f"numbers go up to {MAX_NUMBER:g}")
        return Number(value)

    def _named(self, token: Token) -> Node:
        name = OTHER_NAMES.get(token.text, token.text)
        if self._next.text == "(":
            return self._function(token, name)
        if name in FUNCTIONS:
            raise self._mistake(
                token, f"{token.text} is a function; write its argument in parentheses: {token.text}(x)"
            )
        if name == "x":
            return Input()
        return Number(CONSTANTS[name]) if name in CONSTANTS else self._parameter(token)

    def _parameter(self, token: Token) -> Node:
        name = token.text
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,19}", name):
            raise self._mistake(token, "a parameter is a lowercase word of at most 20 letters, digits and underscores")
        if keyword.iskeyword(name) or hasattr(nn.Module, name) or name in _TAKEN:
            raise self._mistake(token, f"{name} means something else in PyTorch code; give the parameter another name")
        self._parameters.add(name)
        if len(self._parameters) > MAX_PARAMETERS:
            raise self._mistake(token, f"more than {MAX_PARAMETERS} parameters")
        return Name(name)

    def _function(self, token: Token, name: str) -> Node:
        if name not in FUNCTIONS:
            raise self._mistake(token, f"there is no function {token.text!r}; choose one of {', '.join(FUNCTIONS)}")
        self._expect("(")
        arguments = [self._expression(0)]
        while self._next.text == ",":
            self._take()
            arguments.append(self._expression(0))
        wanted = FUNCTIONS[name].arity
        if len(arguments) != wanted:
            raise self._mistake(
                token, f"{token.text} takes {wanted} argument{'s' * (wanted > 1)}, not {len(arguments)}"
            )
        self._expect(")")
        return self._call(token, name, *arguments)

    def _power(self, operator: Token, base: Node) -> Node:
        exponent = self._take()
        if exponent.text not in ("2", "3"):
            raise self._mistake(exponent, "only the powers 2 and 3 can be taken")
        return self._call(operator, f"^{exponent.text}", base)

    def _call(self, token: Token, operator: str, *arguments: Node) -> Node:
        call = Call(operator, arguments)
        if sum(1 for _ in nodes(call)) > MAX_NODES:
            raise self._mistake(token, f"more than {MAX_NODES} numbers, names and operators")
        if depth(call) > MAX_DEPTH:
            raise self._mistake(token, f"a tree more than {MAX_DEPTH} operators deep")
        return call

    def _expect(self, sign: str) -> None:
        token = self._take()
        if token.text != sign:
            raise self._mistake(token, f"expected {sign!r} here")

    def _mistake(self, token: Token, reason: str) -> InvalidRequest:
        return _mistake(self._text, token.place, reason)


def _tokens(text: str) -> Iterator[Token]:
    end = len(text.rstrip())
    at = 0
    while at < end:
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:  # a line break, which `.` does not match
            raise _mistake(text, at, "a character that no expression holds")
        word = found[found.lastgroup]
        if found.lastgroup == "sign" and word not in (*_BINDING, "(", ")", ","):
            raise _mistake(text, found.start(found.lastgroup), f"{word!r} is no part of an expression")
        yield Token(found.lastgroup, word, found.start(found.lastgroup))
        at = found.end()
    yield Token("end", "", end)


def _mistake(text: str, place: int, reason: str) -> InvalidRequest:
    shown = "".join(character if character.isprintable() else " " for character in text)
    message = f"{reason} (character {place + 1})\n{shown}\n{' ' * place}^"
    return InvalidRequest(FieldProblem("expression", message))
