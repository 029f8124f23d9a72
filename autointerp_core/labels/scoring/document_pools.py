"""The documents of each part of a study, as choosing windows from them needs them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from autointerp_core.arrays import BoolArray, Float32Array, Int64Array
from autointerp_core.labels.document_split import PARTS, Split
from autointerp_core.store.study import AFTER, BEFORE, Study

BACKGROUND = 1000
"""Random windows of a part, the same for every feature: what text is like."""
_PLACES = 50_000
"""Windows in which firings are looked for, to know how seldom they are."""
_POOL_TOKENS = 4_000_000
"""Silent windows are looked for in so many tokens of a part: plenty, at a bounded cost."""


@dataclass(frozen=True)
class Pool:
    """The documents of a part that silent windows come from, in a random order."""

    documents: Int64Array
    inside: BoolArray
    """Of every document of the study: is it in the part?"""
    by_id: Int64Array
    """Token indices of the pool, ordered by token id, then by index."""
    ids: NDArray[np.uint32]
    """Token ids of ``by_id``, ascending."""


@dataclass(frozen=True)
class Background:
    """Random windows of a part, for all features; all arrays ``[n]``."""

    token: Int64Array
    """The middle of each."""
    start: Int64Array
    stop: Int64Array
    document: Int64Array
    texts: tuple[str, ...]
    places: tuple[Int64Array, Int64Array]
    """First and one-past-last token of many more windows, whose texts are not read."""

    def fires(self, fired: Int64Array) -> BoolArray:
        """In which of the windows a feature fires, by its firings (ascending)."""
        return _touched(fired, self.start, self.stop)

    def density(self, fired: Int64Array) -> float:
        """Share of windows in which it fires; at least what one more window would make."""
        start, stop = self.places
        return max(float(_touched(fired, start, stop).mean()), 1 / (len(start) + 1))


class DocumentPools:
    """Look-ups in a study and its split; ``seed`` orders the documents of the pools."""

    def __init__(self, study: Study, split: Split, seed: int = 0):
        self.study, self.tokens, self._split, self._seed = study, study.tokens, split, seed
        self._pool_of: dict[str, Pool] = {}
        self._background_of: dict[str, Background] = {}
        self.peaks_of = lru_cache(maxsize=512)(self._read_peaks)
        """The counted peaks of a feature, strongest first; neighbours are asked for often."""
        # Windows may be a few tokens wider than asked for, so as to end between characters.
        width = BEFORE + AFTER + 8
        random = np.random.default_rng(0).integers(1, 2**63, width, dtype=np.uint64)
        self._multipliers = random * np.uint64(2) + np.uint64(1)

    def pool(self, part: str) -> Pool:
        """The pool of a part; made once."""
        if part not in self._pool_of:
            tokens = self.tokens
            inside = np.zeros(len(tokens.documents) - 1, dtype=np.bool_)
            documents = self._split.documents(part)
            inside[documents] = True
            generator = np.random.default_rng([self._seed, 0x504F, PARTS.index(part)])
            documents = generator.permutation(documents)
            low, high = self.edges(documents)
            kept = np.searchsorted(np.cumsum(high - low), _POOL_TOKENS) + 1
            documents, low, high = (x[:kept] for x in (documents, low, high))
            full = high > low
            index = _ranges(low[full], high[full])
            by_id = index[np.lexsort((index, tokens.ids[index]))]
            self._pool_of[part] = Pool(documents[full], inside, by_id, tokens.ids[by_id])
        return self._pool_of[part]

    def background(self, part: str) -> Background:
        """The random windows of a part; made once."""
        if part not in self._background_of:
            index = self.pool(part).by_id
            index = index[np.asarray(self.tokens.counted[index]) > 0]
            generator = np.random.default_rng([self._seed, 0x4247, PARTS.index(part)])
            places = np.sort(generator.permutation(index)[:_PLACES])
            token = np.sort(generator.permutation(places)[:BACKGROUND])
            start, stop = self.window(token)
            sequence = self.tokens.sequence_of(token)
            rows = zip(sequence.tolist(), start.tolist(), stop.tolist(), strict=True)
            texts = [self.text(*row) for row in rows]
            kept = np.asarray([bool(text) for text in texts], dtype=np.bool_)
            self._background_of[part] = Background(
                token[kept],
                start[kept],
                stop[kept],
                self.owner(token)[kept],
                tuple(text for text in texts if text),
                self.window(places),
            )
        return self._background_of[part]

    def firings(self, feature: int) -> tuple[Int64Array, Float32Array]:
        """Token index and activation of every firing, masked ones included, in token order.

        Raises:
            BadInput: the feature is not in the study.
        """
        _, token, activation = self.study.firings(feature)
        return token, activation

    def _read_peaks(self, feature: int) -> Int64Array:
        return self.peaks(*self.firings(feature))

    def peaks(self, fired: Int64Array, activation: Float32Array) -> Int64Array:
        """The counted peak of every sequence, strongest first; of equals the earlier one."""
        counted = self.tokens.counted[fired] > 0
        token = fired[counted]
        return token[self.tokens.sequence_peaks(token, activation[counted])]

    def edges(self, documents: Int64Array) -> tuple[Int64Array, Int64Array]:
        """First and one-past-last token of each document."""
        return self.tokens.document_edges(documents)

    def owner(self, token: Int64Array) -> Int64Array:
        """Document of each token."""
        return self.tokens.document_of(token)

    def window(self, token: Int64Array) -> tuple[Int64Array, Int64Array]:
        """First and one-past-last token of the window around each token."""
        return self.tokens.windows(token, BEFORE, AFTER)

    def shapes(self, token: Int64Array) -> Int64Array:
        """Tokens before, and from each token on, in its window: ``[len(token), 2]``."""
        start, stop = self.window(token)
        return np.stack([token - start, stop - token], axis=1)

    def silent(self, token: Int64Array, fired: Int64Array) -> Int64Array:
        """Those of the tokens, if counted, whose whole window is free of firings."""
        token = token[np.asarray(self.tokens.counted[token]) > 0]
        start, stop = self.window(token)
        silent: Int64Array = token[np.searchsorted(fired, start) == np.searchsorted(fired, stop)]
        return silent

    def read_alike(self, token: Int64Array, seen: Int64Array) -> BoolArray:
        """Which windows around ``token`` have the token ids of a window around ``seen``."""
        ids = self.tokens.ids
        alike = seen[np.isin(ids[seen], np.unique(ids[token]))]
        if not len(alike) or not len(token):
            return np.zeros(len(token), dtype=np.bool_)
        known = self._fingerprints(*self.window(alike))
        return np.isin(self._fingerprints(*self.window(token)), known)

    def text(self, sequence: int, start: int, stop: int) -> str:
        """The text of the tokens ``[start, stop)`` of a sequence, with single spaces."""
        tokens = self.tokens
        opens = start == int(tokens.sequences[sequence])
        begin = int(tokens.starts[sequence] if opens else tokens.ends[start - 1])
        raw = tokens.text[begin : int(tokens.ends[stop - 1])].tobytes()
        return " ".join(raw.decode("utf-8", "replace").split())

    def _fingerprints(self, start: Int64Array, stop: Int64Array) -> NDArray[np.uint64]:
        """A 64-bit hash of the token ids of each window (none empty)."""
        length = stop - start
        cell = _ranges(start, stop)
        offset = np.cumsum(length) - length
        place = cell - np.repeat(start, length)
        # Ids from 1 on: token id 0 must not vanish at the end of a window.
        term = (self.tokens.ids[cell].astype(np.uint64) + 1) * self._multipliers[place]
        return np.add.reduceat(term, offset)


def _touched(fired: Int64Array, start: Int64Array, stop: Int64Array) -> BoolArray:
    """Which of the windows hold a firing."""
    touched: BoolArray = np.searchsorted(fired, start) != np.searchsorted(fired, stop)
    return touched


def _ranges(start: Int64Array, stop: Int64Array) -> Int64Array:
    """All integers of the ranges ``[start, stop)``, end to end."""
    length = stop - start
    offset = np.cumsum(length) - length
    inside: Int64Array = np.arange(length.sum()) - np.repeat(offset, length)
    return inside + np.repeat(start, length)
