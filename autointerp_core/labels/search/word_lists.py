"""The few words that stand best for all the words a feature peaks on.

A feature that fires on many different words has no short exact description. Listing its
commonest ones says little of the rest; better are words in the middle of them, which may be
ones it was never seen to fire on ("countries" for a feature on England, Georgia, Russia). The
middle is the mean of static word vectors (wordllama's, offline) over the peaks, each word
weighing by how much more often it is peaked on than written. A beam search over words of the
same documents finds the short lists whose mean is nearest to it, and the list that best tells
windows around peaks from silent ones is taken.

Sees no documents but the ones the counts were made from. Without wordllama there are no such
lists, and labels fall back to counting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from autointerp_core.arrays import BoolArray, Float32Array, Float64Array, Int64Array
from autointerp_core.errors import MissingDependency
from autointerp_core.labels.auroc import auroc_columns
from autointerp_core.labels.embedders import Embedder, default_embedder
from autointerp_core.labels.search.corpus_counts import CorpusCounts

MOST_WORDS = 3
REACH = 12
"""Words before and after a peak that make its window."""
WINDOWS = 200
"""Windows around peaks that lists are compared on, and as many silent ones at most."""
BEAM = 8
LISTS = 64
"""Lists, nearest to the middle, that are compared on windows."""
PEAK_WORDS, NEAR_WORDS = 20, 40
"""Words a list is made of: the commonest peak words, and the nearest to their middle."""
SEEN = 3
"""Times a word must be written in the documents, unless the feature peaks on it."""
AWAY = 0.5
"""Of the corpus' mean word vector taken off the middle: what all text has in common."""
LIKENESS = 0.2
"""What a list's cosine with the middle counts beside its AUROC: fewer flukes."""
_SEED = 0x574F


@dataclass(frozen=True)
class WordList:
    """A list of words (keys), and how well it tells the feature's windows from silent ones."""

    keys: tuple[int, ...]
    auroc: float
    likeness: float


@dataclass(frozen=True)
class FeatureWindows:
    """Windows of one feature, as rows of words with a mask; ``active`` come first."""

    cells: Int64Array
    inside: BoolArray
    n_active: int


class WordLists:
    """Finds lists of words for the features of one study."""

    def __init__(self, counts: CorpusCounts, embedder: Embedder | None = None):
        self.counts, self.words = counts, counts.words
        self._embedder = embedder or default_embedder()

    @cached_property
    def vectors(self) -> Float32Array | None:
        """Unit vector of every key; None without wordllama."""
        try:
            return self._embedder.embed([key if key.strip() else "." for key in self.words.keys])
        except MissingDependency:
            return None

    @cached_property
    def _mean(self) -> Float32Array:
        assert self.vectors is not None
        share = (self.counts.key_count / self.counts.n).astype(np.float32)
        mean: Float32Array = share @ self.vectors[: len(share)]
        return mean

    @cached_property
    def _words(self) -> Int64Array:
        """Keys that a label may say: words seen often enough, of scripts with spaces."""
        keys = self.words.keys
        spoken = [key[0].isalpha() and (len(key) > 1 or not key.isascii()) for key in keys]
        often = self.counts.key_count[: len(keys)] >= SEEN
        bare = self.counts.bare[: len(keys)]
        return np.flatnonzero(np.asarray(spoken, dtype=np.bool_) & often & ~bare)

    @cached_property
    def _silent_pool(self) -> Int64Array:
        """Middles of windows from anywhere in the documents."""
        words = np.flatnonzero(self.counts.asked)
        generator = np.random.default_rng(_SEED)
        return generator.permutation(words)[: 4 * WINDOWS]

    def best(self, peaks: Int64Array, every: Int64Array, count: int = LISTS) -> list[WordList]:
        """The best lists of up to ``MOST_WORDS`` words, best first.

        Args:
            peaks: words of the feature's peaks, one a sequence, strongest first.
            every: all words it fires in, ascending.
        """
        vectors = self.vectors
        peaks = peaks[~self.counts.bare[self.words.key[peaks]]] if len(peaks) else peaks
        if vectors is None or len(peaks) < 3:
            return []
        found, times = np.unique(self.words.key[peaks], return_counts=True)
        spoken = np.asarray([self.words.keys[key][0].isalpha() for key in found], dtype=np.bool_)
        if times[spoken].sum() < 0.5 * times.sum():
            return []  # marks and numbers are described, not listed
        choice, middle = self._words_to_list(vectors, found, times, spoken)
        if middle is None or not len(choice):
            return []
        lists = self._beam(vectors[choice], middle)
        windows = self.windows(peaks, every)
        means = np.stack([vectors[choice[list(places)]].sum(0) for places in lists])
        means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
        auroc = self.auroc(means, windows)
        likeness = means @ middle
        order = np.argsort(-(auroc + LIKENESS * likeness), kind="stable")
        return [
            WordList(
                tuple(int(choice[place]) for place in lists[i]),
                float(auroc[i]),
                float(likeness[i]),
            )
            for i in order[:count].tolist()
        ]

    def choice(self, peaks: Int64Array) -> Int64Array:
        """Keys that a label of the feature may be made of; empty where it peaks on no words."""
        vectors = self.vectors
        peaks = peaks[~self.counts.bare[self.words.key[peaks]]] if len(peaks) else peaks
        if vectors is None or len(peaks) < 3:
            return np.zeros(0, dtype=np.int64)
        found, times = np.unique(self.words.key[peaks], return_counts=True)
        spoken = np.asarray([self.words.keys[key][0].isalpha() for key in found], dtype=np.bool_)
        if times[spoken].sum() < 0.5 * times.sum():
            return np.zeros(0, dtype=np.int64)
        return self._words_to_list(vectors, found, times, spoken)[0]

    def _words_to_list(
        self, vectors: Float32Array, found: Int64Array, times: Int64Array, spoken: BoolArray
    ) -> tuple[Int64Array, Float32Array | None]:
        """Keys to make lists of, and the unit vector in their middle."""
        middle = self._middle(vectors, found, times)
        if middle is None:
            return np.zeros(0, dtype=np.int64), None
        return self._choice(vectors, found[spoken], times[spoken], middle), middle

    def _middle(
        self, vectors: Float32Array, found: Int64Array, times: Int64Array
    ) -> Float32Array | None:
        """Unit vector in the middle of the peak words."""
        share = times / times.sum()
        usual = np.maximum(self.counts.key_count[found], 1) / self.counts.n
        weight = share * np.maximum(np.log(share / usual), 0.05)
        middle = (weight / weight.sum()).astype(np.float32) @ vectors[found] - AWAY * self._mean
        length = float(np.linalg.norm(middle))
        return middle / np.float32(length) if length > 1e-6 else None

    def _choice(
        self, vectors: Float32Array, found: Int64Array, times: Int64Array, middle: Float32Array
    ) -> Int64Array:
        """Keys to make lists of, in a settled order."""
        own = found[np.argsort(-times, kind="stable")][:PEAK_WORDS]
        near = self._words[np.argsort(-(vectors[self._words] @ middle), kind="stable")]
        return np.asarray(list(dict.fromkeys([*own.tolist(), *near[:NEAR_WORDS].tolist()])))

    def _beam(self, vectors: Float32Array, middle: Float32Array) -> list[tuple[int, ...]]:
        """Lists of rows of ``vectors`` whose sum points nearly where ``middle`` does."""
        seen: dict[frozenset[int], tuple[int, ...]] = {}
        reached: dict[frozenset[int], float] = {}
        states: list[tuple[float, tuple[int, ...], Float32Array]] = [
            (0.0, (), np.zeros_like(middle)),
        ]
        for _ in range(min(MOST_WORDS, len(vectors))):
            grown: list[tuple[float, tuple[int, ...], Float32Array]] = []
            for _, places, total in states:
                sums = total + vectors
                cosine = (sums @ middle) / np.maximum(np.linalg.norm(sums, axis=1), 1e-9)
                for place in np.argsort(-cosine, kind="stable")[:BEAM].tolist():
                    key = frozenset((*places, place))
                    if place in places or key in seen:
                        continue
                    seen[key] = (*places, place)
                    reached[key] = float(cosine[place])
                    grown.append((float(cosine[place]), seen[key], sums[place]))
            states = sorted(grown, key=lambda state: -state[0])[:BEAM]
        kept = sorted(seen.items(), key=lambda item: -reached[item[0]])[:LISTS]
        return [places for _, places in kept]

    def windows(self, peaks: Int64Array, every: Int64Array) -> FeatureWindows:
        """Windows around peaks (at even steps of strength) and silent ones, half of them near."""
        step = np.linspace(0, len(peaks) - 1, min(len(peaks), WINDOWS)).astype(np.int64)
        active = peaks[step]
        generator = np.random.default_rng([_SEED, len(peaks), int(peaks[0])])
        document = self.words.document[active]
        bounds = self.counts.document_bounds
        low, high = bounds[document], bounds[document + 1]
        beside = low + (generator.random(len(active)) * (high - low)).astype(np.int64)
        pool = self._silent_pool
        silent = [self._silent(some, every) for some in (pool, beside)]
        half = max(len(active) // 2, len(active) - len(silent[1]))
        centres = np.concatenate([active, silent[0][:half], silent[1][: len(active) - half]])
        cell = centres[:, None] + np.arange(-REACH, REACH + 1)
        document = self.words.document[centres]
        inside = (cell >= bounds[document][:, None]) & (cell < bounds[document + 1][:, None])
        return FeatureWindows(np.where(inside, cell, centres[:, None]), inside, len(active))

    def _silent(self, centres: Int64Array, every: Int64Array) -> Int64Array:
        """Centres whose window has no firing."""
        first = np.searchsorted(every, centres - REACH)
        silent: Int64Array = centres[first == np.searchsorted(every, centres + REACH, "right")]
        return silent

    def auroc(self, labels: Float32Array, windows: FeatureWindows) -> Float64Array:
        """AUROC of each label (unit rows) on windows: a window is as like it as its likest word."""
        vectors = self.vectors
        assert vectors is not None
        n, m = windows.n_active, len(windows.cells) - windows.n_active
        if not n or not m:
            return np.full(len(labels), 0.5)
        words, place = np.unique(self.words.key[windows.cells], return_inverse=True)
        like = (vectors[words] @ labels.T)[place.reshape(windows.cells.shape)].max(axis=1)
        return auroc_columns(like, n)

    def texts_auroc(self, texts: Sequence[str], windows: FeatureWindows) -> Float64Array:
        """AUROC of whole label texts."""
        return self.auroc(self._embedder.embed(list(texts)), windows)
