"""The words whose text is most like where a feature fires, by the embedder that scores labels.

Lists are grown word by word: the words that alone tell the feature's windows best from silent ones
(AUROC over windows of the documents a labeller may see), then pairs of these, then triples. A
list's vector is taken to be the mean of its words' until the last step, in which the best lists are
embedded as the texts they would be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from autointerp_core.arrays import Float32Array, Float64Array, Int64Array
from autointerp_core.labels.auroc import auroc_columns
from autointerp_core.labels.embedders import KnownTexts, unit_rows, unquoted
from autointerp_core.labels.embedders.likeness import label_vectors, likest
from autointerp_core.labels.search.corpus_words import CorpusWords
from autointerp_core.labels.search.word_lists import FeatureWindows

SINGLES, PAIRS, LISTS = 8, 6, 10
"""Words grown from, pairs grown from, and lists that are embedded as texts."""
PRIOR = 0.8
"""What a cosine with the middle of the peak words counts beside an AUROC: fewer flukes. On 160 of
the demo's features, on validate documents and by MiniLM, median AUROC of the whole label 0.658,
0.668 and 0.670 with 0.1, 0.3 and 0.8; 0.649 for words chosen by wordllama, 0.635 for the commonest
peak words."""
GROWN_BY = 20
"""Best words that lists are grown by."""
MOST_WINDOWS = 120
"""Windows of each kind that are looked at."""


class FittingWords:
    """Finds and compares labels of the features of one study by likeness to their windows.

    Args:
        words: the words of the study's texts.
        known: embeds, each distinct word once.
    """

    def __init__(self, words: CorpusWords, known: KnownTexts):
        self._words, self._known = words, known

    def lists(
        self,
        choice: Int64Array,
        windows: FeatureWindows,
        peaks: Int64Array,
        text_of: Callable[[list[int]], str],
    ) -> list[tuple[str, float]]:
        """The best lists of one to three of the words (keys), as texts with what they are worth.

        Best first. ``text_of`` says how a list is written; ``peaks`` are the feature's peak words.
        """
        look = _Look(self._words, self._known, windows)
        if look.empty or not len(choice):
            return []
        written = [self._words.keys[key] for key in choice]
        vectors = label_vectors(written, self._known)
        plain = self._known.vectors(written)
        middle = self._middle(peaks)
        alone = look.auroc(vectors) + PRIOR * (plain @ middle)
        best = np.argsort(-alone, kind="stable")[:GROWN_BY].tolist()
        found: dict[tuple[int, ...], float] = {(i,): float(alone[i]) for i in best}
        grown = [(i,) for i in best[:SINGLES]]
        for kept in (PAIRS, 0):
            tried = list(
                dict.fromkeys(
                    tuple(sorted((*group, i))) for group in grown for i in best if i not in group
                )
            )
            if not tried:
                break
            means = np.stack([vectors[list(group)].mean(axis=0) for group in tried])
            central = unit_rows(np.stack([plain[list(group)].mean(axis=0) for group in tried]))
            value = look.auroc(means) + PRIOR * (central @ middle)
            found |= dict(zip(tried, value.tolist(), strict=True))
            grown = sorted(tried, key=lambda group: -found[group])[:kept]
        ordered = sorted(found, key=lambda group: -found[group])[:LISTS]
        texts = [
            text_of([int(choice[i]) for i in sorted(group, key=lambda i: -alone[i])])
            for group in ordered
        ]
        value = self._auroc(look, texts) + PRIOR * (self._known.vectors(texts) @ middle)
        return sorted(zip(texts, value.tolist(), strict=True), key=lambda entry: -entry[1])

    def _middle(self, peaks: Int64Array) -> Float32Array:
        """Unit vector in the middle of the words it peaks on, each by how often."""
        found, times = np.unique(self._words.key[peaks], return_counts=True)
        vectors = self._known.vectors([self._words.keys[key].strip() or "." for key in found])
        usual = self._known.usual
        mean = (times / times.sum()).astype(np.float32) @ vectors
        middle: Float32Array = unit_rows((mean if usual is None else mean - usual)[None])[0]
        return middle

    def values(
        self, texts: Sequence[str], windows: FeatureWindows, peaks: Int64Array
    ) -> list[float]:
        """What whole label texts are compared by: AUROC, and how central they are."""
        look = _Look(self._words, self._known, windows)
        if look.empty:
            return [0.5] * len(texts)
        central = self._known.vectors([unquoted(text) for text in texts]) @ self._middle(peaks)
        found: list[float] = (self._auroc(look, texts) + PRIOR * central).tolist()
        return found

    def auroc(self, texts: Sequence[str], windows: FeatureWindows) -> list[float]:
        """AUROC of whole label texts."""
        look = _Look(self._words, self._known, windows)
        return [0.5] * len(texts) if look.empty else self._auroc(look, texts).tolist()

    def _auroc(self, look: _Look, texts: Sequence[str]) -> Float64Array:
        return look.auroc(label_vectors([unquoted(text) for text in texts], self._known))


class _Look:
    """The windows of one feature, their words embedded."""

    def __init__(self, words: CorpusWords, known: KnownTexts, windows: FeatureWindows):
        n = windows.n_active
        # One window a document, as scores have it: what one document is about is no meaning.
        document = words.document[windows.cells[:, windows.cells.shape[1] // 2]]
        active = np.sort(np.unique(document[:n], return_index=True)[1])
        silent = n + np.sort(np.unique(document[n:], return_index=True)[1])
        active, silent = _spread(active), _spread(silent)
        rows = np.concatenate([active, silent])
        self._n = len(active)
        self.empty = not len(active) or not len(silent)
        keys = np.where(windows.inside[rows], words.key[windows.cells[rows]], -1)
        used, place = np.unique(keys, return_inverse=True)
        self._place = place.reshape(keys.shape)
        self._missing = used < 0
        texts = [words.keys[key] if words.keys[key].strip() else "." for key in used[used >= 0]]
        found = known.vectors(texts)
        self._vectors: Float32Array = np.zeros((len(used), found.shape[1]), dtype=np.float32)
        self._vectors[used >= 0] = found
        self._weights = np.asarray(known.embedder.weights)

    def auroc(self, labels: Float32Array) -> Float64Array:
        """Of each label's vector ``[labels, d]``."""
        like = labels @ self._vectors.T
        like[:, self._missing] = -np.inf
        said = np.stack([likest(one[self._place], self._weights) for one in like], axis=1)
        return auroc_columns(said, self._n)


def _spread(rows: Int64Array) -> Int64Array:
    """At most ``MOST_WINDOWS`` of the rows, at even steps."""
    count = min(len(rows), MOST_WINDOWS)
    return rows[(2 * np.arange(count) + 1) * len(rows) // max(2 * count, 1)]
