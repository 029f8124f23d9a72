"""What every feature does in every document of a corpus, a block of features at a time.

Only documents in which a feature fires are kept, so that 131,072 features over thousands of
documents fit. Positions that do not count (special tokens, attention sinks) are left out. Of a
signed SAE strength is the absolute activation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from autointerp_core.arrays import BoolArray, Float32Array, Float64Array, Int64Array
from autointerp_core.store.study import Example, Study

FIRINGS_AT_ONCE = 4_000_000
"""So many firings are in memory at a time: about 200 MB with what is made of them."""


@dataclass(frozen=True)
class Evidence:
    """Features by documents; the documents of feature ``i`` are ``indptr[i]:indptr[i + 1]``."""

    features: Int64Array
    """``[F]``, ascending."""
    indptr: Int64Array
    """``[F + 1]``."""
    document: Int64Array
    """``[nnz]``, ascending within a feature: where it fires on a counted token."""
    peak: Float64Array
    """``[nnz]``: the strongest activation there."""
    total: Float64Array
    """``[nnz]``: the sum of activations there."""
    count: Int64Array
    """``[nnz]``: the tokens it fires on there."""

    @property
    def row(self) -> Int64Array:
        """``[nnz]``: which feature, by its place in ``features``."""
        return np.repeat(np.arange(len(self.features)), np.diff(self.indptr))


class Corpus(Protocol):
    """Documents and what features do in them."""

    @property
    def name(self) -> str:
        """What a person calls it."""

    @property
    def features(self) -> Int64Array:
        """Indices of the features that are known, ascending."""

    @property
    def n_documents(self) -> int: ...

    def lengths(self, cut: int | None) -> Int64Array:
        """Counted tokens of each document ``[D]``, among its first ``cut`` tokens."""

    def firings(self) -> Int64Array:
        """Firings of each of ``features``, about: how much there is to read."""

    def evidence(self, features: Int64Array, cut: int | None) -> Evidence:
        """What these features (ascending, all known) do in the first ``cut`` tokens of each."""

    def text(self, document: int) -> str:
        """A document's text."""

    def examples(self, feature: int, documents: Int64Array, limit: int) -> list[Example]:
        """Windows around the strongest token of each document, strongest first."""


def blocks(firings: Int64Array, at_once: int = FIRINGS_AT_ONCE) -> Iterator[slice]:
    """Runs of features that hold about ``at_once`` firings each, at least one feature."""
    start, held = 0, 0
    for place, count in enumerate(firings.tolist()):
        if held and held + count > at_once:
            yield slice(start, place)
            start, held = place, 0
        held += count
    if start < len(firings):
        yield slice(start, len(firings))


def gather(
    features: Int64Array,
    row: Int64Array,
    document: Int64Array,
    activation: NDArray[np.floating],
) -> Evidence:
    """Evidence from firings, in any order: the place in ``features`` and the document of each."""
    key = row * (int(document.max(initial=0)) + 1) + document
    if len(key) and (key[1:] < key[:-1]).any():
        order = np.argsort(key, kind="stable")
        row, document, activation = row[order], document[order], activation[order]
    strength = np.abs(activation).astype(np.float64)
    new = np.ones(len(row), dtype=bool)
    new[1:] = (row[1:] != row[:-1]) | (document[1:] != document[:-1])
    first = np.flatnonzero(new)
    indptr = np.searchsorted(row[first], np.arange(len(features) + 1)).astype(np.int64)
    if not len(first):
        none, nothing = np.zeros(0, dtype=np.int64), np.zeros(0)
        return Evidence(features, indptr, none, nothing, nothing, none)
    return Evidence(
        features=features,
        indptr=indptr,
        document=document[first],
        peak=np.maximum.reduceat(strength, first),
        total=np.add.reduceat(strength, first),
        count=np.diff(np.append(first, len(row))).astype(np.int64),
    )


class StudyCorpus:
    """The documents of a study; what its features do in them is read from its firings."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.name = study.info.dataset_name

    @cached_property
    def features(self) -> Int64Array:
        return self.study.features.astype(np.int64)

    @property
    def n_documents(self) -> int:
        return len(self.study.tokens.documents) - 1

    @cached_property
    def _document(self) -> NDArray[np.int32]:
        """Document of every token."""
        tokens = self.study.tokens
        if not tokens.packed:
            lengths = np.diff(tokens.sequences)
            return np.repeat(tokens.owners, lengths).astype(np.int32)
        step = 1_000_000
        parts = [
            tokens.document_of(np.arange(low, min(low + step, tokens.n_tokens)))
            for low in range(0, tokens.n_tokens, step)
        ]
        return np.concatenate(parts).astype(np.int32)

    @cached_property
    def _begin(self) -> Int64Array:
        """First token of each document (its tokens follow each other)."""
        return np.searchsorted(self._document, np.arange(self.n_documents)).astype(np.int64)

    def _used(self, token: Int64Array, cut: int | None) -> BoolArray:
        used: BoolArray = self.study.tokens.counted[token] > 0
        if cut is not None:
            used &= token - self._begin[self._document[token]] < cut
        return used

    def lengths(self, cut: int | None) -> Int64Array:
        used = self._used(np.arange(self.study.tokens.n_tokens), cut)
        return np.bincount(self._document[used], minlength=self.n_documents).astype(np.int64)

    def firings(self) -> Int64Array:
        total = np.zeros(len(self.features), dtype=np.int64)
        for found in self.study.passes:
            total[np.searchsorted(self.features, found.features)] = found.counts()
        return total

    def evidence(self, features: Int64Array, cut: int | None) -> Evidence:
        rows, documents, values = [], [], []
        for found in self.study.passes:
            here = found.rows(features)
            known = here >= 0
            if not known.any():
                continue
            first, last = int(here[known].min()), int(here[known].max()) + 1
            place = np.full(last - first, -1, dtype=np.int64)
            place[here[known] - first] = np.flatnonzero(known)
            row, token, activation = found.firings(first, last)
            at = place[row - first]
            keep = (at >= 0) & self._used(token, cut)
            rows.append(at[keep])
            documents.append(self._document[token[keep]].astype(np.int64))
            values.append(activation[keep])
        if not rows:
            none = np.zeros(0, dtype=np.int64)
            return gather(features, none, none, np.zeros(0, dtype=np.float32))
        return gather(
            features, np.concatenate(rows), np.concatenate(documents), np.concatenate(values)
        )

    def text(self, document: int) -> str:
        return self.study.tokens.document_text(document)

    def examples(self, feature: int, documents: Int64Array, limit: int) -> list[Example]:
        _, token, activation = self.study.firings(feature)
        keep = self._used(token, None) & np.isin(self._document[token], documents)
        token = token[keep]
        strength: Float32Array = np.abs(activation[keep])
        order = np.lexsort((token, -strength))
        _, first = np.unique(self._document[token[order]], return_index=True)
        best = order[np.sort(first)][:limit]
        return self.study.windows_at(feature, token[best])
