"""Shares of right answers, and what they would be if the judge never erred. No I/O.

A judge that says yes to a share ``h`` of windows, though it recognises what is there with
sensitivity ``se`` and what is not with specificity ``sp``, saw the thing in a share

    p = (h + sp − 1) / (se + sp − 1)

of them (Rogan and Gladen 1978, American Journal of Epidemiology 107). Its variance, all three
being counted, follows by the delta method, each count taken with Agresti and Coull's additions
(half of z² to either side), as Lang and Reiczigel (2014, Preventive Veterinary Medicine 113)
advise: without them a judge that erred in none of a few questions would count as one that never
errs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from autointerp_core.labels.scoring.score_statistics import Z95, Interval

LEAST_YOUDEN = 0.1
"""``se + sp − 1`` of a judge below which nothing can be corrected: it hardly tells yes from no."""


@dataclass(frozen=True)
class Count:
    """``right`` of ``n`` questions; ``right`` may be a fraction where a half answer counts half."""

    right: float
    n: int

    @property
    def share(self) -> float:
        """The plain share; of no questions, a half."""
        return self.right / self.n if self.n else 0.5

    @property
    def steadied(self) -> tuple[float, float]:
        """Agresti and Coull's share and size: ``z²/2`` added to either side."""
        size = self.n + Z95 * Z95
        return (self.right + Z95 * Z95 / 2) / size, size

    def __add__(self, other: Count) -> Count:
        return Count(self.right + other.right, self.n + other.n)


def wilson(count: Count) -> Interval:
    """A share and its 95 % score interval (Wilson 1927).

    Raises:
        ValueError: nothing was counted.
    """
    if not count.n:
        raise ValueError("no questions were counted")
    centre, size = count.steadied
    spread = count.share * (1 - count.share) / count.n + Z95 * Z95 / (4 * count.n * count.n)
    half = Z95 * math.sqrt(spread) * count.n / size
    return Interval(count.share, max(0.0, centre - half), min(1.0, centre + half))


@dataclass(frozen=True)
class JudgeSkill:
    """How often a judge is right where the right answer is known."""

    yes: Count
    """Questions whose answer is yes, and how many it answered so: sensitivity."""
    no: Count
    """Questions whose answer is no, likewise: specificity."""

    @property
    def youden(self) -> float:
        """``se + sp − 1``: 1 for a judge that never errs, 0 for one that guesses."""
        return self.yes.share + self.no.share - 1

    @property
    def usable(self) -> bool:
        """Whether it tells yes from no at all, so that what it says can be corrected."""
        return self.youden >= LEAST_YOUDEN


def corrected_share(said_yes: Count, skill: JudgeSkill) -> Interval | None:
    """In how many windows the thing is, given how many the judge said yes to.

    Returns:
        Value and 95 % interval within 0 and 1; None where the judge is no better than a guess.
    """
    if not skill.usable or not said_yes.n:
        return None
    value = _clip((said_yes.share + skill.no.share - 1) / skill.youden)
    middle, variance = _delta(said_yes, skill)
    half = Z95 * math.sqrt(variance)
    return Interval(value, min(value, _clip(middle - half)), max(value, _clip(middle + half)))


def corrected_accuracy(active: Count, silent: Count, skill: JudgeSkill) -> Interval | None:
    """Balanced accuracy of a label, had its judge not erred.

    The mean of the share of active windows that the label fits and of the silent ones that it
    does not. The judge's skill is in both, so that their errors are not independent: the variance
    of the mean is worked out as one.

    Args:
        active: active windows, and to how many of them the judge said yes.
        silent: silent windows, likewise yes.
        skill: the judge's.
    """
    if not skill.usable or not active.n or not silent.n:
        return None
    # (p + 1 − q) / 2 with p, q as above: their specificities cancel.
    value = _clip((1 + (active.share - silent.share) / skill.youden) / 2)
    (hit, m), (miss, n) = active.steadied, silent.steadied
    (se, k), (sp, j) = skill.yes.steadied, skill.no.steadied
    youden = max(se + sp - 1, LEAST_YOUDEN)
    gap = (hit - miss) / youden
    variance = (
        hit * (1 - hit) / m
        + miss * (1 - miss) / n
        + gap * gap * (se * (1 - se) / k + sp * (1 - sp) / j)
    ) / (4 * youden * youden)
    half = Z95 * math.sqrt(variance)
    middle = (1 + gap) / 2
    return Interval(value, min(value, _clip(middle - half)), max(value, _clip(middle + half)))


def _delta(said_yes: Count, skill: JudgeSkill) -> tuple[float, float]:
    """Middle and variance of a corrected share, by the delta method on steadied counts."""
    h, n = said_yes.steadied
    (se, k), (sp, j) = skill.yes.steadied, skill.no.steadied
    youden = max(se + sp - 1, LEAST_YOUDEN)
    p = (h + sp - 1) / youden
    variance = (
        h * (1 - h) / n + p * p * se * (1 - se) / k + (1 - p) * (1 - p) * sp * (1 - sp) / j
    ) / (youden * youden)
    return p, variance


def _clip(value: float) -> float:
    return min(1.0, max(0.0, value))
