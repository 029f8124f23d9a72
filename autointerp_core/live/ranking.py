"""The features of a text, ranked: by their strongest, mean or number of firings.

Only tokens that count take part: no special token, no attention sink.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from autointerp_core.arrays import Float64Array, Int64Array
from autointerp_core.errors import ParameterError
from autointerp_core.live.encoded import EncodedText

MEASURES = ("max", "mean", "count")


@dataclass(frozen=True)
class RankedFeatures:
    """Features that fire in a text, best first; arrays of one length."""

    feature: Int64Array
    max: Float64Array
    """Strongest activation; of a signed SAE by magnitude."""
    mean: Float64Array
    """Mean activation over all counted tokens, those it is silent on included."""
    count: Int64Array
    """Counted tokens on which it fires."""

    def by(self, measure: str) -> Float64Array:
        """The column that it is ranked by."""
        found: Float64Array = getattr(self, measure).astype(np.float64)
        return found


def rank_features(text: EncodedText, by: str = "max") -> RankedFeatures:
    """The features that fire on counted tokens, the largest ``by`` first; ties by number.

    Raises:
        ParameterError: ``by`` is none of :data:`MEASURES`.
    """
    if by not in MEASURES:
        raise ParameterError(f"by is {by!r}; choose from {', '.join(MEASURES)}")
    counted = text.counted
    keep = counted[text.token]
    features, row = np.unique(text.feature[keep], return_inverse=True)
    strength = np.abs(text.activation[keep]).astype(np.float64)
    most = np.zeros(len(features))
    np.maximum.at(most, row, strength)
    total = np.bincount(row, weights=strength, minlength=len(features))
    count = np.bincount(row, minlength=len(features))
    found = RankedFeatures(features, most, total / max(int(counted.sum()), 1), count)
    order = np.lexsort((features, -found.by(by)))
    return RankedFeatures(features[order], most[order], found.mean[order], count[order])


@dataclass(frozen=True)
class Difference:
    """A measure of the features of two texts, the largest difference first."""

    feature: Int64Array
    first: Float64Array
    second: Float64Array


def compare_features(first: EncodedText, second: EncodedText, by: str = "max") -> Difference:
    """Every feature that fires in either text, 0 in the one where it is silent.

    Counts are per 100 counted tokens, so that a longer text does not win by its length.

    Raises:
        ParameterError: ``by`` is none of :data:`MEASURES`.
    """
    sides = [rank_features(text, by) for text in (first, second)]
    features = np.unique(np.concatenate([side.feature for side in sides]))
    columns = []
    for text, side in zip((first, second), sides, strict=True):
        values = np.zeros(len(features))
        values[np.searchsorted(features, side.feature)] = side.by(by)
        if by == "count":
            values *= 100 / max(int(text.counted.sum()), 1)
        columns.append(values)
    order = np.lexsort((features, -np.abs(columns[0] - columns[1])))
    return Difference(features[order], columns[0][order], columns[1][order])


def strongest(text: EncodedText, n: int) -> list[list[int]]:
    """Of each token, the places among the text's firings of its ``n`` strongest features."""
    order = np.lexsort((text.feature, -np.abs(text.activation), text.token))
    starts = np.searchsorted(text.token[order], np.arange(text.n_tokens + 1))
    return [order[low : min(low + n, high)].tolist() for low, high in itertools.pairwise(starts)]
