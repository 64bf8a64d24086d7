"""From a frame of texts to columns of numbers, truth values and words; what cannot be read is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from actsearch.tasks.own_data.faults import DataFault
from actsearch.tasks.own_data.marks import Marks, marks_of
from actsearch.tasks.own_data.options import Reading

if TYPE_CHECKING:
    import pandas as pd

_WORDS = "na n/a nan null none nil <na> #n/a #na #n/a! #value! #div/0! -nan missing"
MISSING_WORDS = frozenset([*_WORDS.split(), "?", "-", "--", ".", "*"])
"""What stands for a missing value in a column of numbers, in any case; among words these are words."""

TRUTH = {"true": True, "false": False}
MOST_CLASSES_BESIDE_NUMBERS = 20


@dataclass(frozen=True)
class TypedTable:
    """A table whose columns have types.

    Args:
        frame: numbers, truth values, or texts with None where a value is missing; the index counts data rows from 1.
        missing: by column, the first text that was taken for a missing value.
        notes: what was guessed.
    """

    frame: pd.DataFrame
    missing: Mapping[str, str]
    notes: tuple[str, ...]


def typed(texts: pd.DataFrame, plain: Sequence[str], target: Sequence[str], how: Reading, separator: str) -> TypedTable:
    """The columns of a frame of texts, each as what it holds.

    Args:
        texts: without spaces around the texts.
        plain: columns that stay text, because the request says what they are (categories, dates, groups).
        target: columns that are targets: numbers and words side by side may be classes.
        how: `missing`, `decimal`, `thousands`.
        separator: of the columns in the file.

    Raises:
        DataFault: naming the column, the row and the text that is not a number.
    """
    firsts = {name: texts[name].drop_duplicates() for name in texts.columns}
    columns = {name: _filled(found, how, words=True) for name, found in firsts.items() if name not in plain}
    marks, notes = marks_of(
        {name: [*zip(found.index.tolist(), found.tolist(), strict=True)] for name, found in columns.items()},
        how,
        separator,
    )
    made: dict[str, pd.Series] = {}
    missing: dict[str, str] = {}
    for name in texts.columns:
        kept = _Column(texts[name], marks, how)
        made[name] = kept.words() if name in plain else kept.typed(is_target=name in target)
        gone = texts[name][made[name].isna().to_numpy()]
        if len(gone):
            missing[name] = str(gone.iloc[0])
        notes += kept.notes
    import pandas as pd

    return TypedTable(pd.DataFrame(made, index=texts.index), missing, tuple(notes))


def _filled(texts: pd.Series, how: Reading, *, words: bool) -> pd.Series:
    """The texts that are not missing; `words`: as in a column of numbers."""
    gone = ["", *how.missing]
    if words and not how.missing:
        gone += [text for text in texts.unique() if text.lower() in MISSING_WORDS]
    return texts[~texts.isin(gone)]


class _Column:
    def __init__(self, texts: pd.Series, marks: Marks, how: Reading) -> None:
        self.texts, self.marks, self.how = texts, marks, how
        self.notes: list[str] = []

    def words(self) -> pd.Series:
        """The texts, None where one is missing; words such as NA stay words, and that is said."""
        kept = _filled(self.texts, self.how, words=False)
        suspects = kept[kept.str.lower().isin(MISSING_WORDS)]
        if len(suspects) and not self.how.missing:
            word = str(suspects.iloc[0])
            self.notes.append(
                f"column {self.texts.name!r} holds {word!r} {int((kept == word).sum())} times, kept as a category; "
                f"give missing: [{word!r}] if it means that the value is missing"
            )
        return kept.reindex(self.texts.index)

    def typed(self, *, is_target: bool) -> pd.Series:

        kept = _filled(self.texts, self.how, words=True)
        different = {text: self.marks.number(text) for text in kept.unique()}
        numbers = {text: number for text, number in different.items() if number is not None}
        if kept.str.lower().isin(TRUTH).all() and len(kept):
            return kept.str.lower().map(TRUTH).astype("boolean").reindex(self.texts.index)
        if not numbers:
            return self.words()
        strange = kept[~kept.isin([*numbers])]
        if len(strange):
            self._check_mostly_words(kept, strange, numbers, is_target=is_target)
            return self.words()
        self._note_codes(numbers)
        whole = all(isinstance(number, int) and abs(number) < 2**63 for number in numbers.values())
        values: pd.Series = kept.map(numbers).astype("Int64" if whole else "Float64")
        return values.reindex(self.texts.index)

    def _check_mostly_words(
        self, kept: pd.Series, strange: pd.Series, numbers: Mapping[str, float], *, is_target: bool
    ) -> None:
        few = is_target and len(numbers) <= MOST_CLASSES_BESIDE_NUMBERS
        if few or len(strange) * 2 > len(kept):
            return
        row, text = next(iter(strange.items()))
        raise DataFault(
            f"column {self.texts.name!r} holds numbers, but {len(strange)} values are not: the first is {text!r} in "
            f"data row {row}; correct it, list it in `missing`, or name the column in `one_hot` or `leave_out`"
        )

    def _note_codes(self, numbers: Mapping[str, float]) -> None:
        codes = [text for text in numbers if len(text) > 1 and text.startswith("0") and text.isdigit()]
        if codes:
            self.notes.append(
                f"column {self.texts.name!r} has leading zeros ({codes[0]!r}), as codes have; it is read as a number: "
                "name it in `one_hot` if it is a category"
            )
