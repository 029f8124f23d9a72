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
    return np.array([auroc_value(column[:n_active], column[n_active:]) for column in columns])
