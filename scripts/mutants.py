"""Mutation testing, sampled: small faults are put into a copy of the code, one at a time; its own tests must notice.

`scripts/mutants.toml` says which modules belong to an area and which tests are theirs. A mutant that computes the same
is named with its reason in `docs/mutants.md`, by the line that this script prints, and is then never sampled.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPIED = ("actsearch", "api", "workers", "migrations", "tests", "scripts", "docs", "examples", "pyproject.toml")
LOADED_ONCE = ("torch", "scipy.stats", "optuna", "sqlalchemy", "pydantic", "fastapi", "hypothesis", "pytest")
WANTED = 0.9

WORDS = {"max": "min", "min": "max", "any": "all", "all": "any"}
COMPARED = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "in": "not in", "not in": "in"}
COMPARED |= {"is": "is not", "is not": "is"}
COMPUTED = {"+": "-", "-": "+", "*": "/", "/": "*", "//": "/", "%": "*", "**": "*", "&": "|", "|": "&"}
SQL = re.compile(r"\b(SELECT|UPDATE|INSERT|DELETE|WHERE|AND)\b")
SQL_WORDS = (
    (r"(?<![<>=!])<(?![<>=])", "<="),
    (r"(?<![<>=!:-])>(?![<>=])", ">="),
    (r"<=", "<"),
    (r">=", ">"),
    (r"(?<![<>=!:])=(?![<>=])", "<>"),
    (r"\bAND\b", "OR"),
    (r"\bOR\b", "AND"),
    (r"\bNOT\b ", ""),
    (r" DESC\b", ""),
    (r"\+ 1\b", "+ 2"),
    (r"\bmin\b", "max"),
    (r"'(waiting|running|complete|failed|pruned|queued|confirming)'", "'nothing'"),
)


@dataclass(frozen=True)
class Mutant:
    """A piece of a module's text (`begin` to `end`) that is replaced by `instead`."""

    module: str
    begin: int
    end: int
    instead: str

    def applied(self, source: str) -> str:
        """The module's text with the fault in it."""
        return source[: self.begin] + self.instead + source[self.end :]

    def named(self, source: str) -> str:
        """What it changes, on one line: the same wherever the line moves."""
        first, last = source.rfind("\n", 0, self.begin) + 1, source.find("\n", self.end)
        before, after = source[first:last], source[first : self.begin] + self.instead + source[self.end : last]
        return f"{self.module}: `{' '.join(before.split())}` -> `{' '.join(after.split())}`"


# --- where a fault may stand ------------------------------------------------------------------------


class _Places:
    """Turns the syntax tree's rows and columns (in bytes) into places in the text."""

    def __init__(self, source: str) -> None:
        self._lines = source.splitlines(keepends=True)
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line))

    def at(self, row: int, column: int) -> int:
        return self._starts[row - 1] + len(self._lines[row - 1].encode()[:column].decode())

    def of(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        return self.at(node.lineno, node.col_offset), self.at(node.end_lineno or 0, node.end_col_offset or 0)


def mutants(module: str, source: str) -> list[Mutant]:
    """All small faults that are known for the text of a module, or of a file of statements (`.sql`)."""
    if module.endswith(".sql"):
        return sorted(
            (Mutant(module, *fault) for line in _lines_that_run(source) for fault in _sql(source, *line)),
            key=lambda mutant: (mutant.begin, mutant.end, mutant.instead),
        )
    places = _Places(source)
    found = {
        Mutant(module, *place, instead)
        for node in _judged(ast.parse(source))
        for *place, instead in _faults(node, source, places)
    }
    return sorted(found, key=lambda mutant: (mutant.begin, mutant.end, mutant.instead))


def _lines_that_run(source: str) -> Iterator[tuple[int, int]]:
    begin = 0
    for line in source.splitlines(keepends=True):
        if not line.lstrip().startswith("--"):
            yield begin, begin + len(line)
        begin += len(line)


def _judged(node: ast.AST) -> Iterator[ast.AST]:
    """Nodes that run: not docstrings, annotations, texts of errors, what is only for type checkers, `strict=True`."""
    for name, field in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list") or (name == "test" and _is_for_types(node)):
            continue
        if isinstance(node, ast.keyword) and node.arg == "strict":  # of `zip`: it guards against faults of our own
            continue
        for child in field if isinstance(field, list) else [field]:
            if not isinstance(child, ast.AST) or _is_text(child) or _is_for_types(child):
                continue
            yield child
            if not isinstance(child, ast.Raise):
                yield from _judged(child)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_for_types(node: ast.AST) -> bool:
    if isinstance(node, ast.If):
        return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    return isinstance(node, ast.Import | ast.ImportFrom)


def _faults(node: ast.AST, source: str, places: _Places) -> Iterator[tuple[int, int, str]]:
    for kind, faults in _KINDS.items():
        if isinstance(node, kind):
            yield from faults(node, source, places)


_OPERATOR = re.compile(r"not\s+in|is\s+not|\*\*|//|<=|>=|==|!=|[<>+\-*/%&|]|\b(?:in|is|and|or)\b")


def _operator(
    node: ast.BinOp | ast.Compare | ast.BoolOp, source: str, places: _Places
) -> Iterator[tuple[int, int, str]]:
    """Operators stand between their operands; what else stands there are brackets, spaces and comments."""
    if isinstance(node, ast.BinOp):
        operands, known = [node.left, node.right], COMPUTED
    elif isinstance(node, ast.Compare):
        operands, known = [node.left, *node.comparators], COMPARED
    else:
        operands, known = node.values, {"and": "or", "or": "and"}
    for left, right in pairwise(operands):
        begin, end = places.of(left)[1], places.of(right)[0]
        between = _OPERATOR.search(source[begin:end])
        if between and between.group() in known:
            yield begin + between.start(), begin + between.end(), known[between.group()]


def _unary(node: ast.UnaryOp, source: str, places: _Places) -> Iterator[tuple[int, int, str]]:
    begin = places.of(node)[0]
    if operator := re.match(r"not\s+|-\s*", source[begin:]):
        yield begin, begin + operator.end(), ""


def _constant(node: ast.Constant, source: str, places: _Places) -> Iterator[tuple[int, int, str]]:
    begin, end = places.of(node)
    if isinstance(node.value, bool):
        yield begin, end, str(not node.value)
    elif isinstance(node.value, int):
        yield begin, end, str(node.value + 1)
    elif isinstance(node.value, float):
        yield begin, end, repr(2 * node.value or 1.0)


def _text(node: ast.Constant | ast.JoinedStr, source: str, places: _Places) -> Iterator[tuple[int, int, str]]:
    """Faults in SQL."""
    begin, end = places.of(node)
    if (isinstance(node, ast.JoinedStr) or isinstance(node.value, str)) and SQL.search(source, begin, end):
        yield from _sql(source, begin, end)


def _sql(source: str, begin: int, end: int) -> Iterator[tuple[int, int, str]]:
    said = source[begin:end]
    for word, instead in SQL_WORDS:
        for match in re.finditer(word, said):
            yield begin + match.start(), begin + match.end(), instead


def _name(node: ast.Name, source: str, places: _Places) -> Iterator[tuple[int, int, str]]:
    if node.id in WORDS:
        yield *places.of(node), WORDS[node.id]


def _condition(node: ast.If | ast.IfExp | ast.While, source: str, places: _Places) -> Iterator[tuple[int, int, str]]:
    begin, end = places.of(node.test)
    yield begin, end, f"not ({source[begin:end]})"


def _statement(node: ast.stmt, source: str, places: _Places) -> Iterator[tuple[int, int, str]]:
    yield *places.of(node), "pass"


_Fault = Callable[..., Iterator[tuple[int, int, str]]]
_KINDS: Mapping[type | tuple[type, ...], _Fault] = {
    (ast.BinOp, ast.Compare, ast.BoolOp): _operator,
    ast.UnaryOp: _unary,
    ast.Constant: _constant,
    (ast.Constant, ast.JoinedStr): _text,
    ast.Name: _name,
    (ast.If, ast.IfExp, ast.While): _condition,
    (ast.Expr, ast.AugAssign, ast.Raise, ast.Continue, ast.Break): _statement,
}


# --- running tests on one ---------------------------------------------------------------------------


def notices(tree: Path, tests: Sequence[str], limit: float) -> bool:
    """Whether the tests, run in a copy of the repository, fail (or take longer than `limit` seconds)."""
    child = os.fork()
    if child == 0:
        _run(tree, tests)
    end = time.monotonic() + limit
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status != 0
        time.sleep(0.05)
    for number in (signal.SIGINT, signal.SIGKILL):  # the first lets pytest stop what it started
        with suppress(ProcessLookupError):
            os.kill(child, number)
        for _ in range(200):
            if os.waitpid(child, os.WNOHANG)[0]:
                return True
            time.sleep(0.1)
    return True


def _run(tree: Path, tests: Sequence[str]) -> None:
    """In a process of its own: third-party modules are loaded already, the project's are not."""
    os.chdir(tree)
    with (tree / "said").open("w") as said:
        for stream in (1, 2):
            os.dup2(said.fileno(), stream)
    sys.path[:0] = [str(tree), str(tree / "api"), str(tree / "workers")]
    sys.dont_write_bytecode = True
    options = [
        "-x",
        "-q",
        "--tb=short",
        "-p",
        "no:cacheprovider",
        "--hypothesis-seed=0",
        "--no-header",
        "--timeout=120",
    ]
    import pytest

    status = int(pytest.main([*options, *tests]))
    sys.stdout.flush()
    os._exit(status)


# --- an area ----------------------------------------------------------------------------------------


@dataclass
class Area:
    """What was seen of an area."""

    name: str
    waiting: list[tuple[Mutant, str]]
    killed: int = 0
    survivors: list[str] | None = None

    def said(self) -> str:
        """The area in a line, and its survivors."""
        survivors = self.survivors or []
        tried = self.killed + len(survivors)
        share = f"{100 * self.killed / tried:.0f}%" if tried else "nothing tried"
        return "\n".join(
            [f"{self.name}: {self.killed} of {tried} killed ({share})", *(f"  lives: {s}" for s in survivors)]
        )

    @property
    def is_good(self) -> bool:
        """Whether enough of what was tried was killed."""
        return self.killed >= WANTED * (self.killed + len(self.survivors or []))


def sample(modules: Sequence[str], count: int, seed: str, equivalent: str, only: str) -> list[tuple[Mutant, str]]:
    """Up to `count` mutants of the modules with their names; those that are known to be equivalent are left out."""
    found: list[tuple[Mutant, str]] = []
    for module in modules:
        source = (ROOT / module).read_text(encoding="utf-8")
        found += [(mutant, mutant.named(source)) for mutant in mutants(module, source)]
    found = [(mutant, name) for mutant, name in found if name not in equivalent and only in name]
    return random.Random(seed).sample(found, min(count, len(found)))


def main() -> None:
    """Sample, run, report; ends with 1 where an area is below the wanted share."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--area", action="append", help="one of scripts/mutants.toml; may be repeated (default: all)")
    parser.add_argument("--sample", type=int, default=15, help="mutants per area (default: 15)")
    parser.add_argument("--seed", default="0", help="of the sample (default: 0)")
    parser.add_argument("--only", default="", help="only mutants in whose printed line this text occurs")
    parser.add_argument("--minutes", type=float, default=20, help="stop after so long (default: 20)")
    given = parser.parse_args()
    end = time.monotonic() + 60 * given.minutes
    areas = tomllib.loads((ROOT / "scripts" / "mutants.toml").read_text(encoding="utf-8"))
    equivalent = (ROOT / "docs" / "mutants.md").read_text(encoding="utf-8")
    for module in LOADED_ONCE:
        import_module(module)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        tree = Path(folder)
        for name in COPIED:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, tree / name)
        found = [
            Area(name, sample(list(areas[name]), given.sample, given.seed + name, equivalent, given.only), survivors=[])
            for name in given.area or areas
        ]
        judge(tree, areas, found, end)
    for area in found:
        print(area.said())
    sys.exit(not all(area.is_good for area in found))


def judge(tree: Path, areas: Mapping[str, Mapping[str, list[str]]], found: Sequence[Area], end: float) -> None:
    """Try what waits, the areas in turn, until `end`."""
    usual: dict[tuple[str, ...], float] = {}
    while any(area.waiting for area in found) and time.monotonic() < end:
        for area in found:
            if not area.waiting:
                continue
            mutant, name = area.waiting.pop()
            tests = tuple(areas[area.name][mutant.module])
            if tests not in usual:
                begin = time.monotonic()
                if notices(tree, tests, 600):
                    sys.exit(f"{' '.join(tests)} fail without any mutant:\n{(tree / 'said').read_text()[-3000:]}")
                usual[tests] = time.monotonic() - begin
            target, source = tree / mutant.module, (ROOT / mutant.module).read_text(encoding="utf-8")
            target.write_text(mutant.applied(source), encoding="utf-8")
            begin, killed = time.monotonic(), notices(tree, tests, 3 * usual[tests] + 30)
            target.write_text(source, encoding="utf-8")
            area.killed += killed
            if not killed and area.survivors is not None:
                area.survivors.append(name)
            print(f"{time.monotonic() - begin:5.1f} s  {'killed' if killed else 'LIVES '}  {name}", flush=True)


if __name__ == "__main__":
    main()
