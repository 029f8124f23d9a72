"""The map of features as pages ask for it: whole coordinates, what a polygon holds, clusters."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from autointerp_core.store.feature_map import ALONE, FeatureMap, map_stamp, read_feature_map

__all__ = ["ALONE", "FeatureMap", "cluster_names", "inside", "map_stamp", "on_grid",
           "read_feature_map"]  # fmt: skip

SPAN = 65_535
_WORD = re.compile(r"[^\W\d_]{3,}")


def on_grid(places: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Places as whole numbers from 0 to 65,535, ``[N, 2]``, both axes by one scale.

    So that browser and server work out the same of them.
    """
    low, high = places.min(0), places.max(0)
    scale = SPAN / max(float((high - low).max()), 1e-9)
    middle = (low.astype(np.float64) + high) / 2
    found = np.rint((places - middle) * scale + SPAN / 2)
    grid: NDArray[np.uint16] = np.clip(found, 0, SPAN).astype(np.uint16)
    return grid


def inside(grid: NDArray[np.uint16], corners: Sequence[int]) -> NDArray[np.bool_]:
    """Which points lie in a polygon (``x, y, x, y …``), by the even-odd rule, ``[N]``."""
    x, y = grid[:, 0].astype(np.int64), grid[:, 1].astype(np.int64)
    odd = np.zeros(len(grid), dtype=bool)
    points = np.asarray(corners, dtype=np.int64).reshape(-1, 2)
    for (ax, ay), (bx, by) in zip(points, np.roll(points, 1, axis=0), strict=True):
        if ay == by:
            continue
        between = (ay > y) != (by > y)
        left, right = (x - ax) * (by - ay), (bx - ax) * (y - ay)
        odd ^= between & (left < right if by > ay else left > right)
    return odd


def cluster_names(cluster: NDArray[np.int32], labels: Sequence[str | None]) -> list[str]:
    """A name for each cluster: the words its labels share and others' do not.

    Args:
        cluster: of each feature; ``ALONE`` in none.
        labels: of each feature.
    """
    count = int(cluster.max(initial=ALONE)) + 1
    words: list[Counter[str]] = [Counter() for _ in range(count)]
    everywhere: Counter[str] = Counter()
    for own, label in zip(cluster.tolist(), labels, strict=True):
        if own == ALONE or not label:
            continue
        found = set(_WORD.findall(label.lower()))
        words[own].update(found)
        everywhere.update(found)
    names = []
    for number, counted in enumerate(words):
        best = sorted(
            ((n * n / everywhere[word], word) for word, n in counted.items() if n > 1),
            key=lambda pair: (-pair[0], pair[1]),
        )
        names.append(", ".join(word for _, word in best[:2]) or f"cluster {number}")
    return names
