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
from autointerp_core.labels.search.last_made import LastMade
from autointerp_core.labels.search.ordering import Table, first_of_order

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
class Choice:
    """The words (keys) that lists of a feature are made of.

    ``middle`` is the unit vector in the middle of its peak words; ``peaks`` are its peaks without
    those on characters of scripts written without spaces.
    """

    keys: Int64Array
    middle: Float32Array
    peaks: Int64Array


@dataclass(frozen=True)
class FeatureWindows:
    """Windows of one feature, as rows of words with a mask; ``active`` come first."""

    cells: Int64Array
    inside: BoolArray
    n_active: int
    words: Int64Array
    """Keys of the words in them, ascending."""
    place: Int64Array
    """Where among ``words`` that of each cell is; ``[windows, width]``."""


class WordLists:
    """Finds lists of words for the features of one study."""

    def __init__(self, counts: CorpusCounts, embedder: Embedder | None = None):
        self.counts, self.words = counts, counts.words
        self._embedder = embedder or default_embedder()
        self._table = Table(counts.size)
        self._made = LastMade(self._windows)
        self._seen: tuple[FeatureWindows, Float32Array] | None = None

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
    def _alpha(self) -> BoolArray:
        """Whether each key begins with a letter."""
        return np.asarray([key[0].isalpha() for key in self.words.keys], dtype=np.bool_)

    @cached_property
    def _word_vectors(self) -> Float32Array:
        assert self.vectors is not None
        return self.vectors[self.vocabulary]

    @cached_property
    def vocabulary(self) -> Int64Array:
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

    def best(self, choice: Choice, every: Int64Array) -> list[WordList]:
        """The best lists of up to ``MOST_WORDS`` words, best first; ``LISTS`` at most.

        Args:
            choice: what they are made of.
            every: all words it fires in, ascending.
        """
        assert self.vectors is not None
        vectors, middle = self.vectors[choice.keys], choice.middle
        lists = self._beam(vectors, middle)
        windows = self.windows(choice.peaks, every)
        means = _sums(vectors, lists)
        means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
        auroc = self.auroc(means, windows)
        likeness = means @ middle
        order = np.argsort(-(auroc + LIKENESS * likeness), kind="stable")
        return [
            WordList(
                tuple(int(choice.keys[place]) for place in lists[i]),
                float(auroc[i]),
                float(likeness[i]),
            )
            for i in order.tolist()
        ]

    def choice(self, peaks: Int64Array) -> Choice | None:
        """What lists of the feature may be made of; None where it peaks on no words.

        Args:
            peaks: words of the feature's peaks, one a sequence, strongest first.
        """
        vectors = self.vectors
        peaks = peaks[~self.counts.bare[self.words.key[peaks]]] if len(peaks) else peaks
        if vectors is None or len(peaks) < 3:
            return None
        found, times = np.unique(self.words.key[peaks], return_counts=True)
        spoken = self._alpha[found]
        if times[spoken].sum() < 0.5 * times.sum():
            return None  # marks and numbers are described, not listed
        middle = self._middle(vectors, found, times)
        if middle is None:
            return None
        keys = self._choice(found[spoken], times[spoken], middle)
        return Choice(keys, middle, peaks) if len(keys) else None

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

    def _choice(self, found: Int64Array, times: Int64Array, middle: Float32Array) -> Int64Array:
        """Keys to make lists of, in a settled order."""
        own = found[np.argsort(-times, kind="stable")][:PEAK_WORDS]
        near = self.vocabulary[first_of_order(-(self._word_vectors @ middle), NEAR_WORDS)]
        return np.asarray(list(dict.fromkeys([*own.tolist(), *near.tolist()])))

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
        """Windows around peaks (at even steps of strength) and silent ones, half of them near.

        Those made last are kept: a feature's are asked for more than once.
        """
        return self._made.of(peaks, every)

    def _windows(self, peaks: Int64Array, every: Int64Array) -> FeatureWindows:
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
        cells = np.where(inside, cell, centres[:, None])
        words, place = self._table.distinct(self.words.key[cells])
        return FeatureWindows(cells, inside, len(active), words, place.reshape(cells.shape))

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
        like = self._vectors_of(windows, vectors) @ labels.T
        likest = like[windows.place[:, 0]]
        here = np.empty_like(likest)
        for column in windows.place.T[1:]:
            np.take(like, column, axis=0, out=here, mode="clip")  # "raise" would copy
            np.maximum(likest, here, out=likest)
        return auroc_columns(likest, n)

    def _vectors_of(self, windows: FeatureWindows, vectors: Float32Array) -> Float32Array:
        """Vectors of the windows' words; those of the windows seen last are kept."""
        if self._seen is None or self._seen[0] is not windows:
            self._seen = (windows, vectors.take(windows.words, axis=0))
        return self._seen[1]

    def texts_auroc(self, texts: Sequence[str], windows: FeatureWindows) -> Float64Array:
        """AUROC of whole label texts."""
        return self.auroc(self._embedder.embed(list(texts)), windows)


def _sums(vectors: Float32Array, lists: Sequence[tuple[int, ...]]) -> Float32Array:
    """Sum of the rows of each list: ``[lists, d]``."""
    sums = np.empty((len(lists), vectors.shape[1]), dtype=np.float32)
    size = np.asarray([len(places) for places in lists])
    for count in set(size.tolist()):
        rows = np.flatnonzero(size == count)
        sums[rows] = vectors[np.asarray([lists[row] for row in rows.tolist()])].sum(axis=1)
    return sums
