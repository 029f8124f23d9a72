"""Which features of one SAE fire more on the documents of one study than on another's.

Intervals take documents as the units (a corpus is a sample of documents, not of tokens);
significance is corrected for the number of features tried (Benjamini and Hochberg, 1995).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autointerp_core.arrays import Float64Array
from autointerp_core.explore.compare.document_counts import DocumentCounts, document_counts
from autointerp_core.store.study import Study

LEAST_DOCUMENTS = 5
"""Documents of both studies in which a feature must fire to be tested."""
CONFIDENCE = 0.95


@dataclass(frozen=True)
class DensityShift:
    """Of each feature that both studies hold, ``[F]``; B against A."""

    features: NDArray[np.int64]
    density_a: Float64Array
    density_b: Float64Array
    documents_a: NDArray[np.int64]
    documents_b: NDArray[np.int64]
    """Documents in which it fires."""
    log2_ratio: Float64Array
    """How many times denser in B, as a power of two; a side without a firing counts as half a
    one, NaN where neither has any."""
    low: Float64Array
    high: Float64Array
    """95 % interval of ``log2_ratio``."""
    p: Float64Array
    """That the densities differ by chance; NaN where it fires in too few documents to say."""
    q: Float64Array
    """``p`` corrected for the number of features tested."""

    @property
    def sure(self) -> Float64Array:
        """The end of the interval nearest 0, and 0 where 0 lies in it: what is certain of it."""
        known = np.isfinite(self.log2_ratio)
        low, high = np.where(known, self.low, -1.0), np.where(known, self.high, 1.0)
        found: Float64Array = np.where(low > 0, low, np.where(high < 0, high, 0.0))
        return found

    def order(self) -> NDArray[np.int64]:
        """Rows, the most certain shifts first; then by p."""
        p = np.where(np.isnan(self.p), 2.0, self.p)
        tested = np.where(np.isnan(self.p), 0.0, np.abs(self.sure))
        return np.lexsort((self.features, p, -tested))

    def rows(self, order: NDArray[np.int64]) -> list[dict[str, Any]]:
        """These rows as JSON values; what is not known is None."""
        unsure = {"log2_ratio": self.log2_ratio, "low": self.low, "high": self.high}
        unsure |= {"p": self.p, "q": self.q}
        return [
            {
                "feature": int(self.features[at]),
                "density_a": float(self.density_a[at]),
                "density_b": float(self.density_b[at]),
                "documents_a": int(self.documents_a[at]),
                "documents_b": int(self.documents_b[at]),
                **{
                    name: None if np.isnan(values[at]) else float(values[at])
                    for name, values in unsure.items()
                },
            }
            for at in order.tolist()
        ]


def density_shift(a: Study, b: Study) -> DensityShift:
    """Compare two studies of one SAE, feature by feature."""
    return shift_of(document_counts(a), document_counts(b))


def shift_of(a: DocumentCounts, b: DocumentCounts) -> DensityShift:
    """Compare the document counts of two studies."""
    from scipy.stats import t as student

    features = np.intersect1d(a.features, b.features)
    sides = []
    for side in (a, b):
        at = np.searchsorted(side.features, features)
        fired, documents = side.fired[at], side.documents[at]
        # Nothing seen is not nothing there: half a firing, and no knowing it better than that.
        density = np.where(fired > 0, fired, 0.5) / max(side.tokens, 1.0)
        variance = np.where(fired > 0, side.variance[at], density**2)
        sides.append((fired, documents, density, variance))
    (fired_a, docs_a, p_a, v_a), (fired_b, docs_b, p_b, v_b) = sides
    seen = (fired_a > 0) | (fired_b > 0)
    # Few documents make a poor variance: degrees of freedom are of those it fires in.
    with np.errstate(divide="ignore", invalid="ignore"):
        share_a, share_b = v_a / p_a**2, v_b / p_b**2
        spread = np.sqrt(share_a + share_b)
        # "Half a firing" is not estimated from documents: it takes no degree of freedom.
        units = (np.where(fired_a > 0, docs_a, np.inf), np.where(fired_b > 0, docs_b, np.inf))
        freedom = _freedom(share_a, share_b, *units)
        ratio = np.where(seen, np.log2(p_b / p_a), np.nan)
        reach = student.ppf((1 + CONFIDENCE) / 2, freedom) * spread / np.log(2)
        true_a, true_b = np.where(fired_a > 0, p_a, 0.0), np.where(fired_b > 0, p_b, 0.0)
        error = np.sqrt(np.where(fired_a > 0, v_a, 0.0) + np.where(fired_b > 0, v_b, 0.0))
        score = np.abs(true_a - true_b) / error
        p = 2 * student.sf(
            score, _freedom(v_a * (fired_a > 0), v_b * (fired_b > 0), docs_a, docs_b)
        )
    tested = seen & (docs_a + docs_b >= LEAST_DOCUMENTS) & (error > 0)
    p = np.where(tested, p, np.nan)
    return DensityShift(
        features,
        true_a,
        true_b,
        docs_a.astype(np.int64),
        docs_b.astype(np.int64),
        ratio,
        ratio - reach,
        ratio + reach,
        p,
        false_discovery(p),
    )


def _freedom(
    v_a: Float64Array, v_b: Float64Array, n_a: Float64Array, n_b: Float64Array
) -> Float64Array:
    """Welch and Satterthwaite's degrees of freedom, of variances on so many documents."""
    below = v_a**2 / np.maximum(n_a - 1, 1) + v_b**2 / np.maximum(n_b - 1, 1)
    found: Float64Array = np.where(below > 0, (v_a + v_b) ** 2 / np.where(below > 0, below, 1), 1.0)
    return np.maximum(found, 1.0)


def false_discovery(p: Float64Array) -> Float64Array:
    """Benjamini and Hochberg's q of p-values; NaN stays, and counts for nothing."""
    q = np.full(len(p), np.nan)
    known = np.flatnonzero(~np.isnan(p))
    if not len(known):
        return q
    order = known[np.argsort(p[known], kind="stable")]
    raised = p[order] * len(order) / np.arange(1, len(order) + 1)
    q[order] = np.minimum(np.minimum.accumulate(raised[::-1])[::-1], 1.0)
    return q
