"""What a set of judged windows says about a label: values, floors and intervals. No I/O.

Two measures, both 0.5 for a judge that knows nothing, whatever the mix of windows:

* AUROC, for judges that give a number on no particular scale (cosine similarities): the
  probability that an active window gets more than a silent one, ties counting half.
* Balanced accuracy, for judges that give a probability of "yes": the mean of the shares of
  active and of silent windows judged right, a probability of exactly 0.5 counting half.

Missing judgements (NaN) are left out of the value and counted: they make the interval wider,
never the value better.

Intervals are 95 % score intervals: all values that would not be surprised by what was seen,
their variance taken at the value itself. The usual ones, with the variance at what was seen,
shrink to nothing at a perfect score. For balanced accuracy this is Miettinen and Nurminen's
interval (1985), for AUROC Newcombe's method 5 (2006). Both are found by bisection here: no
library has the second, and statsmodels' version of the first raises or divides by zero where one
class is judged all right or all wrong, which is what good and useless labels come to.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from autointerp_core.arrays import Float64Array
from autointerp_core.labels.auroc import auroc_value
from autointerp_core.store.score_values import ScorerResult

AUROC = "auroc"
BALANCED_ACCURACY = "balanced accuracy"
FLOOR = 0.5
"""What both measures give for a judge that says the same of every window."""
Z95 = 1.959963984540054


class Interval(NamedTuple):
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float


def score(
    name: str,
    measure: str,
    judge: str,
    active: ArrayLike,
    easy: ArrayLike,
    hard: ArrayLike,
    shuffled: float | None = None,
) -> ScorerResult:
    """The score from the judgements of active, easy and hard windows; NaN: missing."""
    parts = [np.asarray(x, dtype=np.float64).reshape(-1) for x in (active, easy, hard)]
    had = [part[~np.isnan(part)] for part in parts]
    missing = sum(map(len, parts)) - sum(map(len, had))
    silent = np.concatenate(had[1:])
    found = interval_of(measure, had[0], silent)
    easy_value, hard_value = (value_of(measure, had[0], part) for part in had[1:])
    shares: tuple[float | None, float | None] = (None, None)
    if found is not None and measure == BALANCED_ACCURACY:
        shares = _shares_right(had[0], silent)
    reason = None
    if found is None:
        which = "active" if not len(had[0]) else "silent"
        reason = f"no judgement of any {which} window"
        if missing:
            reason += f" ({missing} of {sum(map(len, parts))} judgements are missing)"
    return ScorerResult(
        name=name,
        value=found.value if found else None,
        low=found.low if found else None,
        high=found.high if found else None,
        shuffled=shuffled,
        n=sum(map(len, had)),
        n_missing=missing,
        n_active=len(had[0]),
        n_easy=len(had[1]),
        n_hard=len(had[2]),
        easy=easy_value,
        hard=hard_value,
        measure=measure,
        judge=judge,
        floor=FLOOR,
        reason=reason,
        auroc=auroc_value(had[0], silent) if found and _graded(measure, had) else None,
        hit=shares[0],
        rejected=shares[1],
    )


def _graded(measure: str, judgements: Sequence[Float64Array]) -> bool:
    """Whether probabilities are known, not only words."""
    said = np.concatenate(judgements)
    return measure == BALANCED_ACCURACY and not bool(np.isin(said, (0.0, 1.0)).all())


def value_of(measure: str, active: Float64Array, silent: Float64Array) -> float | None:
    """The measure of judgements without NaN; None where a class is empty."""
    if not len(active) or not len(silent):
        return None
    if measure == AUROC:
        return auroc_value(active, silent)
    return sum(_shares_right(active, silent)) / 2


def interval_of(measure: str, active: Float64Array, silent: Float64Array) -> Interval | None:
    """The measure and its interval; None where a class is empty."""
    if not len(active) or not len(silent):
        return None
    return auroc(active, silent) if measure == AUROC else balanced_accuracy(active, silent)


def auroc(active: ArrayLike, silent: ArrayLike) -> Interval:
    """AUROC and its interval; neither class may be empty."""
    return auroc_interval(auroc_value(active, silent), np.size(active), np.size(silent))


def auroc_interval(value: float, m: int, n: int) -> Interval:
    """An AUROC with its interval, where ``m`` active and ``n`` silent ones were compared."""
    # Newcombe: Hanley and McNeil's variance with one size, (m + n) / 2, where it shapes it.
    size = (m + n) / 2 - 1

    def variance(theta: float) -> float:
        shape = 1 + size * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return theta * (1 - theta) * shape / (m * n)

    return Interval(value, *_score_interval(value, variance))


def balanced_accuracy(active: ArrayLike, silent: ArrayLike) -> Interval:
    """Balanced accuracy of probabilities of "yes" and its interval; no class may be empty."""
    m, n = np.size(active), np.size(silent)
    hit, rejected = _shares_right(np.asarray(active), np.asarray(silent))
    value = (hit + rejected) / 2

    def variance(theta: float) -> float:
        p = _likeliest_share(hit, m, rejected, n, 2 * theta)
        q = 2 * theta - p
        sample = (m + n) / max(m + n - 1, 1)
        return (p * (1 - p) / m + q * (1 - q) / n) / 4 * sample

    return Interval(value, *_score_interval(value, variance))


def _shares_right(active: Float64Array, silent: Float64Array) -> tuple[float, float]:
    """Shares of active and of silent windows judged right; exactly 0.5 is half right."""
    hit = (active > 0.5).mean() + (active == 0.5).mean() / 2
    rejected = (silent < 0.5).mean() + (silent == 0.5).mean() / 2
    return float(hit), float(rejected)


def _likeliest_share(hit: float, m: int, rejected: float, n: int, total: float) -> float:
    """The first of two shares that make the counts likeliest, given the ``total`` of both.

    Maximises m·hit·log p + m·(1−hit)·log(1−p) and the same of q = total − p: a concave
    function, whose slope is followed to zero by bisection.
    """
    low, high = max(0.0, total - 1), min(1.0, total)
    gains = ((m * hit, m * (1 - hit)), (n * rejected, n * (1 - rejected)))

    def rises(p: float) -> bool:
        q = total - p
        (a, b), (c, d) = gains
        # Slope, times the denominators (all positive inside the range).
        up = a * (1 - p) * q * (1 - q) + d * p * (1 - p) * q
        return up > b * p * q * (1 - q) + c * p * (1 - p) * (1 - q)

    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if rises(middle) else (low, middle)
    return (low + high) / 2


def _score_interval(value: float, variance: Callable[[float], float]) -> tuple[float, float]:
    """The values θ with |value − θ| ≤ z·√variance(θ), searched for on both sides."""

    def border(outer: float) -> float:
        a, b = value, outer
        for _ in range(40):
            middle = (a + b) / 2
            inside = (value - middle) ** 2 <= Z95 * Z95 * variance(middle)
            a, b = (middle, b) if inside else (a, middle)
        return b

    return border(0.0), border(1.0)


def mean_interval(
    values: Sequence[float], intervals: Sequence[tuple[float, float]] = ()
) -> Interval | None:
    """Mean over features and its 95 % interval; None: no values.

    Student's t over the features, with the variance between them and that within each added:
    rather too wide than too narrow, as the spread between them holds some of the latter already.

    Args:
        values: one a feature.
        intervals: the 95 % interval of each value; without them, features that are all alike
            are taken as draws of which up to 3 / n may come out otherwise.
    """
    n = len(values)
    if not n:
        return None
    numbers = np.asarray(values, dtype=np.float64)
    mean = float(numbers.mean())
    if len(intervals) == n == 1:
        return Interval(mean, *intervals[0])
    variance = float(numbers.var(ddof=1)) if n > 1 else 0.0
    if len(intervals) == n:
        widths = np.array([high - low for low, high in intervals])
        variance += float(((widths / (2 * Z95)) ** 2).mean())
    if variance < 1e-12:
        share = min(1.0, 3 / n)
        return Interval(mean, mean - share * mean, mean + share * (1 - mean))
    half = t95(n - 1) * math.sqrt(variance / n)
    return Interval(mean, max(0.0, mean - half), min(1.0, mean + half))


def t95(freedom: int) -> float:
    """Student's t that 95 % of draws stay within; ``freedom`` from 1 (degrees of freedom)."""
    from scipy.special import stdtrit  # here, as the app reads scores without it

    return float(stdtrit(freedom, 0.975))
