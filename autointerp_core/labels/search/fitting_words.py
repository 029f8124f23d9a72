"""The words that are most like where a feature fires, by the embedder that scores labels and
wordllama together.

A word of several documents may be in a label, as long as it is near the middle of the words that
the feature peaks on (names that one document is full of are flukes). Lists are grown word by word:
the words that alone tell the feature's text best from silent text, then pairs of these, then
triples. A list's vector is taken to be the mean of its words' until the last step, in which the
best lists are embedded as the texts they would be.

How well words tell it is the mean of four AUROCs: of whole windows around peaks, and of the peak
words alone, against windows anywhere and beside the peaks, with each document counting once. The
peak words alone are the steadier half: what else stands in a window is mostly chance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from autointerp_core.arrays import Float32Array, Float64Array, Int64Array
from autointerp_core.labels.embedders import KnownTexts, unit_rows, unquoted
from autointerp_core.labels.embedders.likeness import label_vectors
from autointerp_core.labels.search.corpus_counts import CorpusCounts
from autointerp_core.labels.search.last_made import LastMade
from autointerp_core.labels.search.word_lists import REACH, Choice

NEAR = 200
"""Words of the documents, nearest to the middle, that a label may be made of."""
SINGLES, PAIRS, LISTS = 8, 6, 10
"""Words grown from, pairs grown from, and lists that are embedded as texts."""
PRIOR = 0.3
"""What a cosine with the middle of the peak words counts beside the AUROC: fewer flukes."""
GROWN_BY = 30
"""Best words that lists are grown by."""
ACTIVE, ANYWHERE, BESIDE = 200, 400, 250
"""Windows around peaks, silent ones from anywhere, and silent ones of the same documents."""
FEWEST = 20
"""Windows beside the peaks that are worth a comparison of their own."""
DOCUMENTS = 4
"""Documents that a word must stand in, of a corpus of 150 or more."""
_SEED = 0x4657


class FittingWords:
    """Finds and compares labels of the features of one study by likeness to where they fire.

    Args:
        counts: the words of the study's texts.
        vocabulary: keys that a label may say.
        known: embeds, each distinct word once.
    """

    def __init__(self, counts: CorpusCounts, vocabulary: Int64Array, known: KnownTexts):
        self._counts, self._words, self._known = counts, counts.words, known
        asked = np.flatnonzero(counts.asked)
        self._vocabulary = vocabulary[self._documents(asked)[vocabulary] >= self._least()]
        self._anywhere = np.random.default_rng(_SEED).permutation(asked)[: 2 * ANYWHERE]
        self._looks = LastMade(self._made)

    def _documents(self, asked: Int64Array) -> Int64Array:
        """In how many documents each key stands."""
        count = len(self._counts.document_bounds)
        pairs = np.unique(self._words.key[asked] * count + self._words.document[asked])
        return np.bincount(pairs // count, minlength=self._counts.size)

    def _least(self) -> int:
        read = len(np.unique(self._words.document[self._counts.asked]))
        return min(DOCUMENTS, 1 + read // 50)

    def lists(
        self, choice: Choice, every: Int64Array, text_of: Callable[[Sequence[int]], str]
    ) -> list[tuple[str, float]]:
        """The best lists of one to three words, as texts with what they are worth; best first.

        Args:
            choice: the feature's peaks, and words that a list may have wherever they stand.
            every: all words the feature fires in, ascending.
            text_of: how a list of words (keys) is written.
        """
        look = self._look(choice.peaks, every)
        if look.empty:
            return []
        keys = self._candidates(choice, look.middle)
        vectors, plain = self._labels(keys), self._vectors(keys)
        alone = look.value(vectors) + PRIOR * (plain @ look.middle)
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
            rows = np.asarray(tried)
            central = unit_rows(plain[rows].mean(axis=1)) @ look.middle
            value = look.value(vectors[rows].mean(axis=1)) + PRIOR * central
            found |= dict(zip(tried, value.tolist(), strict=True))
            grown = sorted(tried, key=lambda group: -found[group])[:kept]
        ordered = sorted(found, key=lambda group: -found[group])[:LISTS]
        texts = [
            text_of([int(keys[i]) for i in sorted(group, key=lambda i: -alone[i])])
            for group in ordered
        ]
        value = self._values(look, texts)
        return sorted(zip(texts, value.tolist(), strict=True), key=lambda entry: -entry[1])

    def values(self, texts: Sequence[str], peaks: Int64Array, every: Int64Array) -> list[float]:
        """What whole label texts are compared by: AUROC, and how central they are."""
        look = self._look(peaks, every)
        return [0.5] * len(texts) if look.empty else self._values(look, texts).tolist()

    def auroc(self, texts: Sequence[str], peaks: Int64Array, every: Int64Array) -> list[float]:
        """AUROC of whole label texts."""
        look = self._look(peaks, every)
        return [0.5] * len(texts) if look.empty else look.auroc(self._text_vectors(texts)).tolist()

    def _values(self, look: _Look, texts: Sequence[str]) -> Float64Array:
        central = self._known.vectors([unquoted(text) for text in texts]) @ look.middle
        value: Float64Array = look.value(self._text_vectors(texts)) + PRIOR * central
        return value

    def _text_vectors(self, texts: Sequence[str]) -> Float32Array:
        return label_vectors([unquoted(text) for text in texts], self._known)

    def _candidates(self, choice: Choice, middle: Float32Array) -> Int64Array:
        """Keys that lists are made of: those of ``choice``, and the nearest words there are."""
        near = np.argsort(-(self._vectors(self._vocabulary) @ middle), kind="stable")[:NEAR]
        return np.asarray(
            list(dict.fromkeys([*choice.keys.tolist(), *self._vocabulary[near].tolist()]))
        )

    def _look(self, peaks: Int64Array, every: Int64Array) -> _Look:
        """What labels of a feature are compared on; that of the last one is kept."""
        return self._looks.of(peaks, every)

    def _made(self, peaks: Int64Array, every: Int64Array) -> _Look:
        step = np.linspace(0, len(peaks) - 1, min(len(peaks), ACTIVE)).astype(np.int64)
        active = peaks[step]
        bounds, document = self._counts.document_bounds, self._words.document[active]
        low, size = bounds[document], bounds[document + 1] - bounds[document]
        generator = np.random.default_rng([_SEED, len(peaks), int(peaks[0])])
        turns = -(-BESIDE // max(len(active), 1))
        beside = np.concatenate(
            [low + (generator.random(len(active)) * size).astype(np.int64) for _ in range(turns)]
        )
        anywhere = _silent(self._anywhere, every)[:ANYWHERE]
        beside = _silent(beside, every)[:BESIDE]
        centres = np.concatenate([active, anywhere, beside])
        cell = centres[:, None] + np.arange(-REACH, REACH + 1)
        document = self._words.document[centres]
        inside = (cell >= bounds[document][:, None]) & (cell < bounds[document + 1][:, None])
        cells = self._words.key[np.where(inside, cell, centres[:, None])]
        keys, place = np.unique(cells, return_inverse=True)
        _, turn, times = np.unique(
            self._words.document[active], return_inverse=True, return_counts=True
        )
        weight = 1 / times[turn]
        return _Look(
            self._vectors(keys),
            place.reshape(cells.shape),
            weight / weight.sum(),
            len(anywhere),
            self._middle(peaks),
        )

    def _middle(self, peaks: Int64Array) -> Float32Array:
        """Unit vector in the middle of the words it peaks on, each by how much more often it is
        peaked on than written."""
        found, times = np.unique(self._words.key[peaks], return_counts=True)
        share = times / times.sum()
        usual = np.maximum(self._counts.key_count[found], 1) / self._counts.n
        weight = share * np.maximum(np.log(share / usual), 0.05)
        mean = (weight / weight.sum()).astype(np.float32) @ self._labels(found)
        middle: Float32Array = unit_rows(mean[None])[0]
        return middle

    def _vectors(self, keys: Int64Array) -> Float32Array:
        return self._known.vectors([self._words.keys[key].strip() or "." for key in keys])

    def _labels(self, keys: Int64Array) -> Float32Array:
        """Vectors of words as labels: less what is usual."""
        usual = self._known.usual
        vectors = self._vectors(keys)
        return vectors if usual is None else vectors - usual


class _Look:
    """Windows of one feature, those around its peaks first, and the vectors of their words.

    ``place`` ``[windows, words]`` says which vector each word has, ``weight`` what each window
    around a peak counts; ``anywhere`` of the others are from anywhere, the rest beside the peaks.
    """

    def __init__(
        self,
        vectors: Float32Array,
        place: Int64Array,
        weight: Float64Array,
        anywhere: int,
        middle: Float32Array,
    ):
        self.middle = middle
        self._vectors, self._place, self._weight = vectors, place, weight
        n, total = len(weight), len(place)
        parts = [slice(n, n + anywhere), slice(n + anywhere, total)]
        self._silent = [part for part in parts if part.stop - part.start >= FEWEST] or [
            slice(n, total)
        ]
        self.empty = not n or total == n

    def value(self, labels: Float32Array) -> Float64Array:
        """How well each label's vector ``[labels, d]`` tells windows, and peak words alone."""
        windows, peaks = self._like(labels)
        silent = windows[:, len(self._weight) :]
        both: Float64Array = (
            self._auroc(windows[:, : len(self._weight)], silent) + self._auroc(peaks, silent)
        ) / 2
        return both

    def auroc(self, labels: Float32Array) -> Float64Array:
        """How well each label's vector tells windows."""
        windows, _ = self._like(labels)
        return self._auroc(windows[:, : len(self._weight)], windows[:, len(self._weight) :])

    def _like(self, labels: Float32Array) -> tuple[Float32Array, Float32Array]:
        """``[labels, windows]``: a window is as like a label as its likest word; and the same of
        the peak words alone."""
        like = self._vectors @ labels.T
        likest = like[self._place[:, 0]]
        for column in self._place.T[1:]:
            np.maximum(likest, like[column], out=likest)
        peaks = like[self._place[: len(self._weight), REACH]]
        return np.ascontiguousarray(likest.T), np.ascontiguousarray(peaks.T)

    def _auroc(self, active: Float32Array, silent: Float32Array) -> Float64Array:
        """Mean over the kinds of silent windows of the weighed AUROC, of each row."""
        n = len(self._weight)
        total = np.zeros(len(active))
        for part in self._silent:
            others = np.sort(silent[:, part.start - n : part.stop - n], axis=1)
            for row, (said, known) in enumerate(zip(active, others, strict=True)):
                below = np.searchsorted(known, said) + np.searchsorted(known, said, "right")
                total[row] += below @ self._weight / (2 * len(known))
        found: Float64Array = total / len(self._silent)
        return found


def _silent(centres: Int64Array, every: Int64Array) -> Int64Array:
    """Centres whose window has no firing."""
    first = np.searchsorted(every, centres - REACH)
    silent: Int64Array = centres[first == np.searchsorted(every, centres + REACH, "right")]
    return silent
