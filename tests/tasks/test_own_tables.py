"""Tables of every dialect become the numbers that were meant, or are refused with the row and the culprit."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actsearch.errors import InvalidRequest
from actsearch.schemas import TaskValue
from actsearch.tasks import get_task, load
from actsearch.tasks.own_data.frames import as_frame, features
from actsearch.tasks.own_data.marks import COMMA, POINT
from actsearch.tasks.own_data.options import Reading
from actsearch.tasks.own_data.places import locate
from actsearch.tasks.own_data.tables import read_table

if TYPE_CHECKING:
    from conftest import OwnData


def table(own: OwnData, text: str | bytes, **how: Any) -> Any:
    """What `t.csv` with this content is read as."""
    (own.path / "t.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    column = how.pop("column", None)
    return read_table(locate("data:t" + (f":{column}" if column else ""), own.path), Reading(**how))


def refused(own: OwnData, text: str | bytes, **how: Any) -> str:
    with pytest.raises(InvalidRequest) as caught:
        table(own, text, **how)
    return str(caught.value)


def inputs(own: OwnData, text: str | bytes, **how: Any) -> list[list[float]]:
    found: list[list[float]] = table(own, text, **how).parts["train"].x.tolist()
    return found


# --- separators, marks, encodings -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("a,b,y\n1,2.5,0\n3,4.5,1\n", [[1, 2.5], [3, 4.5]]),
        ("a;b;y\n1;2,5;0\n3;4,5;1\n", [[1, 2.5], [3, 4.5]]),
        ("a;b;y\n1;2.5;0\n3;4.5;1\n", [[1, 2.5], [3, 4.5]]),
        ("a\tb\ty\n1\t2,5\t0\n3\t4,5\t1\n", [[1, 2.5], [3, 4.5]]),
        ("a|b|y\n1|2.5|0\n3|4.5|1\n", [[1, 2.5], [3, 4.5]]),
        ("\ufeffa,b,y\n1,2,0\n3,4,1\n", [[1, 2], [3, 4]]),
        ('"a, in m";"b";"y"\n1;2;0\n3;4;1\n', [[1, 2], [3, 4]]),
        ('a,b,y\n"1,234.5",2,0\n"3,000.0",4,1\n', [[1234.5, 2], [3000, 4]]),
        ('a,b,y\n"1,234,567",2,0\n3,4,1\n', [[1234567, 2], [3, 4]]),
        ("a;b;y\n1.234,5;2;0\n3;4;1\n", [[1234.5, 2], [3, 4]]),
        ("a;b;y\n1 234,5;2;0\n3;4;1\n", [[1234.5, 2], [3, 4]]),
        ("a;b;y\n1'234.5;2;0\n3;4;1\n", [[1234.5, 2], [3, 4]]),
        ("a,b,y\n-1e3,+.5,0\n3,4.,1\n", [[-1000, 0.5], [3, 4]]),
        ("a;b;y;\n1;2;0;\n3;4;1;\n", [[1, 2], [3, 4]]),
        ("a, b, y\n1, 2, 0\n3, 4, 1\n", [[1, 2], [3, 4]]),
        ("a,b,y\ntrue,2,0\nFalse,4,1\n", [[1, 2], [0, 4]]),
    ],
)
def test_dialects(own: OwnData, text: str, rows: list[list[float]]) -> None:
    assert inputs(own, text) == rows


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_part_of_the_first_name(own: OwnData, encoding: str) -> None:
    raw = table(own, "höhe;b;y\n1;2;0\n3;4;1\n".encode(encoding), columns=("höhe",))
    assert raw.parts["train"].x.tolist() == [[1], [3]]


def test_another_encoding_is_asked_for(own: OwnData) -> None:
    text = "höhe;y\n1;0\n2;1\n".encode("cp1252")
    assert "say its `encoding`, such as cp1252" in refused(own, text)
    assert inputs(own, text, encoding="cp1252") == [[1], [2]]


def test_guesses_are_said(own: OwnData) -> None:
    notes = table(own, "a;b;y\n1.234,5;2;0\n3;4;1\n").notes
    assert "columns are separated by a semicolon" in notes
    assert "decimals stand after a comma" in notes
    assert any(note.startswith("digits are grouped by '.'") for note in notes)
    assert any(note.startswith("the target is the last column, 'y'") for note in notes)
    said = {"separator": "semicolon", "decimal": "comma", "thousands": "point", "targets": ("y",)}
    assert table(own, "a;b;y\n1.234,5;2;0\n3;4;1\n", **said).notes == ()


@pytest.mark.parametrize(
    ("text", "expected", "mend"),
    [
        ("a;y\n1,234;0\n5,678;1\n", "column 'a', data row 1: '1,234' may mean 1234 or 1.234", {"decimal": "comma"}),
        ("a;y\n1.234;0\n5.678;1\n", "column 'a', data row 1: '1.234' may mean 1234 or 1.234", {"decimal": "point"}),
        ("a;b;y\n1,5;2.5;0\n1,5;2.5;1\n", "after a comma (column 'a', data row 1: '1,5') and after a point", None),
        ("x,y;z\n1,2;3\n4,5;6\n", "may be separated by a comma or by a semicolon", {"separator": "comma"}),
    ],
)
def test_what_can_be_read_in_two_ways_is_asked_for(
    own: OwnData, text: str, expected: str, mend: dict[str, str] | None
) -> None:
    assert expected in refused(own, text)
    if mend and "separator" not in mend:
        assert inputs(own, text, **mend) == [[1.234], [5.678]]


NUMBERS = st.one_of(st.integers(-(10**9), 10**9), st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: round(x, 2)))
NAMES = st.text(st.characters(categories=["L"]), min_size=1, max_size=6)


@given(
    rows=st.lists(st.tuples(NUMBERS, NUMBERS), min_size=3, max_size=8),
    names=st.lists(NAMES, min_size=2, max_size=2, unique=True),
    separator=st.sampled_from([",", ";", "\t", "|"]),
    decimal=st.sampled_from([".", ","]),
    thousands=st.sampled_from(["", " ", "'", "other"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    bom=st.booleans(),
    newline=st.sampled_from(["\n", "\r\n"]),
)
@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_dialect_gives_the_numbers_that_were_written(
    own: OwnData,
    rows: list[tuple[float, float]],
    names: list[str],
    separator: str,
    decimal: str,
    thousands: str,
    quoting: Any,
    bom: bool,
    newline: str,
) -> None:
    """The right numbers, whatever was written; or the question which mark is which, never other numbers."""
    mark = {"other": "," if decimal == "." else "."}.get(thousands, thousands)

    def written(number: float) -> str:
        text = f"{number:,}" if isinstance(number, int) else f"{number:,.2f}"
        return text.replace(",", "\0").replace(".", decimal).replace("\0", mark)

    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=separator, quoting=quoting, lineterminator=newline)
    writer.writerows([[*names, "target"], *([written(a), written(b), str(i % 2)] for i, (a, b) in enumerate(rows))])
    content = stream.getvalue().encode("utf-8-sig" if bom else "utf-8")
    said = {
        "decimal": "point" if decimal == "." else "comma",
        "separator": {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}[separator],
    }
    expected = np.array([[float(f"{a:.2f}"), float(f"{b:.2f}")] for a, b in rows])
    np.testing.assert_array_equal(inputs(own, content, **said), expected)
    guessed: list[list[float]] | None
    asked = ""
    try:
        guessed = inputs(own, content)
    except InvalidRequest as error:
        asked = str(error)
        guessed = None
    assert guessed is not None or "say `decimal`" in asked or "say `separator`" in asked
    if guessed is not None:
        np.testing.assert_array_equal(guessed, expected)


@pytest.mark.parametrize("text", ["", ".", "e5", "1e", "1,23,456", "12,34.5", "1.2.3", "1 23", "0x10", "1_000", "inf"])
def test_what_is_not_a_number(text: str) -> None:
    assert POINT.number(text) is None
    assert COMMA.number(text.replace(",", "\0").replace(".", ",").replace("\0", ".")) is None


# --- missing values -------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["?", "NA", "None", "null", "", "n/a", "-"])
def test_a_missing_number_is_named_with_its_row(own: OwnData, word: str) -> None:
    text = "a,b,y\n1,2,0\n3,4,1\n5," + word + ",0\n7,8,1\n"
    message = refused(own, text)
    assert "column 'b' has 1 empty values, the first in data row 3" in message
    assert not word or f"({word!r})" in message
    raw = table(own, text, when_missing="drop")
    assert raw.parts["train"].x.tolist() == [[1, 2], [3, 4], [7, 8]]
    assert "1 of 4 rows have missing values and are left out" in raw.notes
    assert inputs(own, text, leave_out=("b",)) == [[1], [3], [5], [7]]


def test_a_culprit_among_numbers_is_named(own: OwnData) -> None:
    message = refused(own, "age,y\n30,0\n41,1\nforty,0\n55,1\n")
    assert "column 'age' holds numbers, but 1 values are not: the first is 'forty' in data row 3" in message
    assert inputs(own, "age,y\n30,0\nforty,1\n55,1\n", missing=("forty",), when_missing="drop") == [[30], [55]]


def test_categories_called_none_or_na_stay_and_are_said(own: OwnData) -> None:
    text = "area,garage\n" + "1.5,NA\n2.5,None\n3.5,brick\n" * 2
    raw = table(own, text)
    assert sorted(set(raw.parts["train"].y)) == ["NA", "None", "brick"]
    assert any("column 'garage' holds 'NA' 2 times, kept as a category" in note for note in raw.notes)
    dropped = table(own, text, missing=("NA",), when_missing="drop")
    assert sorted(set(dropped.parts["train"].y)) == ["None", "brick"]


def test_a_typing_error_in_a_target_of_numbers_makes_no_classes(own: OwnData) -> None:
    rows = "".join(f"{i},{i}.5\n" for i in range(40))
    assert "the first is '12.x' in data row 41" in refused(own, f"a,price\n{rows}1,12.x\n")
    assert set(table(own, "a,y\n1,0\n2,1\n3,other\n").parts["train"].y) == {"0", "1", "other"}


# --- columns --------------------------------------------------------------------------------------

HOUSES = "id,size,town,sold,price,rent\n" + "".join(
    f"{i},{'SML'[i % 3]},{'AB'[i % 2]},2024-01-{i:02},{i % 7}.5,{i % 5}.25\n" for i in range(1, 31)
)
READ: dict[str, Any] = {"one_hot": ("town",), "ordinal": ("size: S < M < L",), "dates": ("sold",), "leave_out": ("id",)}


def test_categories_and_dates_by_request(own: OwnData) -> None:
    raw = table(own, HOUSES, column="price", targets=("price", "rent"), **READ)
    x = raw.parts["train"].x
    assert x.shape == (30, 4)
    assert x[0].tolist() == [1, 0, 1, 19_723]  # M, town=A, town=B, 2024-01-01
    assert x[2].tolist() == [0, 0, 1, 19_725]


def test_other_targets_are_no_features_and_several_are_told_together(own: OwnData) -> None:
    alone = table(own, HOUSES, column="price", targets=("price", "rent"), **READ).parts["train"]
    both = table(own, HOUSES, targets=("price", "rent"), **READ).parts["train"]
    assert alone.x.tolist() == both.x.tolist()
    assert both.y.shape == (30, 2)
    assert both.y[:, 0].tolist() == alone.y.tolist()
    own.path.joinpath("t.csv").write_text(HOUSES)
    data = load("data:t", {**{name: list(value) for name, value in READ.items()}, "targets": ["price", "rent"]})
    assert (data.outputs, data.input_shape) == (2, (4,))


def test_columns_are_chosen_or_left_out(own: OwnData) -> None:
    text = "a,b,c,y\n1,2,3,0\n4,5,6,1\n"
    assert inputs(own, text, columns=("c", "a")) == [[3, 1], [6, 4]]
    assert inputs(own, text, leave_out=("a",)) == [[2, 3], [5, 6]]
    assert "column 'y' is a target and in `columns`" in refused(own, text, columns=("a", "y"))


@pytest.mark.parametrize("name", ["columns", "leave_out", "one_hot", "ordinal", "dates", "targets", "group"])
def test_a_column_that_is_not_there_is_named_by_its_parameter(own: OwnData, name: str) -> None:
    (own.path / "t.csv").write_text("a,b,y\n1,2,0\n3,4,1\n")
    given: dict[str, TaskValue] = {name: "bb" if name == "group" else ["bb"]}
    with pytest.raises(InvalidRequest) as caught:
        get_task("data:t", given)
    assert [problem.field for problem in caught.value.problems] == [name]
    assert "no column 'bb'" in str(caught.value)
    assert tuple(caught.value.problems[0].allowed) == ("a", "b", "y")


def test_text_that_is_not_asked_about_is_refused_with_what_to_do(own: OwnData) -> None:
    message = refused(own, HOUSES)
    assert "column 'size' holds text or objects ('M' in data row 1)" in message
    assert "`one_hot`, `ordinal` or `dates`" in message


def test_every_text_at_once(own: OwnData) -> None:
    raw = table(own, HOUSES, one_hot=("*",), columns=("town", "size"))
    assert raw.parts["train"].x.shape == (30, 5)


def test_an_order_that_lacks_a_category_or_a_date_of_another_format(own: OwnData) -> None:
    assert "'M' in data row 1, which the order 'S < L' lacks" in refused(own, HOUSES, ordinal=("size: S < L",))
    text = "when,y\n01.02.2024,0\n31.01.2024,1\n"
    assert "'01.02.2024' in data row 1" in refused(own, text, dates=("when",))
    assert inputs(own, text, dates=("when: %d.%m.%Y",)) == [[19_754], [19_753]]


def test_an_order_that_was_not_given_is_said(own: OwnData) -> None:
    notes = table(own, HOUSES, ordinal=("size",), columns=("size",)).notes
    assert any("'size' is read in the order L < M < S" in note for note in notes)


def test_identifiers_groups_constants_and_giveaways_are_told(own: OwnData) -> None:
    rows = "".join(f"{i},{i // 4},7,{i * 2.5 + 1},{(i * 7) % 30},{i * 5.0}\n" for i in range(1, 31))
    notes = " ".join(table(own, "nr,patient_id,site,twin,shuffled,y\n" + rows).notes)
    assert "column 'nr' looks like an identifier" in notes
    assert "column 'patient_id' may name groups (8 different numbers in 30 rows)" in notes
    assert "column 'site' holds the same value in every row" in notes
    assert "column 'twin' gives away the target 'y'" in notes
    assert "'shuffled'" not in notes


def test_leading_zeros_are_told(own: OwnData) -> None:
    assert "leading zeros ('00123')" in " ".join(table(own, "zip,y\n00123,0\n20095,1\n").notes)


def test_repeated_names_are_refused(own: OwnData) -> None:
    assert "2 columns are called 'a'" in refused(own, "a,a,y\n1,2,0\n")


def test_groups_stay_whole(own: OwnData) -> None:
    rows = "".join(f"p{i // 5},{i // 5},{i % 2}\n" for i in range(100))
    (own.path / "t.csv").write_text("patient,where,y\n" + rows)
    data = load("data:t", {"group": "patient"})
    assert data.input_shape == (1,)
    parts = [set(part[0][:, 0].tolist()) for part in (data.train, data.validation, data.test)]
    assert [len(part) for part in parts] == [12, 4, 4]
    assert len(set.union(*parts)) == 20
    assert "20 groups of column 'patient'; none is in two parts" in get_task("data:t", {"group": "patient"}).notes


def test_a_target_is_no_group(own: OwnData) -> None:
    assert "column 'y' is a target and `group`" in refused(own, "a,y\n" + "1,2\n2,3\n" * 10, targets=("y",), group="y")


# --- frames and parquet ---------------------------------------------------------------------------

MIXED = pd.DataFrame(
    {
        "whole": pd.array([1, 2, 3], "Int64"),
        "real": pd.array([0.5, 1.5, 2.5], "Float64"),
        "truth": pd.array([True, False, True], "boolean"),
        "plain": [True, False, True],
        "small": np.array([1, 2, 3], "int8"),
        "arrow": pd.array([7, 8, 9], "int32[pyarrow]"),
        "objects": pd.Series([1, 2.5, True], dtype=object),
    }
)
NUMBERS_OF_MIXED = [[1, 0.5, 1, 1, 1, 7, 1], [2, 1.5, 0, 0, 2, 8, 2.5], [3, 2.5, 1, 1, 3, 9, 1]]


def test_frames_of_mixed_types() -> None:
    assert features(MIXED).values.tolist() == NUMBERS_OF_MIXED
    assert features(as_frame(MIXED["whole"])).values.tolist() == [[1], [2], [3]]
    assert features(as_frame(pa.table({"a": [1, 2], "b": [0.5, 1.5]}))).values.tolist() == [[1, 0.5], [2, 1.5]]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pd.array([1, None, 3], "Int64"), "column 'a' has 1 empty values, the first in data row 1"),
        ([1.0, np.nan, 3.0], "column 'a' has 1 empty values"),
        ([1.0, np.inf, 3.0], "column 'a' has an infinite value in data row 1"),
        (pd.array([True, None, False], "boolean"), "column 'a' has 1 empty values"),
        (["u", "v", "w"], r"column 'a' holds text or objects \('u' in data row 0\)"),
        (pd.Categorical([1, 2, 1]), "column 'a' holds categories"),
        (pd.to_datetime(["2024-01-01"] * 3), "column 'a' holds dates or times"),
        ([1 + 2j, 3, 4], "column 'a' holds text or objects"),
        (pd.Series([1, "?", 3], dtype=object), r"\('\?' in data row 1\)"),
    ],
)
def test_frames_that_are_not_numbers(column: Any, expected: str) -> None:
    from actsearch.tasks.own_data.faults import DataFault

    with pytest.raises(DataFault, match=expected):
        features(pd.DataFrame({"a": column}))


def test_parquet_keeps_its_types(own: OwnData) -> None:
    frame = pd.concat([MIXED.drop(columns=["objects"])] * 10, ignore_index=True).assign(
        size=pd.Categorical(["small", "large"] * 15, ["small", "large"], ordered=True),
        sold=pd.to_datetime("2024-01-01"),
        y=np.arange(30) % 2,
    )
    frame.to_parquet(own.path / "p.parquet")
    with pytest.raises(InvalidRequest, match=r"p\.parquet: column 'size' holds categories"):
        get_task("data:p")
    how = Reading(ordinal=("size",), dates=("sold",))
    raw = read_table(locate("data:p", own.path), how)
    assert raw.parts["train"].x[1].tolist() == [2, 1.5, 0, 0, 2, 8, 1, 19_723]


def test_decimals_of_parquet(own: OwnData) -> None:
    from decimal import Decimal

    prices = pa.array([Decimal(f"{i}.25") for i in range(12)], pa.decimal128(8, 2))
    pq.write_table(pa.table({"price": prices, "y": [0, 1] * 6}), own.path / "p.parquet")
    assert read_table(locate("data:p", own.path), Reading()).parts["train"].x[3].tolist() == [3.25]


def test_arrow_columns_take_the_same_parameters(own: OwnData) -> None:
    columns = {"town": ["A", "B", "C"] * 10, "size": [1, 2] * 15, "label": [0, 1] * 15}
    own.arrow("d", columns, classes={"label": ["no", "yes"]})
    assert load("data:d", {"one_hot": ["town"]}).input_shape == (4,)
    assert load("data:d", {"leave_out": ["town"]}).input_shape == (1,)


# --- what the first row and `missing` say ------------------------------------------------------------


@pytest.mark.parametrize("last", ["setosa", "1"])
def test_a_file_without_names_is_refused(own: OwnData, last: str) -> None:
    rows = "".join(f"{i / 7:.3f},{i % 5}.5,{last if i % 2 == 0 else 'other'}\n" for i in range(20))
    assert "not names" in refused(own, rows)


def test_columns_may_be_called_by_numbers(own: OwnData) -> None:
    raw = table(own, "label,0,1\n" + "a,1,2\nb,3,4\n" * 6, column="label")
    assert raw.parts["train"].x.shape == (12, 2)


def test_a_word_for_missing_values_that_is_nowhere_is_told(own: OwnData) -> None:
    text = "a,y\n-999.0,0\n1.5,1\n2.5,0\n3.5,1\n"
    raw = table(own, text, missing=("-999",), when_missing="drop")
    assert any("no field is '-999'" in note for note in raw.notes)
    raw = table(own, text, missing=("-999.0",), when_missing="drop")
    assert not any("no field" in note for note in raw.notes)
