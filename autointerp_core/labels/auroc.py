"""How well numbers tell two groups apart: the one AUROC that everything here uses."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from autointerp_core.arrays import Float64Array


def auroc_value(active: ArrayLike, silent: ArrayLike) -> float:
    """Probability that an active window gets more than a silent one, ties counting half.

    0.5 for whoever says the same of every window. Neither group may be empty.
    """
    high, low = np.asarray(active), np.sort(np.asarray(silent))
    # Pairs won and lost are whole numbers, so nothing depends on the scale.
    wins = int(np.searchsorted(low, high, "left").sum())
    not_lost = int(np.searchsorted(low, high, "right").sum())
    return (wins + not_lost) / (2 * len(high) * len(low))


def auroc_columns(said: ArrayLike, n_active: int) -> Float64Array:
    """:func:`auroc_value` of every column of ``[windows, judges]``; active windows come first."""
    columns = np.asarray(said).T
    n, m = n_active, columns.shape[1] - n_active
    if columns.dtype != np.float32 or not n or not m:
        return np.array([auroc_value(column[:n], column[n:]) for column in columns])
    # One sort for all columns: float32 as whole numbers of the same order, whose last bit says of
    # which group a window is. Among equals active ones come last, then first.
    bits = np.ascontiguousarray(columns + np.float32(0)).view(np.uint32)
    sign = np.uint32(1 << 31)
    ordered = np.where(bits & sign, ~bits, bits | sign).astype(np.uint64) << np.uint64(1)
    place = np.arange(1, n + m + 1, dtype=np.float64)
    less = np.zeros(len(columns))
    for last in (True, False):
        keyed = ordered.copy()
        keyed[:, slice(0, n) if last else slice(n, None)] |= np.uint64(1)
        keyed.sort(axis=1)
        active = (keyed & np.uint64(1) > 0) == last
        less += active @ place - n * (n + 1) / 2  # whole numbers below 2**53
    area: Float64Array = less / (2 * n * m)
    return area
