"""What was made last of a feature's peaks, as it is asked for more than once in a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np

from autointerp_core.arrays import Int64Array

T = TypeVar("T")


class LastMade(Generic[T]):
    """Makes a thing of a feature's peaks and firings, and keeps the last one alone."""

    def __init__(self, make: Callable[[Int64Array, Int64Array], T]):
        self._make = make
        self._last: tuple[Int64Array, Int64Array, T] | None = None

    def of(self, peaks: Int64Array, every: Int64Array) -> T:
        """Of these peaks and all firings (the same array, not an equal one)."""
        last = self._last
        if last is None or last[1] is not every or not np.array_equal(last[0], peaks):
            last = self._last = (peaks, every, self._make(peaks, every))
        return last[2]
