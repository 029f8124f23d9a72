"""How far two judges agree beyond chance, with intervals. No I/O.

*Cohen's kappa* for two judges that both answered; its standard error is Fleiss, Cohen and
Everitt's (1969). *Krippendorff's alpha*, nominal, for any number of judges with gaps; its interval
is by drawing whole groups anew (windows of one feature are alike), 2,000 times, seed 0.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autointerp_core.labels.scoring.score_statistics import Z95, Interval

DRAWS = 2_000


@dataclass(frozen=True)
class Agreement:
    """Two judges over the same windows."""

    n: int
    """Windows that both judged."""
    same: float
    """Share of them that both judged alike."""
    kappa: Interval
    """0: no more than by chance, 1: always."""
    alpha: Interval


def agreement(
    one: Sequence[bool | None], other: Sequence[bool | None], groups: Sequence[Hashable]
) -> Agreement | None:
    """What two judges said of the same windows, compared.

    Args:
        one: yes, no or missing, a window.
        other: the same windows by the other judge.
        groups: what each window belongs to (its feature).

    Returns:
        None where fewer than two windows were judged by both.
    """
    both = [i for i, pair in enumerate(zip(one, other, strict=True)) if None not in pair]
    if len(both) < 2:
        return None
    a = np.array([bool(one[i]) for i in both])
    b = np.array([bool(other[i]) for i in both])
    return Agreement(
        len(both),
        float((a == b).mean()),
        cohens_kappa(a, b),
        krippendorffs_alpha(np.stack([a, b]).astype(np.float64), [groups[i] for i in both]),
    )


def cohens_kappa(one: ArrayLike, other: ArrayLike) -> Interval:
    """Kappa of two judges' verdicts (any categories), and its 95 % interval.

    Where both always say one and the same thing, chance explains everything and kappa is 0
    with an interval of −1 to 1: nothing can be said.
    """
    a, b = np.asarray(one), np.asarray(other)
    kinds, codes = np.unique(np.concatenate([a, b]), return_inverse=True)
    n, k = len(a), len(kinds)
    table = np.zeros((k, k))
    np.add.at(table, (codes[:n], codes[n:]), 1 / n)
    row, column = table.sum(axis=1), table.sum(axis=0)
    observed, chance = float(np.trace(table)), float(row @ column)
    if chance >= 1 - 1e-12:
        return Interval(0.0, -1.0, 1.0)
    kappa = (observed - chance) / (1 - chance)
    # Fleiss, Cohen and Everitt 1969, equation 13.
    diagonal = np.diag(table)
    first = (diagonal * (1 - (row + column) * (1 - kappa)) ** 2).sum()
    pairs = (column[:, None] + row[None, :]) ** 2 * table
    second = (1 - kappa) ** 2 * (pairs.sum() - np.trace(pairs))
    third = (kappa - chance * (1 - kappa)) ** 2
    variance = max(0.0, float(first + second - third)) / (n * (1 - chance) ** 2)
    if variance == 0:  # all alike in the sample: up to 3 in n may come out otherwise
        return Interval(kappa, kappa - 3 / n / (1 - chance), min(1.0, kappa))
    half = Z95 * math.sqrt(variance)
    return Interval(kappa, max(-1.0, kappa - half), min(1.0, kappa + half))


def krippendorffs_alpha(
    verdicts: NDArray[np.float64], groups: Sequence[Hashable], *, draws: int = DRAWS
) -> Interval:
    """Nominal alpha of judges × windows (NaN: missing), and its 95 % interval.

    Args:
        verdicts: ``[judges, windows]``, a number a category.
        groups: of each window.
        draws: bootstrap draws of groups.
    """
    kinds = np.unique(verdicts[~np.isnan(verdicts)])
    counts = np.stack([(verdicts == kind).sum(axis=0) for kind in kinds], axis=1)  # [windows, k]
    paired = counts.sum(axis=1) >= 2
    order: dict[Hashable, int] = {}
    group = np.array([order.setdefault(g, len(order)) for g in groups])[paired]
    counts = counts[paired]
    size = counts.sum(axis=1)
    unlike = (size * size - (counts * counts).sum(axis=1)) / np.maximum(size - 1, 1)
    # Sums a group, so that a draw is a few additions.
    sums = np.zeros((len(order), 1 + len(kinds)))
    np.add.at(sums, group, np.column_stack([unlike, counts]))
    value = _alpha(sums.sum(axis=0)[None])[0]
    generator = np.random.default_rng(0)
    picks = generator.integers(0, len(sums), (draws, len(sums)))
    drawn = _alpha(np.stack([sums[pick].sum(axis=0) for pick in picks]))
    drawn = drawn[~np.isnan(drawn)]
    if math.isnan(value) or not len(drawn):
        return Interval(0.0, -1.0, 1.0)
    low, high = np.percentile(drawn, (2.5, 97.5))
    return Interval(float(value), float(low), float(high))


def _alpha(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 − observed / expected disagreement of rows (disagreement, values of each kind)."""
    observed, counts = sums[:, 0], sums[:, 1:]
    n = counts.sum(axis=1)
    expected = (n * n - (counts * counts).sum(axis=1)) / np.maximum(n - 1, 1)
    alpha: NDArray[np.float64] = np.where(
        expected > 0, 1 - observed / np.where(expected > 0, expected, 1), np.nan
    )
    return alpha
