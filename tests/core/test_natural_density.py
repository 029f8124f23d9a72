"""AUPRC, F1 and correlation at a feature's density, against scikit-learn and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from autointerp_core.labels.scoring.natural_density import Judged, at_density, f1_floor


def _judged(said: np.ndarray, seed: int = 0, strength: np.ndarray | None = None) -> Judged:
    document = np.random.default_rng(seed).integers(0, 50, len(said))
    return Judged(said.astype(np.float64), document, strength)


@pytest.mark.parametrize("density", [0.003, 0.05, 0.4])
def test_average_precision_is_scikit_learns(density: float) -> None:
    generator = np.random.default_rng(1)
    active = np.round(generator.normal(1.0, 1.0, 20), 1)
    silent = np.round(generator.normal(0.0, 1.0, 300), 1)
    strength = generator.random(20) + 0.5
    found = at_density(_judged(active, 1, strength), _judged(silent), density)
    assert found is not None
    truth = np.r_[np.ones(20), np.zeros(300)]
    weight = np.r_[np.full(20, density / 20), np.full(300, (1 - density) / 300)]
    said = np.r_[active, silent]
    expected = average_precision_score(truth, said, sample_weight=weight)
    assert found.auprc.value == pytest.approx(expected)
    assert found.auprc.low <= found.auprc.value <= found.auprc.high
    strengths = np.r_[strength / strength.max(), np.zeros(300)]
    covariance = np.cov(said, strengths, aweights=weight, ddof=0)
    r = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
    assert found.correlation.value == pytest.approx(r)


def test_who_always_says_the_same_is_at_the_floors() -> None:
    found = at_density(_judged(np.ones(20)), _judged(np.ones(200)), 0.02)
    assert found is not None
    assert found.auprc.value == pytest.approx(0.02)
    assert found.f1.value == pytest.approx(f1_floor(0.02))
    assert found.correlation.value == 0


def test_a_judges_own_border_and_perfect_answers() -> None:
    active, silent = np.r_[np.full(15, 0.9), np.full(5, 0.4)], np.r_[np.full(10, 0.6), np.zeros(90)]
    found = at_density(_judged(active), _judged(silent), 0.1, border=0.5)
    assert found is not None
    precision = 0.1 * 0.75 / (0.1 * 0.75 + 0.9 * 0.1)
    assert found.f1.value == pytest.approx(2 * precision * 0.75 / (precision + 0.75))
    perfect = at_density(_judged(np.ones(20)), _judged(np.zeros(100)), 0.01)
    assert perfect is not None
    assert perfect.auprc.value == perfect.f1.value == 1


def test_too_few_random_windows_give_nothing() -> None:
    assert at_density(_judged(np.ones(20)), _judged(np.zeros(10)), 0.1) is None
    assert at_density(_judged(np.ones(1)), _judged(np.zeros(100)), 0.1) is None
    missing = np.full(100, np.nan)
    assert at_density(_judged(np.ones(20)), _judged(missing), 0.1) is None


@pytest.mark.slow
def test_intervals_hold_what_they_should() -> None:
    """Of 60 draws, the true average precision is within the interval about as often as promised."""
    generator = np.random.default_rng(2)
    large = at_density(
        _judged(generator.normal(1.5, 1, 4000)), _judged(generator.normal(0, 1, 40000)), 0.05
    )
    assert large is not None
    inside = 0
    for _ in range(60):
        found = at_density(
            Judged(generator.normal(1.5, 1, 40), np.arange(40)),
            Judged(generator.normal(0, 1, 600), np.arange(600) // 2),
            0.05,
        )
        assert found is not None
        inside += found.auprc.low <= large.auprc.value <= found.auprc.high
    assert inside >= 50
