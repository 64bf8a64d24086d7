"""Forecasting the yearly number of sunspots from the years before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from actsearch.schemas import ParameterInfo
from actsearch.tasks.declaration import Dataset, register
from actsearch.tasks.kinds import task_of_kind
from actsearch.tasks.regression import regression_dataset
from actsearch.tasks.splits import Array, Arrays

_WINDOW = ParameterInfo(name="window", type="int", default=24, low=4, high=60, description="Years a forecast sees.")
_HORIZON = ParameterInfo(name="horizon", type="int", default=1, low=1, high=12, description="Years to forecast.")


def windows(series: Array, window: int, horizon: int) -> tuple[Array, Array]:
    """All stretches of `series` (L,) as inputs (N, 1, window), and the values after each as targets (N, horizon)."""
    stretches = np.lib.stride_tricks.sliding_window_view(series, window + horizon)
    return stretches[:, None, :window], stretches[:, window:]


def _load(window: int = 24, horizon: int = 1) -> Dataset:
    """Parts follow each other in time, and no year is a target in two of them.

    A later part's first inputs reach back into the years before it, as they would in use.
    """
    from statsmodels.datasets import sunspots

    series = sunspots.load_pandas().data["SUNACTIVITY"].to_numpy()  # type: ignore[no-untyped-call]
    first, second = round(0.6 * len(series)), round(0.8 * len(series))
    x_train, y_train = windows(series[:first], window, horizon)
    x_validation, y_validation = windows(series[first - window : second], window, horizon)
    x_test, y_test = windows(series[second - window :], window, horizon)
    return regression_dataset(Arrays(x_train, y_train, x_validation, y_validation, x_test, y_test), "sequence")


register(
    replace(
        task_of_kind(
            "regression",
            "sunspots",
            "Yearly sunspot numbers 1700-2008: forecast the next years from the last ones.",
            _load,
            source="National Geophysical Data Center (public domain), shipped with statsmodels",
            parameters=(_WINDOW, _HORIZON),
        ),
        kind="forecasting",
    )
)
