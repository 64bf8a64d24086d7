"""The filter language: what it says in SQL, by a real database, and what it refuses."""

from __future__ import annotations

import gc
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text

from actsearch.errors import InvalidRequest
from actsearch.store.filters import Column, Fields, compile_filter, compile_sort

FIELDS = Fields(
    {
        "number": Column("r.number", "number"),
        "name": Column("r.name", "text"),
        "state": Column("r.state", "text", ("complete", "failed")),
        "labels": Column("r.labels", "texts"),
        "is_baseline": Column("r.is_baseline", "bool"),
        "at": Column("r.at", "time"),
        "id": Column("r.id", "id"),
    },
    {"metrics": "r.metrics"},
)
ROWS = """(VALUES
    (0, 'Relu run', 'complete', ARRAY['a', 'b'], TRUE, TIMESTAMPTZ '2026-01-01 00:00+00',
     CAST('00000000-0000-0000-0000-000000000000' AS uuid),
     CAST('{"acc": 0.9, "deep": {"x": 1}, "k": "word"}' AS jsonb)),
    (1, NULL, 'failed', CAST(ARRAY[] AS text[]), FALSE, NULL,
     CAST('00000000-0000-0000-0000-000000000001' AS uuid), CAST('{"acc": "NaN", "a.b": 2, "flag": true}' AS jsonb)),
    (2, 'elu', 'complete', ARRAY['b'], FALSE, TIMESTAMPTZ '2026-02-01 00:00+00',
     CAST('00000000-0000-0000-0000-000000000002' AS uuid), CAST('{"acc": 0.95, "loss": 0.96, "none": null}' AS jsonb))
) AS r(number, name, state, labels, is_baseline, at, id, metrics)"""


@pytest.fixture(scope="module")
def connection(module_engine: Engine) -> Any:
    with module_engine.connect() as connection:
        yield connection


def numbers(connection: Connection, written: str) -> list[int]:
    """Rows for which it holds."""
    condition = compile_filter(written, FIELDS)
    query = f"SELECT number FROM {ROWS} WHERE {condition.sql} ORDER BY 1"
    return list(connection.execute(text(query), condition.values).scalars())


@pytest.mark.parametrize(
    ("written", "rows"),
    [
        ("number > 0", [1, 2]),
        ("0 < number", [1, 2]),
        ("0 < number <= 1", [1]),
        ("number == -1", []),
        ("number in [0, 2]", [0, 2]),
        ("number not in (0, 2)", [1]),
        ("metrics.acc > 0.9", [2]),
        ("metrics.acc >= 0.9 and number < 2", [0]),
        ("not metrics.acc > 0.9", [0, 1]),
        ("metrics.acc != 0.9", [1, 2]),
        ("metrics.acc < metrics.loss", [2]),
        ("metrics.deep.x == 1", [0]),
        ("metrics.a.b == 2", [1]),
        ('metrics["a.b"] == 2', [1]),
        ('metrics.k == "word"', [0]),
        ("metrics.k == 3", []),
        ("metrics.flag", [1]),
        ("metrics.flag == True", [1]),
        ("metrics.loss is None", [0, 1]),
        ("metrics.none != None", []),
        ("name is not None", [0, 2]),
        ('name != "elu"', [0, 1]),
        ('"RELU" in name', [0]),
        ('"relu" not in name', [1, 2]),
        ('"b" in labels', [0, 2]),
        ('"B" in labels', []),
        ('state == "failed" or is_baseline', [0, 1]),
        ("not is_baseline", [1, 2]),
        ("not not is_baseline", [0]),
        ('at >= "2026-01-15"', [2]),
        ('at == "2026-01-01T01:00:00+01:00"', [0]),
        ('id == "00000000-0000-0000-0000-000000000002"', [2]),
        ('id in ["00000000-0000-0000-0000-000000000002"]', [2]),
        ("number == 0 or number == 2 and is_baseline", [0]),
    ],
)
def test_a_filter_says_what_python_would(connection: Connection, written: str, rows: list[int]) -> None:
    assert numbers(connection, written) == rows


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("", "write 1 to 1000"),
        ("number > 0 and" + " " * 1000 + "number < 3", "write 1 to 1000"),
        ("number = 1", "write == to compare"),
        ("number > 1 AND number < 3", "in small letters"),
        ("numbr > 1", "did you mean number?"),
        ("metric.acc > 1", "there is no field 'metric.acc'"),
        ('number == "1"', "number is compared with a number"),
        ("name == 1", "name is compared with text in quotes"),
        ('state == "completed"', "did you mean complete?"),
        ('state in ["complete", "x"]', "there is no value 'x'"),
        ('at > "yesterday"', "write a time"),
        ('id == "x"', "write an id"),
        ('id > "00000000-0000-0000-0000-000000000002"', "can only be equal or not"),
        ("number", "compare it with something"),
        ("1 < 2", "neither side is a field"),
        ("number is 1", "`is` is for None"),
        ("number + 1 > 2", "neither side is a field"),
        ("__import__('os').system('true')", "this is no comparison"),
        ("name.__class__ == 'x'", "there is no field 'name.__class__'"),
        ("(lambda: number)() > 1", "neither side is a field"),
        ("number in []", "after `in` write a list"),
        ('number in [1, "a"]', "mixes kinds"),
        ("number > 1e999", "too large"),
        ("number > " + "9" * 400, "too large"),
        ("number == 'a\\x00'", "backslash"),
        ("number > 1 # all", None),
        ("name == 'é' and numbr > 1", "at 'numbr > 1'"),
        ("(" * 250 + "number > 1" + ")" * 250, "cannot be read"),
        ("f'{number}' == 'a'", "neither side is a field"),
        ("number := 1", "cannot be read"),
    ],
)
def test_what_is_no_filter_is_refused_with_the_place(written: str, says: str | None) -> None:
    if says is None:
        assert compile_filter(written, FIELDS).values == {"filter_0": 1.0}
        return
    with pytest.raises(InvalidRequest) as refused:
        compile_filter(written, FIELDS)
    [problem] = refused.value.problems
    assert problem.field == "filter"
    assert says in problem.message


WORDS = [
    "number",
    "name",
    "metrics.x",
    "labels",
    "is_baseline",
    "at",
    "id",
    "state",
    "nobody",
    "not",
    "and",
    "or",
    "in",
    "(",
    ")",
    "[",
    "]",
    "<",
    "==",
    "!=",
    "is",
    "None",
    "True",
    "1",
    "-1",
    "1e400",
    '"a"',
    "'",
    ",",
    ".",
    "%s",
    ":x",
]


@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)))
def test_whatever_is_written_is_refused_or_runs(connection: Connection, written: str) -> None:
    try:
        compile_filter(written, FIELDS)
    except InvalidRequest:
        return
    numbers(connection, written)


@given(st.integers(1, 330))
def test_depth_is_no_way_to_bring_the_service_down(depth: int) -> None:
    try:
        compile_filter("not " * min(depth, 240) + "number > 1", FIELDS)
        compile_filter("-" * depth + "1 < number", FIELDS)
    except InvalidRequest:
        pass


def test_many_read_filters_at_once() -> None:
    """Python 3.11's parser fails where another thread parses in between; collecting garbage lets it."""
    before, threshold = sys.getswitchinterval(), gc.get_threshold()
    gc.callbacks.append(lambda *_: sum(range(50)))
    sys.setswitchinterval(1e-6)
    gc.set_threshold(50)
    try:
        with ThreadPoolExecutor(6) as pool:
            written = "metrics.acc > 0.9 and (number in [1, 2, 3] or not is_baseline) and " * 8 + "number > 1"
            found = list(pool.map(lambda _: compile_filter(written, FIELDS).sql, range(800)))
    finally:
        gc.callbacks.pop()
        sys.setswitchinterval(before)
        gc.set_threshold(*threshold)
    assert len(set(found)) == 1


def test_sorting_takes_one_field() -> None:
    order = compile_sort("-metrics.acc", FIELDS)
    assert order.descending
    assert order.kind == "number"
    for wrong in ("number > 1", "labels", "-", "--number", "number, name", "nobody", ""):
        with pytest.raises(InvalidRequest) as refused:
            compile_sort(wrong, FIELDS)
        assert refused.value.problems[0].field == "sort"
