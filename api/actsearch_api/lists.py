"""What routes that list have in common: which page, which rows, in which order."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from actsearch.schemas import Schema
from actsearch.store.filters import MOST

Limit = Annotated[int, Field(ge=1, le=1000)]
Cursor = Annotated[str, Field(max_length=1000, description="`next_cursor` of the page before")]
Filter = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MOST,
        description="only those for which this holds, as in Python: "
        '`metrics.validation_accuracy > 0.9 and family in ["relu", "gelu"]`, `"ablation" in labels`',
    ),
]
JobSort = Annotated[
    str, Field(max_length=200, description="a field, `-` before it for descending: `-value`; else the newest first")
]
TrialSort = Annotated[
    str, Field(max_length=200, description="a field, `-` before it for descending: `-metrics.validation_accuracy`")
]


class PageOf(Schema):
    """Which page."""

    limit: Limit = 100
    cursor: Cursor | None = None
