"""What is different about positive documents, for every feature of a block, by several measures.

A document's *value* of a feature is its strongest activation there (``max``), its activation a
token (``mean``), or its firings a token (``count``); 0 where it does not fire.

* AUROC: the chance that a positive document has a higher value than a negative one, ties counting
  half. Whoever fires often everywhere has 0.5.
* Mean difference of the values, in the feature's own units: large for whatever fires strongly.
* Fisher separation: the squared mean difference over the sum of the two variances.
* Density ratio: firings a token in positive documents over those in negative ones.
* Evidence: by how many standard deviations of chance the AUROC is above 0.5, from a one-sided
  Mann–Whitney test (:mod:`autointerp_core.find.rank_test`). Its null distribution knows in how many
  documents a feature fires, so frequency earns nothing; with it go the p-value and ``q``, the
  p-value corrected for the number of features (Benjamini and Hochberg 1995).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from scipy.special import ndtri_exp

from autointerp_core.arrays import BoolArray, Float64Array, Int64Array
from autointerp_core.find.evidence import Evidence
from autointerp_core.find.rank_test import MOST_DIVISIONS, divisions, log_p, permutation_p

MAX, MEAN, COUNT = "max", "mean", "count"
VALUES = (MAX, MEAN, COUNT)
Z95 = 1.959963984540054
HALF = 0.5
"""Added to firings, so that a ratio with none on one side is a number."""
_CANDIDATE_LOG_P = float(np.log(0.3))


@dataclass(frozen=True)
class Columns:
    """Measures of features, an array of ``[F]`` each."""

    feature: Int64Array
    auroc: Float64Array
    log_p: Float64Array
    mean_positive: Float64Array
    mean_negative: Float64Array
    fisher: Float64Array
    """NaN where neither group varies."""
    density_positive: Float64Array
    density_negative: Float64Array
    ratio: Float64Array
    ratio_low: Float64Array
    ratio_high: Float64Array
    fires_positive: Int64Array
    """Positive documents it fires in."""
    fires_negative: Int64Array

    @property
    def difference(self) -> Float64Array:
        return self.mean_positive - self.mean_negative

    @property
    def evidence(self) -> Float64Array:
        """Standard deviations that the p-value stands for; below 0 where positives hold less."""
        found: Float64Array = -ndtri_exp(np.minimum(self.log_p, -1e-12))
        return found

    @property
    def tested(self) -> BoolArray:
        """Features that fire in any of the documents."""
        fires: BoolArray = self.fires_positive + self.fires_negative > 0
        return fires

    def take(self, at: Int64Array | BoolArray) -> Columns:
        return Columns(*(getattr(self, each.name)[at] for each in fields(self)))

    @staticmethod
    def joined(parts: list[Columns]) -> Columns:
        """One after the other; there must be one at least."""
        names = [each.name for each in fields(Columns)]
        return Columns(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))


def document_values(found: Evidence, lengths: Int64Array, value: str) -> Float64Array:
    """The value of each (feature, document) that fires, ``[nnz]``."""
    if value == MAX:
        return found.peak
    tokens = np.maximum(lengths[found.document], 1)
    return found.total / tokens if value == MEAN else found.count / tokens


@dataclass(frozen=True)
class Ranked:
    """A block's values ranked within each feature; what does not depend on who is positive."""

    found: Evidence
    lengths: Int64Array
    row: Int64Array
    values: Float64Array
    rank: Float64Array
    """Among the documents the feature fires in, 1 the weakest, ties sharing their mean."""
    tie_term: Float64Array
    distinct: Int64Array

    @classmethod
    def of(cls, found: Evidence, lengths: Int64Array, value: str) -> Ranked:
        """Rank a block's values.

        Args:
            found: its documents numbered as in ``lengths``.
            lengths: counted tokens of each document compared, ``[documents]``.
            value: one of :data:`VALUES`.
        """
        values, row, features = document_values(found, lengths, value), found.row, found.features
        # By feature, then value: strengths are positive, so their bits are in their order, and one
        # sort of whole numbers does.
        bits = values.astype(np.float32).view(np.uint32).astype(np.uint64)
        order = np.argsort((row.astype(np.uint64) << np.uint64(32)) | bits)
        new = np.ones(len(order), dtype=bool)
        ordered_row, ordered = row[order], bits[order]
        new[1:] = (ordered_row[1:] != ordered_row[:-1]) | (ordered[1:] != ordered[:-1])
        first = np.flatnonzero(new)
        size = np.diff(np.append(first, len(order)))
        begin = first - found.indptr[ordered_row[first]]
        rank = np.empty(len(order))
        rank[order] = np.repeat(begin + (size + 1) / 2, size)
        ties = np.bincount(
            ordered_row[first], weights=size.astype(np.float64) ** 3 - size,
            minlength=len(features),
        )  # fmt: skip
        distinct = np.bincount(ordered_row[first], minlength=len(features)).astype(np.int64)
        return cls(found, lengths, row, values, rank, ties.astype(np.float64), distinct)

    def sums(self, weights: Float64Array | Int64Array | BoolArray) -> Float64Array:
        """``weights`` of each (feature, document) summed by feature."""
        found = np.bincount(self.row, weights=weights, minlength=len(self.found.features))
        return found.astype(np.float64)

    def log_p(self, positive: BoolArray) -> tuple[Float64Array, Float64Array]:
        """AUROC and log p-value of each feature, where these documents are the positive ones."""
        m = int(positive.sum())
        n = len(positive) - m
        inside = positive[self.found.document]
        fired = np.diff(self.found.indptr)
        hits = self.sums(inside)
        rank_sum = self.sums(self.rank * inside)
        silent = m + n - fired
        whole = (m - hits) * (silent + 1) / 2 + hits * silent + rank_sum
        auroc = (whole - m * (m + 1) / 2) / (m * n)
        found = log_p(m, n, fired, hits.astype(np.int64), rank_sum, self.tie_term, self.distinct)
        if divisions(m, n) <= MOST_DIVISIONS:
            at = np.flatnonzero((found < _CANDIDATE_LOG_P) & (fired > 0))
            found[at] = np.log(permutation_p(m, self._dense_ranks(at, silent), positive))
        return auroc, found

    def _dense_ranks(self, rows: Int64Array, silent: Int64Array) -> Float64Array:
        """Ranks of all documents, ``[documents, len(rows)]``."""
        place = np.full(len(self.found.features), -1, dtype=np.int64)
        place[rows] = np.arange(len(rows))
        ranks = np.tile((silent[rows] + 1) / 2, (len(self.lengths), 1))
        column = place[self.row]
        here = column >= 0
        row = self.row[here]
        ranks[self.found.document[here], column[here]] = silent[row] + self.rank[here]
        return ranks

    def measure(self, positive: BoolArray) -> Columns:
        """Every measure of every feature."""
        m = int(positive.sum())
        n = len(positive) - m
        inside = positive[self.found.document]
        auroc, found = self.log_p(positive)
        sides = []
        for chosen, size in ((inside, m), (~inside, n)):
            first = self.sums(self.values * chosen)
            second = self.sums(self.values**2 * chosen)
            mean = first / size
            sides.append((mean, np.maximum(second / size - mean**2, 0.0) * size / max(size - 1, 1)))
        (high, high_spread), (low, low_spread) = sides
        together = high_spread + low_spread
        fisher = np.divide(
            (high - low) ** 2, together, out=np.full(len(high), np.nan), where=together > 0
        )
        density = [self._density(positive), self._density(~positive)]
        log_ratio = density[0][1] - density[1][1]
        half = Z95 * np.sqrt(density[0][2] + density[1][2])
        return Columns(
            feature=self.found.features,
            auroc=auroc,
            log_p=found,
            mean_positive=high,
            mean_negative=low,
            fisher=fisher,
            density_positive=density[0][0],
            density_negative=density[1][0],
            ratio=np.exp(log_ratio),
            ratio_low=np.exp(log_ratio - half),
            ratio_high=np.exp(log_ratio + half),
            fires_positive=self.sums(inside).astype(np.int64),
            fires_negative=self.sums(~inside).astype(np.int64),
        )

    def _density(self, chosen: BoolArray) -> tuple[Float64Array, Float64Array, Float64Array]:
        """Density in the documents chosen, its logarithm (half a firing added), and the variance of
        that.

        Documents are the sample, not tokens: the variance is that of a ratio of sums over
        documents, and never less than firings that come one by one would have (Poisson).
        """
        inside = chosen[self.found.document]
        tokens = float(self.lengths[chosen].sum())
        documents = int(chosen.sum())
        count = self.sums(self.found.count * inside)
        rate = count / tokens
        # Σ(c − r·t)² over all documents, from the ones that hold a firing.
        own = self.lengths[self.found.document].astype(np.float64)
        square = self.sums(self.found.count.astype(np.float64) ** 2 * inside)
        cross = self.sums(self.found.count * own * inside)
        lengths = float((self.lengths[chosen].astype(np.float64) ** 2).sum())
        residual = np.maximum(square - 2 * rate * cross + rate**2 * lengths, 0.0)
        clustered = residual / np.maximum(count, 1) ** 2 * documents / max(documents - 1, 1)
        variance = np.maximum(clustered, 1 / (count + HALF))
        return rate, np.log((count + HALF) / tokens), variance
