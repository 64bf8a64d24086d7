"""Trials as a pandas table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from actsearch.schemas import Trial

if TYPE_CHECKING:
    import pandas as pd


def trial_frame(trials: Iterable[Trial]) -> pd.DataFrame:
    """One row a trial, indexed by number; nested values in dotted columns (`parameters.slope`, `metrics.train_loss`).

    Raises:
        ImportError: pandas is not installed; says how to.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError("to_pandas() needs pandas: pip install pandas") from error
    rows = [trial.model_dump(exclude={"curve"}) for trial in trials]
    frame = pd.json_normalize(rows)
    return frame.set_index("number").sort_index() if rows else frame
