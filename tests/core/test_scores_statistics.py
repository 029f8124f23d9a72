"""Values, floors and intervals of scores, as pure arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autointerp_core.labels.auroc import auroc_value
from autointerp_core.labels.scoring.score_statistics import (
    AUROC,
    BALANCED_ACCURACY,
    Interval,
    auroc,
    balanced_accuracy,
    mean_interval,
    score,
    t95,
)

Measure = Callable[[Sequence[float], Sequence[float]], Interval]
MEASURES: tuple[Measure, ...] = (auroc, balanced_accuracy)
shares = st.lists(st.integers(0, 20).map(lambda n: n / 20), min_size=1, max_size=30)


@given(shares, shares)
def test_auroc_counts_pairs_and_halves_of_ties(active: list[float], silent: list[float]) -> None:
    pairs = [(a > s) + (a == s) / 2 for a in active for s in silent]
    assert auroc(active, silent).value == pytest.approx(sum(pairs) / len(pairs), abs=1e-12)


@given(shares, shares)
def test_auroc_does_not_depend_on_the_scale(active: list[float], silent: list[float]) -> None:
    value = auroc(active, silent).value
    for change in (np.exp, lambda x: 1e-9 * x - 5, lambda x: np.asarray(x) ** 3):
        assert auroc(change(np.array(active)), change(np.array(silent))).value == value


@given(shares, shares)
def test_balanced_accuracy_is_the_mean_of_the_shares_judged_right(
    active: list[float], silent: list[float]
) -> None:
    hit = sum(1.0 if p > 0.5 else 0.5 if p == 0.5 else 0.0 for p in active) / len(active)
    rejected = sum(1.0 if p < 0.5 else 0.5 if p == 0.5 else 0.0 for p in silent) / len(silent)
    assert balanced_accuracy(active, silent).value == pytest.approx((hit + rejected) / 2)


@pytest.mark.parametrize("measure", MEASURES)
@given(said=st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]), m=st.integers(1, 40), n=st.integers(1, 40))
def test_saying_the_same_of_every_window_is_exactly_the_floor(
    measure: Measure, said: float, m: int, n: int
) -> None:
    found = measure([said] * m, [said] * n)
    assert found.value == 0.5
    assert found.low <= 0.5 <= found.high


@pytest.mark.parametrize("measure", MEASURES)
@settings(max_examples=50)
@given(active=shares, silent=shares)
def test_interval_holds_the_value_and_mirrors(
    measure: Measure, active: list[float], silent: list[float]
) -> None:
    found = measure(active, silent)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.high - found.low > 0.01
    mirrored = measure([1 - p for p in active], [1 - p for p in silent])
    assert mirrored.value == pytest.approx(1 - found.value, abs=1e-9)
    assert mirrored.low == pytest.approx(1 - found.high, abs=1e-6)
    assert mirrored.high == pytest.approx(1 - found.low, abs=1e-6)


@pytest.mark.parametrize("measure", MEASURES)
def test_a_perfect_score_is_not_certain(measure: Measure) -> None:
    found = measure([1.0] * 20, [0.0] * 20)
    assert found.value == found.high == 1.0
    assert 0.85 < found.low < 0.95
    fewer = measure([1.0] * 5, [0.0] * 5)
    assert fewer.low < found.low - 0.1


@pytest.mark.parametrize(("m", "n", "least"), [(10, 10, 0.93), (10, 20, 0.92), (20, 20, 0.93)])
@pytest.mark.slow
def test_balanced_accuracy_interval_covers_what_is_true(m: int, n: int, least: float) -> None:
    """Exact: every outcome, weighed by its probability."""
    bounds = np.array(
        [
            [
                balanced_accuracy([1.0] * x + [0.0] * (m - x), [0.0] * y + [1.0] * (n - y))[1:]
                for y in range(n + 1)
            ]
            for x in range(m + 1)
        ]
    )
    covered = []
    for hit in (0.5, 0.7, 0.8, 0.9, 0.97):
        for rejected in (0.3, 0.5, 0.7, 0.9, 0.97):
            weight = np.outer(_binomial(m, hit), _binomial(n, rejected))
            true = (hit + rejected) / 2
            inside = (bounds[..., 0] <= true + 1e-9) & (bounds[..., 1] >= true - 1e-9)
            covered.append(float((weight * inside).sum()))
    assert min(covered) >= least
    assert np.mean(covered) >= 0.945


def _binomial(n: int, share: float) -> np.ndarray:
    return np.array([math.comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(n + 1)])


@pytest.mark.parametrize("n", [10, 20])
@pytest.mark.parametrize("true", [0.5, 0.7, 0.9, 0.97])
def test_auroc_interval_covers_what_is_true(true: float, n: int) -> None:
    generator = np.random.default_rng(0)
    rate = true / (1 - true)  # of exponentials: P(active > silent) = rate / (1 + rate)
    found = [
        auroc(generator.exponential(rate, n), generator.exponential(1.0, n)) for _ in range(1500)
    ]
    assert np.mean([e.low <= true <= e.high for e in found]) >= 0.93


def test_missing_judgements_are_counted_not_judged() -> None:
    found = score(
        "detection",
        BALANCED_ACCURACY,
        "judge",
        [1.0, math.nan, 1.0, math.nan],
        [0.0, math.nan],
        [1.0, 0.0],
        shuffled=0.5,
    )
    assert (found.n, found.n_missing) == (5, 3)
    assert (found.n_active, found.n_easy, found.n_hard) == (2, 1, 2)
    assert found.value == pytest.approx((1 + 2 / 3) / 2)
    assert (found.easy, found.hard) == (1.0, 0.75)
    full = score("detection", BALANCED_ACCURACY, "judge", [1.0] * 4, [0.0] * 2, [1.0, 0.0])
    assert full.high is not None
    assert full.low is not None
    assert found.high is not None
    assert found.low is not None
    assert full.high - full.low < found.high - found.low


@pytest.mark.parametrize(
    ("active", "silent", "reason"),
    [
        ([math.nan] * 3, [0.0], "no judgement of any active window (3 of 5 judgements are"),
        ([1.0], [math.nan] * 2, "no judgement of any silent window (4 of 5 judgements are"),
    ],
)
def test_a_class_without_judgements_has_no_score(
    active: list[float], silent: list[float], reason: str
) -> None:
    found = score("detection", BALANCED_ACCURACY, "j", active, silent, [])
    assert found.value is found.low is found.high is found.easy is None
    missing = sum(math.isnan(x) for x in (*active, *silent))
    assert found.n_missing == missing
    assert found.reason is not None
    assert found.reason.startswith(reason.split(" (")[0])


def test_score_as_json() -> None:
    found = score("embedding", AUROC, "wordllama", [0.9, 0.8], [0.1], [0.85], 0.51)
    assert found.to_json() == {
        "name": "embedding",
        "value": 0.75,
        "floor": 0.5,
        "shuffled": 0.51,
        "low": pytest.approx(found.low, abs=1e-4),
        "high": pytest.approx(found.high, abs=1e-4),
        "n": 4,
        "n_missing": 0,
        "n_active": 2,
        "n_easy": 1,
        "n_hard": 1,
        "easy": 1.0,
        "hard": 0.5,
        "measure": "auroc",
        "judge": "wordllama",
        "reason": None,
        "auroc": None,
    }


def test_a_judge_that_leans_to_yes_is_told_from_one_that_knows_nothing() -> None:
    found = score("detection", BALANCED_ACCURACY, "j", [0.9, 0.8], [0.6], [0.7])
    assert (found.value, found.auroc) == (0.5, 1.0)
    words = score("detection", BALANCED_ACCURACY, "j", [1.0, 1.0], [1.0], [1.0])
    assert (words.value, words.auroc) == (0.5, None)


def test_mean_over_features() -> None:
    assert mean_interval([]) is None
    assert mean_interval([0.7]) == (0.7, 0.0, 1.0)
    found = mean_interval([0.4, 0.5, 0.6])
    assert found is not None
    assert found.value == pytest.approx(0.5)
    assert found.low == pytest.approx(0.5 - 4.303 * 0.1 / 3**0.5, abs=1e-3)
    assert auroc_value([1, 2], [1]) == 0.75


def test_few_features_that_are_all_alike_are_not_certain() -> None:
    assert mean_interval([0.9], [(0.7, 0.96)]) == (0.9, 0.7, 0.96)
    assert mean_interval([1.0, 1.0]) == (1.0, 0.0, 1.0)
    assert mean_interval([1.0] * 30) == pytest.approx((1.0, 0.9, 1.0))
    found = mean_interval([0.8] * 4, [(0.6, 1.0)] * 4)
    assert found is not None
    assert found.low == pytest.approx(0.8 - 3.182 * 0.4 / (2 * 1.96) / 2, abs=1e-3)
    wider = mean_interval([0.7, 0.9] * 2, [(0.6, 1.0)] * 4)
    assert wider is not None
    assert wider.low < found.low


@pytest.mark.parametrize(
    ("freedom", "known"),
    [(1, 12.706), (9, 2.262), (20, 2.086), (21, 2.0796), (30, 2.042), (60, 2.000), (120, 1.980)],
)
def test_student_t(freedom: int, known: float) -> None:
    assert t95(freedom) == pytest.approx(known, abs=6e-4)


@pytest.mark.parametrize("n", [2, 5, 20])
def test_interval_of_a_mean_covers_what_is_true(n: int) -> None:
    draws = np.random.default_rng(0).normal(0.6, 0.05, (2000, n))
    found = [mean_interval(row) for row in draws.tolist()]
    assert np.mean([e is not None and e.low <= 0.6 <= e.high for e in found]) >= 0.94
