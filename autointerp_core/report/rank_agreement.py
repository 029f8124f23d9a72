"""How far scorers put the same features on top: Spearman's rank correlation, with an interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from autointerp_core.arrays import Float64Array
from autointerp_core.labels.scoring.score_statistics import Z95, Interval
from autointerp_core.store.score_values import ScorerResult

LEAST = 8
"""Features below which a rank correlation says nothing."""


@dataclass(frozen=True)
class ScorerPair:
    """Two scorers over the features that both have a value of."""

    one: str
    other: str
    n: int
    correlation: Interval | None
    """None where there are too few features, or one scorer says the same of all."""


def comparable(pairs: Sequence[ScorerPair]) -> list[ScorerPair]:
    """Those of which there is something to say."""
    return [pair for pair in pairs if pair.correlation is not None]


def scorer_pairs(scores: Mapping[str, Mapping[int, ScorerResult]]) -> list[ScorerPair]:
    """Every pair of scorers."""
    found = []
    for one, other in combinations(scores, 2):
        common = sorted(set(scores[one]) & set(scores[other]))
        a, b = (
            np.array([scores[name][f].value for f in common], dtype=np.float64)
            for name in (one, other)
        )
        found.append(ScorerPair(one, other, len(common), spearman(a, b)))
    return found


def spearman(one: Float64Array, other: Float64Array) -> Interval | None:
    """Rank correlation and its 95 % interval, ties with their mean rank.

    Fisher's z with Fieller, Hartley and Pearson's variance, 1.06 / (n − 3).
    """
    n = len(one)
    if n < LEAST or len(np.unique(one)) < 2 or len(np.unique(other)) < 2:
        return None
    value = float(np.corrcoef(_ranks(one), _ranks(other))[0, 1])
    value = min(1.0, max(-1.0, value))
    near = min(0.999999, max(-0.999999, value))
    half = Z95 * math.sqrt(1.06 / (n - 3))
    middle = math.atanh(near)
    return Interval(value, math.tanh(middle - half), math.tanh(middle + half))


def _ranks(values: Float64Array) -> Float64Array:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    mean: Float64Array = last - (count - 1) / 2
    return mean[place]
