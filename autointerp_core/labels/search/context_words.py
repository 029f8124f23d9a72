"""Words that mark the text around a feature's peaks.

Windows around the strongest peaks are compared with the same documents' other text and
with the whole corpus: a word that a document uses everywhere, or that everybody uses,
marks nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autointerp_core.arrays import Float64Array, Int64Array
from autointerp_core.labels.search import ordering
from autointerp_core.labels.search.corpus_counts import CorpusCounts, Firings
from autointerp_core.labels.search.descriptions import Describer
from autointerp_core.labels.search.ordering import Table

WINDOWS = 80
BEFORE, AFTER = 20, 10
"""Words around a peak that count as its context; the model has read only those before it."""
COMMONEST = 0.003
"""Share of all words; a word used more often than that belongs to the language, not to a topic."""
NEARBY = 400
"""Words around a peak from which "the same document's other text" is taken."""


class ContextWords:
    """Finds the context words of a feature."""

    def __init__(self, counts: CorpusCounts, describer: Describer):
        self.counts = counts
        self.words = counts.words
        self.describer = describer
        self._table = Table(counts.size)

    def find(self, fired: Firings, skip: Sequence[int]) -> tuple[list[int], list[float]]:
        """Keys that mark the windows around the peaks, best first, and their window shares."""
        order = self._spread(fired)
        peaks, strength = fired.word[order], fired.activation[order] / fired.activation.max()
        document = self.words.document[peaks]
        low, high = self.counts.document_bounds[document], self.counts.document_bounds[document + 1]
        offset = np.arange(-BEFORE, AFTER + 1)
        cell = peaks[:, None] + offset[None, :]
        inside = (cell >= low[:, None]) & (cell < high[:, None])
        cells = cell[inside]
        window = np.broadcast_to(np.arange(len(peaks))[:, None], cell.shape)[inside]
        # What the model read just before the peak says more than what stands far off.
        near = np.where(offset <= 0, np.exp(offset / 12.0), 0.7 * np.exp(-offset / 6.0))
        near = np.broadcast_to(near[None, :], cell.shape)[inside]
        key = self.words.key[cells]
        distinct, place = self._table.distinct(key)
        pair = place * len(peaks) + window
        nearest = np.zeros(len(distinct) * len(peaks))
        np.maximum.at(nearest, pair, near)
        found = np.flatnonzero(nearest)
        closeness = nearest[found]
        group, windows = found // len(peaks), found % len(peaks)
        weight = strength[windows]
        total = strength.sum()
        share = np.bincount(group, weight) / (total + 1.0)
        drawn = np.bincount(group, weight * closeness) / (total + 1.0)
        support = np.bincount(group)
        documents = np.unique(document)
        n_documents = len(self.counts.document_bounds)
        of_document = ordering.distinct(group * n_documents + document[windows])
        from_documents = np.bincount(of_document // n_documents, minlength=len(distinct))
        rate = self._background(peaks, low, high, cells, distinct)
        expected = -np.expm1(-len(cells) / len(peaks) * rate)
        lift = np.log(np.maximum(share / np.maximum(expected, 1e-9), 1e-9))
        enough = (support >= (3 if len(peaks) >= 10 else 2)) & (
            from_documents >= min(2, len(documents))
        )
        enough &= (share >= 0.1) & (lift > 1.1)
        enough &= ~np.isin(distinct, np.asarray(list(skip), dtype=np.int64))
        value = np.where(enough, np.sqrt(share * drawn) * lift, -1.0)
        chosen: list[int] = []
        shares: list[float] = []
        best = float(value.max())
        for i in np.lexsort((distinct, -value)).tolist():
            k = int(distinct[i])
            if value[i] <= max(0.0, best * 0.35) or len(chosen) == 5:
                break
            if not self._speaks(k) or self.describer.variant(k, [*chosen, *skip]):
                continue
            chosen.append(k)
            shares.append(float(share[i]))
        return chosen, shares

    def _spread(self, fired: Firings) -> Int64Array:
        """The strongest peaks, at most four of one document while there are others."""
        order = np.argsort(-fired.activation, kind="stable")
        document = self.words.document[fired.word[order]]
        by_document = np.argsort(document, kind="stable")
        sorted_documents = document[by_document]
        rank = np.empty(len(order), dtype=np.int64)
        rank[by_document] = np.arange(len(order)) - np.searchsorted(
            sorted_documents, sorted_documents
        )
        return order[np.argsort(rank // 4, kind="stable")][:WINDOWS]

    def _background(
        self,
        peaks: Int64Array,
        low: Int64Array,
        high: Int64Array,
        cells: Int64Array,
        keys: Int64Array,
    ) -> Float64Array:
        """Rate of keys outside the windows: near by in the same documents, and everywhere."""
        first = np.maximum(peaks - NEARBY, low)
        last = np.minimum(peaks + NEARBY, high)
        # The stretches overlap where peaks share a document; each word counts once.
        order = np.argsort(first, kind="stable")
        first, last = first[order], np.maximum.accumulate(last[order])
        first = np.maximum(first, np.concatenate([[0], last[:-1]]))
        length = np.maximum(last - first, 0)
        start = np.cumsum(length) - length
        area = np.arange(length.sum()) - np.repeat(start, length) + np.repeat(first, length)
        size = self.counts.size
        around = np.bincount(self.words.key[area], minlength=size)[keys]
        inside = self.words.key[ordering.distinct(cells)]
        around = around - np.bincount(inside, minlength=size)[keys]
        local = np.maximum(around, 0) / max(len(area), 1)
        return 0.5 * local + 0.5 * self.counts.rate[keys] + 0.25 / max(len(self.words), 1)

    def _speaks(self, key: int) -> bool:
        """Words describe a context; marks, line breaks, and words that stand everywhere do not."""
        text = self.words.keys[key]
        if self.counts.rate[key] > COMMONEST:
            return False
        return text[0].isalpha() and (len(text) > 1 or not text.isascii())
