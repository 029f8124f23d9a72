"""The statistics of find-features, against scipy and against counting every case by hand."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from autointerp_core.arrays import BoolArray, Float64Array
from autointerp_core.find.evidence import Evidence, blocks, gather
from autointerp_core.find.rank_test import _log_uniform_tail, permutation_p
from autointerp_core.find.statistics import COUNT, MAX, MEAN, Columns, Ranked


def evidence(values: Float64Array) -> Evidence:
    """Evidence of ``[features, documents]``: one firing a document that is above zero."""
    row, document = np.nonzero(values)
    return gather(np.arange(len(values)), row, document, values[row, document])


def measured(values: Float64Array, positive: BoolArray, value: str = MAX) -> Columns:
    lengths = np.full(values.shape[1], 50)
    return Ranked.of(evidence(values), lengths, value).measure(positive)


def case(seed: int, documents: int, features: int = 30) -> tuple[Float64Array, BoolArray]:
    """Values of which many are zero and some tie, and which documents are positive."""
    rng = np.random.default_rng(seed)
    fires = rng.random((features, documents)) < rng.random((features, 1))
    values = np.round(rng.gamma(2.0, 1.0, (features, documents)), 1 + seed % 2) * fires
    positive = np.zeros(documents, dtype=bool)
    size = int(rng.integers(1, documents))
    positive[rng.choice(documents, size, replace=False)] = True
    return values, positive


@given(st.integers(0, 10_000), st.integers(2, 60))
@settings(max_examples=60, deadline=None)
def test_auroc_means_and_fisher_are_the_plain_ones(seed: int, documents: int) -> None:
    values, positive = case(seed, documents)
    found = measured(values, positive)
    high, low = values[:, positive], values[:, ~positive]
    for at in range(len(values)):
        pairs = np.sign(high[at][:, None] - low[at][None, :])
        assert found.auroc[at] == pytest.approx((pairs.mean() + 1) / 2)
    assert found.difference == pytest.approx(high.mean(1) - low.mean(1))
    spread = sum(
        each.var(1, ddof=1) if each.shape[1] > 1 else np.zeros(len(each)) for each in (high, low)
    )
    plain = np.divide(
        (high.mean(1) - low.mean(1)) ** 2, spread, out=np.full(len(values), np.nan),
        where=spread > 1e-9,
    )  # fmt: skip
    there = np.isfinite(plain)
    assert found.fisher[there] == pytest.approx(plain[there], rel=1e-6)
    assert (found.fires_positive == (high > 0).sum(1)).all()


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_auroc_is_scipys_statistic_and_large_groups_have_its_p(seed: int) -> None:
    rng = np.random.default_rng(seed)
    positive = np.arange(300) < 120
    values = rng.gamma(2.0, 1.0, (8, 300)) * (rng.random((8, 300)) < 0.7)
    values[:4, positive] *= 1.2
    values = values.astype(np.float32)  # as activations are kept: else ties differ
    found = measured(values, positive)
    theirs = stats.mannwhitneyu(
        values[:, positive], values[:, ~positive], axis=1, alternative="greater"
    )
    assert found.auroc == pytest.approx(theirs.statistic / (120 * 180))
    # Both are approximations; near the middle they hardly differ.
    ours = np.exp(found.log_p)
    close = (theirs.pvalue > 1e-4) & (theirs.pvalue < 0.3)
    assert np.abs(np.log(ours[close] / theirs.pvalue[close])).max(initial=0) < 0.15


@given(st.integers(0, 10_000), st.integers(2, 10))
@settings(max_examples=40, deadline=None)
def test_few_documents_are_counted_out(seed: int, documents: int) -> None:
    values, positive = case(seed, documents, features=10)
    found = measured(values, positive)
    m = int(positive.sum())
    ranks = stats.rankdata(values, axis=1)
    sums = np.array([ranks[:, list(c)].sum(1) for c in combinations(range(documents), m)])
    exact = (sums >= ranks[:, positive].sum(1) - 1e-9).mean(0)
    assert permutation_p(m, ranks.T, positive) == pytest.approx(exact)
    small = exact < 0.2
    assert np.exp(found.log_p[small]) == pytest.approx(exact[small])


@pytest.mark.parametrize(("m", "n"), [(5, 200), (20, 500), (60, 90)])
@pytest.mark.slow
def test_p_values_are_kept_at_every_frequency(m: int, n: int) -> None:
    """By lot, no more of them are below a level than the level, rare features included."""
    rng = np.random.default_rng(1)
    fires = np.unique(np.geomspace(1, m + n, 24).astype(int))
    values = np.zeros((len(fires), m + n))
    for row, count in enumerate(fires):
        values[row, rng.choice(m + n, count, replace=False)] = rng.random(count) + 0.1
    ranked = Ranked.of(evidence(values), np.full(m + n, 50), MAX)
    draws = 250
    below = np.zeros((3, len(fires)))
    levels = np.log([0.05, 0.01, 0.002])
    for _ in range(draws):
        positive = np.zeros(m + n, dtype=bool)
        positive[rng.choice(m + n, m, replace=False)] = True
        below += ranked.log_p(positive)[1] <= levels[:, None] + 1e-12
    shares = below.mean(1) / draws
    # Three standard errors above the level, all features together.
    for share, level in zip(shares, np.exp(levels), strict=True):
        assert share <= level + 3 * np.sqrt(level / (draws * len(fires)))
    assert shares[0] >= 0.02  # nor is everything called nothing


def test_three_firings_are_no_proof() -> None:
    """Where ties are corrected and the rest taken for normal, this comes out at 1e-18."""
    values = np.zeros((1, 1000))
    values[0, :3] = (1.0, 2.0, 3.0)
    found = measured(values, np.arange(1000) < 20)
    exact = float(stats.hypergeom(1000, 3, 20).pmf(3))
    assert np.exp(found.log_p[0]) == pytest.approx(exact, rel=0.05)
    assert found.evidence[0] == pytest.approx(stats.norm.isf(exact), rel=0.01)


def test_uniform_sums_are_scipys() -> None:
    for k in (1, 2, 7, 20):
        s = np.linspace(0, k, 23)
        theirs = stats.irwinhall(k).sf(s)
        assert np.exp(_log_uniform_tail(k, s)) == pytest.approx(theirs, rel=1e-5, abs=1e-12)


def test_density_ratio_and_its_interval() -> None:
    lengths = np.array([10, 20, 30, 40])
    row = np.zeros(10, dtype=np.int64)
    document = np.array([0, 0, 0, 1, 1, 1, 1, 2, 3, 3])
    found = gather(np.array([0]), row, document, np.ones(10, dtype=np.float32))
    positive = np.array([True, True, False, False])
    seen = Ranked.of(found, lengths, COUNT).measure(positive)
    assert seen.density_positive[0] == pytest.approx(7 / 30)
    assert seen.density_negative[0] == pytest.approx(3 / 70)
    assert seen.ratio[0] == pytest.approx((7.5 / 30) / (3.5 / 70))
    # At least the spread of single firings: exp(1.96 √(1/7.5 + 1/3.5)).
    factor = np.exp(1.96 * np.sqrt(1 / 7.5 + 1 / 3.5))
    assert seen.ratio_high[0] / seen.ratio[0] >= factor * 0.999
    assert seen.ratio_low[0] * seen.ratio_high[0] == pytest.approx(seen.ratio[0] ** 2)
    means = Ranked.of(found, lengths, MEAN).measure(positive)
    assert means.mean_positive[0] == pytest.approx((3 / 10 + 4 / 20) / 2)


def test_evidence_comes_from_firings_in_any_order() -> None:
    rng = np.random.default_rng(3)
    row, document = rng.integers(0, 5, 300), rng.integers(0, 9, 300)
    activation = rng.normal(size=300).astype(np.float32)
    found = gather(np.arange(5), row, document, activation)
    assert len(found.document) == len({*zip(row.tolist(), document.tolist(), strict=True)})
    for feature in range(5):
        for at in range(found.indptr[feature], found.indptr[feature + 1]):
            here = np.abs(activation[(row == feature) & (document == found.document[at])])
            assert found.count[at] == len(here)
            assert found.peak[at] == pytest.approx(here.max())
            assert found.total[at] == pytest.approx(here.sum(), rel=1e-5)


def test_blocks_cover_every_feature_once() -> None:
    firings = np.array([0, 5, 9, 1, 0, 30, 2, 0])
    parts = [firings[part] for part in blocks(firings, at_once=10)]
    assert np.concatenate(parts).tolist() == firings.tolist()
    assert max(len(part) for part in parts if part.sum() > 10) == 1
