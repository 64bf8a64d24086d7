"""What a mean over seeds hides: the median, the worst seed, and the share of seeds that collapsed."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from actsearch.schemas import SeedSpread

_FAR = 5.0
_ROBUST_SD = 1.4826
_LEAST_SHARE = 0.1


def spread(values: Iterable[float], sign: float) -> SeedSpread | None:
    """Mean, median, worst value and share of collapsed seeds of those that finished; None where none did.

    Collapsed is a seed that is worse than the median by more than five standard deviations (1.4826 times the median
    absolute deviation, which such seeds do not inflate) and by more than a tenth of the median.

    Args:
        values: by seed; NaN for those that failed, which are left out.
        sign: 1 where larger values are better, -1 where smaller ones are.
    """
    found = np.asarray([value for value in values if not np.isnan(value)], dtype=np.float64)
    if not len(found):
        return None
    median = float(np.median(found))
    below = sign * (median - found)
    far = max(_FAR * _ROBUST_SD * float(np.median(np.abs(found - median))), _LEAST_SHARE * abs(median))
    return SeedSpread(
        mean=float(found.mean()),
        median=median,
        worst=float(sign * (sign * found).min()),
        collapsed=float((below > far).mean()),
        seeds=len(found),
    )
