"""What a judge's errors do to a score, and how far two judges agree, against others' numbers."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from autointerp_core.labels.scoring.agreement import agreement, cohens_kappa, krippendorffs_alpha
from autointerp_core.labels.scoring.calibration import keep_calibration, read_calibrations
from autointerp_core.labels.scoring.proportions import (
    Count,
    JudgeSkill,
    corrected_accuracy,
    corrected_share,
    wilson,
)
from autointerp_core.labels.scoring.score_statistics import BALANCED_ACCURACY, score


@pytest.mark.parametrize(("right", "n"), [(0, 7), (3, 8), (10, 10), (41, 50)])
def test_a_shares_interval_is_wilsons(right: int, n: int) -> None:
    """Its ends are the shares that what was seen is just 1.96 of their standard errors from."""
    z2, share = 1.959963984540054**2, right / n
    low, high = sorted(np.roots([1 + z2 / n, -(2 * share + z2 / n), share**2]).real)
    found = wilson(Count(right, n))
    assert (found.value, found.low, found.high) == pytest.approx((share, low, high), abs=1e-9)


def test_a_judge_that_never_errs_changes_nothing() -> None:
    perfect = JudgeSkill(Count(500, 500), Count(500, 500))
    found = corrected_share(Count(30, 40), perfect)
    assert found is not None
    assert found.value == pytest.approx(0.75)
    plain = wilson(Count(30, 40))
    assert found.high - found.low >= plain.high - plain.low - 0.02


def test_the_corrected_share_is_what_was_there() -> None:
    """Prevalence 0.3 seen with sensitivity 0.9 and specificity 0.8 looks like 0.41."""
    skill = JudgeSkill(Count(900, 1000), Count(800, 1000))
    found = corrected_share(Count(410, 1000), skill)
    assert found is not None
    assert found.value == pytest.approx(0.3)
    assert found.low < 0.3 < found.high


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Drawn anew 1,500 times, calibration and all: 95 % of intervals hold the true accuracy."""
    generator = np.random.default_rng(1)
    fits, strays, se, sp = 0.85, 0.1, 0.88, 0.8
    truth = (fits + 1 - strays) / 2
    held = 0
    draws = 1500
    for _ in range(draws):
        skill = JudgeSkill(
            Count(int(generator.binomial(60, se)), 60), Count(int(generator.binomial(60, sp)), 60)
        )
        hit = fits * se + (1 - fits) * (1 - sp)
        miss = strays * se + (1 - strays) * (1 - sp)
        found = corrected_accuracy(
            Count(int(generator.binomial(100, hit)), 100),
            Count(int(generator.binomial(100, miss)), 100),
            skill,
        )
        assert found is not None
        held += found.low <= truth <= found.high
    assert 0.93 <= held / draws <= 0.99


def test_a_judge_that_guesses_corrects_nothing() -> None:
    guess = JudgeSkill(Count(52, 100), Count(50, 100))
    assert not guess.usable
    assert corrected_share(Count(5, 10), guess) is None
    assert corrected_accuracy(Count(5, 10), Count(5, 10), guess) is None


@pytest.mark.parametrize("table", [[[20, 5], [10, 15]], [[30, 2], [1, 7]], [[4, 9], [8, 5]]])
def test_kappas_interval_is_the_delta_methods(table: list[list[int]]) -> None:
    """Against the gradient taken numerically: what Fleiss, Cohen and Everitt wrote out."""
    counts = np.array(table, dtype=float)
    n, p = counts.sum(), counts / counts.sum()

    def kappa(q: np.ndarray) -> float:
        chance = float(q.sum(axis=1) @ q.sum(axis=0))
        return float((np.trace(q) - chance) / (1 - chance))

    step = 1e-6
    slope = np.zeros((2, 2))
    for cell in np.ndindex(2, 2):
        up, down = p.copy(), p.copy()
        up[cell] += step
        down[cell] -= step
        slope[cell] = (kappa(up) - kappa(down)) / (2 * step)
    error = math.sqrt(((slope**2 * p).sum() - (slope * p).sum() ** 2) / n)
    pairs = [(a, b) for a in (0, 1) for b in (0, 1) for _ in range(table[a][b])]
    one, other = zip(*pairs, strict=True)
    found = cohens_kappa(one, other)
    assert found.value == pytest.approx(kappa(p))
    assert found.value - found.low == pytest.approx(1.959964 * error, rel=1e-4)
    if table[0][0] == 20:
        assert found.value == pytest.approx(0.4)  # the textbook's


def test_alpha_of_krippendorffs_own_example() -> None:
    """Four observers, twelve units, gaps: 0.743 (Krippendorff 2011, Computing alpha, C)."""
    gap = math.nan
    table = np.array(
        [
            [1, 2, 3, 3, 2, 1, 4, 1, 2, gap, gap, gap],
            [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, gap, 3],
            [gap, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, gap],
            [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, gap],
        ]
    )
    found = krippendorffs_alpha(table, range(12))
    assert found.value == pytest.approx(0.743, abs=5e-4)
    assert found.low < found.value < found.high


def test_agreement_leaves_missing_judgements_out() -> None:
    found = agreement(
        [True, False, None, True, False], [True, False, True, None, True], [1, 1, 2, 2, 3]
    )
    assert found is not None
    assert found.n == 3
    assert found.same == pytest.approx(2 / 3)
    assert agreement([True, None], [None, True], [1, 1]) is None


def test_two_judges_that_always_say_yes_say_nothing() -> None:
    found = cohens_kappa([True] * 9, [True] * 9)
    assert (found.value, found.low, found.high) == (0.0, -1.0, 1.0)


def test_a_judges_skill_is_kept_and_corrects_its_scores(tmp_path: Path) -> None:
    place = tmp_path / "judges.json"
    skill = JudgeSkill(Count(80, 100), Count(90, 100))
    keep_calibration("llm:a", {"detection": skill}, place)
    keep_calibration("llm:b", {"detection": JudgeSkill(Count(1, 2), Count(1, 2))}, place)
    known = read_calibrations(place)
    assert known.of("llm:a", "detection") == skill
    assert known.of("llm:a", "fuzzing") is None
    active, silent = [0.9] * 15 + [0.1] * 5, [0.8] * 4 + [0.2] * 16
    found = score("detection", BALANCED_ACCURACY, "llm:a", active, silent[:10], silent[10:])
    assert (found.hit, found.rejected) == (0.75, 0.8)
    corrected = known.corrected(found)
    assert corrected is not None
    # (0.75 − 0.2) / 0.7 and so on: the raw 0.775 becomes 0.893.
    assert corrected.value == pytest.approx((1 + 0.55 / 0.7) / 2)
    assert (
        known.corrected(score("detection", BALANCED_ACCURACY, "llm:c", active, silent, [])) is None
    )


def test_a_damaged_file_of_judges_is_no_file(tmp_path: Path) -> None:
    place = tmp_path / "judges.json"
    for raw in ("{", '{"a": 3}', '{"a": {"detection": {"yes": [5, 2], "no": [1, 2]}}}'):
        place.write_text(raw)
        assert read_calibrations(place).skills == {}
