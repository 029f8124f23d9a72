"""One-sided Mann–Whitney test of many features at once, right where most documents hold a zero.

A feature fires in few documents, so its values are one large block of ties (the zeros) and a few
different numbers. The usual normal approximation, ties corrected, then claims far too much: three
firings that happen to fall into 20 of 1,000 documents come out at 1e-18 instead of 8e-6, and with
thousands of features there are always some. So the null distribution is taken apart:

* how many of the ``z`` documents it fires in are positive: hypergeometric, exact;
* given that number ``k``, the sum of ``k`` of the ranks 1 … ``z``: for up to 20 (or ``z`` less up
  to 20) the sum of as many uniform numbers (Irwin–Hall), which has rather heavier tails as these
  are drawn with replacement (Hoeffding 1963, theorem 4); else normal, with ties and continuity
  corrected, whose tails are heavier still.

Where there are few documents all divisions of them into two groups are counted instead
(:func:`permutation_p`). Where both groups are large and the count of positive firings is near
normal, the normal approximation stands.
"""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
from scipy.special import gammaln, log_ndtr

from autointerp_core.arrays import BoolArray, Float64Array, Int64Array

MOST_DIVISIONS = 60_000
"""Up to so many divisions of the documents are all counted."""
_UNIFORMS = 20
_NORMAL_VARIANCE = 400.0
"""Of the number of positive firings: above it the normal approximation is close."""
_CELLS = 20_000_000
"""Numbers in memory at a time where divisions are counted."""


def log_p(
    m: int,
    n: int,
    fired: Int64Array,
    positive: Int64Array,
    rank_sum: Float64Array,
    tie_term: Float64Array,
    distinct: Int64Array,
) -> Float64Array:
    """Natural logarithm of the one-sided p-value of each feature: positives hold more.

    Args:
        m: positive documents.
        n: negative ones.
        fired: documents that the feature fires in, ``z``.
        positive: how many of them are positive.
        rank_sum: sum of the ranks of these among the ``z`` (1: weakest; ties share their mean).
        tie_term: sum of t³ − t over groups of t equal values among the ``z``.
        distinct: number of different values among the ``z``.
    """
    total = m + n
    silent = total - fired
    middle = (silent + 1) / 2
    # The sum of the positives' ranks among all documents, less what it is when none fires.
    excess = positive * (silent - middle) + rank_sum
    mean = m * ((total + 1) / 2 - middle)
    ties = silent.astype(np.float64) ** 3 - silent + tie_term
    variance = m * n / 12 * (total + 1 - ties / max(total * (total - 1), 1))
    deviation = np.sqrt(np.maximum(variance, 0))
    step = np.where(fired > 0, 0.5, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        normal = np.where(deviation > 0, (excess - step - mean) / deviation, -np.inf)
    found: Float64Array = np.where(normal == -np.inf, 0.0, log_ndtr(-normal))
    # What is not above the middle is not looked at closer.
    spread = m * fired * (n / total) * (silent / (total * max(total - 1, 1)))
    close = (fired > 0) & (normal > 0.5) & (spread < _NORMAL_VARIANCE)
    if close.any():
        at = np.flatnonzero(close)
        found[at] = _mixture(
            m, n, fired[at], excess[at], (silent - middle)[at], tie_term[at], distinct[at]
        )
    return np.minimum(found, 0.0)


def _mixture(
    m: int,
    n: int,
    fired: Int64Array,
    excess: Float64Array,
    each: Float64Array,
    tie_term: Float64Array,
    distinct: Int64Array,
) -> Float64Array:
    """Over the number of positive firings: its chance, times that of so high a rank sum then."""
    total = m + n
    log_all = _log_choose(total, m)
    found = np.full(len(fired), -np.inf)
    cube = np.maximum(fired.astype(np.float64) ** 3 - fired, 1.0)
    untied = 1 - tie_term / cube
    gap = fired / np.maximum(distinct, 1)
    for k in range(int(max(0, (m + fired - total).min())), int(min(m, fired.max())) + 1):
        highest = k * fired - k * (k - 1) / 2
        wanted = excess - k * each
        at = np.flatnonzero((fired >= k) & (fired - k <= n) & (wanted <= highest + gap))
        if not len(at):
            continue
        chance = _log_choose(fired[at], k) + _log_choose(total - fired[at], m - k) - log_all
        tail = _log_rank_tail(k, fired[at], wanted[at], untied[at], gap[at])
        found[at] = np.logaddexp(found[at], chance + tail)
    return found


def _log_rank_tail(
    k: int, z: Int64Array, wanted: Float64Array, untied: Float64Array, gap: Float64Array
) -> Float64Array:
    """Log of the chance that ``k`` of the ranks 1 … ``z`` sum to ``wanted`` or more."""
    mean = k * (z + 1) / 2
    deviation = np.sqrt(np.maximum(k * (z - k) * (z + 1) / 12 * untied, 0))
    least = wanted - gap / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        normal = log_ndtr(-(least - mean) / deviation)
    fixed = deviation < 1e-9
    found: Float64Array = np.where(fixed, np.where(least <= mean, 0.0, -np.inf), normal)
    fewer = np.minimum(k, z - k)
    uniform = (fewer > 0) & (fewer <= _UNIFORMS) & (untied > 0.99) & ~fixed
    for count in np.unique(fewer[uniform]).tolist():
        at = np.flatnonzero(uniform & (fewer == count))
        # High ranks of k leave low ones to the others, and these mirror high ones.
        mirrored = k != fewer[at]
        high = np.where(mirrored, least[at] + (count - z[at] / 2) * (z[at] + 1), least[at])
        found[at] = _log_uniform_tail(count, (high - count / 2) / z[at])
    return found


def _log_uniform_tail(k: int, s: Float64Array) -> Float64Array:
    """Log of the chance that ``k`` uniform numbers of 0 … 1 sum to ``s`` or more."""
    short = np.clip(k - s, 0.0, float(k))
    flip = short > k / 2
    e = np.where(flip, k - short, short)
    total = np.zeros(len(e))
    for j in range(int(k / 2) + 1):
        term = comb(k, j) * np.maximum(e - j, 0.0) ** k
        total += term if j % 2 == 0 else -term
    with np.errstate(divide="ignore"):
        small = np.log(np.maximum(total, 0.0)) - gammaln(k + 1)
        found: Float64Array = np.where(flip, np.log1p(-np.minimum(np.exp(small), 1.0)), small)
    return found


def permutation_p(m: int, ranks: Float64Array, positive: BoolArray) -> Float64Array:
    """Exact one-sided p-value of each column: share of divisions with as high a rank sum.

    Args:
        m: positive documents.
        ranks: ``[documents, features]``, ties sharing their mean.
        positive: ``[documents]``: which are.
    """
    documents = len(positive)
    swap = m > documents - m
    few = documents - m if swap else m
    chosen = np.asarray(list(combinations(range(documents), few)), dtype=np.int64)
    seen = ranks[positive != swap].sum(0)
    found = np.zeros(ranks.shape[1])
    columns = max(_CELLS // len(chosen), 1)
    for low in range(0, ranks.shape[1], columns):
        part = ranks[:, low : low + columns]
        sums = np.zeros((len(chosen), part.shape[1]))
        for place in range(few):
            sums += part[chosen[:, place]]
        as_high = sums <= seen[low : low + columns] if swap else sums >= seen[low : low + columns]
        found[low : low + columns] = as_high.mean(0)
    return found


def divisions(m: int, n: int) -> int:
    """How many ways there are to call ``m`` of the documents positive."""
    return comb(m + n, m)


def _log_choose(n: Int64Array | int, k: Int64Array | int) -> Float64Array:
    n, k = np.asarray(n, dtype=np.float64), np.asarray(k, dtype=np.float64)
    found: Float64Array = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    return found
