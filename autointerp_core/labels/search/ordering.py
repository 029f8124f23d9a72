"""Counting and ordering without sorting everything: what a label spends its time on.

Each function gives exactly what the NumPy call named in it gives.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from autointerp_core.arrays import Int64Array

_SPARSE = 64
"""A table so many times as long as the values is slower than sorting them."""


class Table:
    """Distinct whole numbers of -1 ≤ value < ``size``, by a table that is used again and again."""

    def __init__(self, size: int):
        self._there = np.zeros(size + 1, dtype=np.bool_)
        self._place: Int64Array = np.zeros(size + 1, dtype=np.int64)

    def distinct(self, values: Int64Array) -> tuple[Int64Array, Int64Array]:
        """``np.unique(values, return_inverse=True)``."""
        if len(self._there) > _SPARSE * values.size:
            found, inverse = np.unique(values, return_inverse=True)
            return found, inverse
        cell = values + 1
        self._there[cell] = True
        found = np.flatnonzero(self._there)
        self._there[found] = False
        self._place[found] = np.arange(len(found))
        return found - 1, self._place[cell]


def distinct(values: Int64Array) -> Int64Array:
    """``np.unique(values)``, which since NumPy 2.3 hashes numbers: slower than sorting few."""
    ordered = np.sort(values)
    if not len(ordered):
        return ordered
    found: Int64Array = ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])]
    return found


def first_of_order(values: NDArray[np.floating[Any]], count: int) -> Int64Array:
    """``np.argsort(values, kind="stable")[:count]``."""
    if len(values) <= 2 * count:
        return np.argsort(values, kind="stable")[:count]
    last = np.partition(values, count - 1)[count - 1]
    low = np.flatnonzero(values <= last)
    found: Int64Array = low[np.argsort(values[low], kind="stable")[:count]]
    return found
