"""Features about a topic: ranked by the words they fire on, and by the meaning of label and words.

Three rankings, put together:

* *by word*: the cosine between a feature's activations and the places where the query's words stand
  in the documents: high for a feature that fires strongly there and little elsewhere. In a study of
  very many firings, between its peaks and those places.
* *by meaning*: how alike the query is to the feature's label and to the words at its peaks, by the
  offline embedder. "war" finds features of "battle" and "troops".
* *by context*: how alike it is to what is being talked of where the feature fires
  (:mod:`~autointerp_core.explore.contexts`); it counts twice.

Of several studies all features are ranked together (:mod:`~autointerp_core.explore.by_meaning`).

Nothing here needs a model or torch; a query over 2,048 features takes a few milliseconds, over
131,072 about a tenth of a second. The first query about a study takes some seconds.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import regex
from numpy.typing import NDArray

from autointerp_core.arrays import Float32Array, Float64Array
from autointerp_core.explore.contexts import context_vectors
from autointerp_core.labels.embedders import Embedder, KnownTexts, default_embedder, unquoted
from autointerp_core.store.feature_shards import Pass
from autointerp_core.store.study import Study

_LEAST_COSINE = 0.03
"""Below it a feature is not ranked by word."""
_MOST_FIRINGS = 30_000_000
"""Studies of more are searched by their peaks alone."""
_RANK_SOFTENING = 8.0
"""Reciprocal rank fusion: a first place by one ranking counts as much as two ninth places."""
_CONTEXT_WEIGHT = 2.0
_WORD = regex.compile(r"[\p{L}\p{M}\p{N}]{2,}")
_LABEL_PIECE = re.compile(r"[,;()]")


@dataclass(frozen=True)
class Likeness:
    """How much each of some features has to do with a query; arrays ``[F]`` of cosines."""

    on_words: Float64Array
    """Of a feature's activations with the places of the query's words."""
    meaning: Float64Array
    """Of the query with the feature's likest words or label."""
    context: Float64Array
    """Of the query with what is talked of where it fires."""

    def score(self) -> Float64Array:
        """The three rankings put together; only comparable within one query."""
        found: Float64Array = (
            _reciprocal(np.where(self.on_words >= _LEAST_COSINE, self.on_words, 0.0))
            + _reciprocal(self.meaning)
            + _CONTEXT_WEIGHT * _reciprocal(self.context)
        )
        return found


@dataclass(frozen=True)
class TopicRanking:
    """Features about a query, best first, with their :class:`Likeness` and score."""

    features: NDArray[np.int64]
    score: Float64Array
    on_words: Float64Array
    likeness: Float64Array
    context: Float64Array


class TopicSearch:
    """Ranks the features of one study; made once, safe to share between threads."""

    def __init__(self, study: Study, embedder: Embedder | None = None) -> None:
        self._study = study
        self._known = KnownTexts(embedder or default_embedder())
        self._lock = threading.Lock()
        self._lengths: dict[str, Float64Array] = {}
        self._words: tuple[Float32Array, NDArray[np.int64], NDArray[np.int64]] | None = None
        self._contexts: Float32Array | None = None

    def rank(
        self,
        query: str,
        features: NDArray[np.int64],
        labels: Sequence[str | None],
        limit: int = 50,
    ) -> TopicRanking:
        """The features most about ``query``.

        Args:
            query: a word, or a few.
            features: sorted indices, all of the study's.
            labels: the label of each feature, or None.
            limit: how many to give at most.
        """
        found = self.likeness(query, features, labels)
        score = found.score()
        best = np.argsort(-score, kind="stable")[:limit]
        best = best[score[best] > 0]
        return TopicRanking(
            features[best],
            score[best],
            found.on_words[best],
            found.meaning[best],
            found.context[best],
        )

    def likeness(
        self, query: str, features: NDArray[np.int64], labels: Sequence[str | None]
    ) -> Likeness:
        """How much each feature has to do with ``query``; arguments as of :meth:`rank`."""
        on_words = self._on_words(query, features)
        with self._lock:
            meaning = self._meaning(query, features, labels)
            if self._contexts is None:
                self._contexts = context_vectors(self._study, features, self._known.embedder)
            asked = self._known.vectors([query.strip()])[0]
            known = self._contexts.shape[1] == len(asked)
            near = self._contexts @ asked if known else np.zeros(len(features), np.float32)
        return Likeness(on_words, meaning, near.astype(np.float64))

    def places(self, query: str) -> NDArray[np.int64]:
        """Tokens that hold a word of the query, or the beginning of a longer one; ascending."""
        return np.flatnonzero(self._occurrences(query))

    def _on_words(self, query: str, features: NDArray[np.int64]) -> Float64Array:
        """Cosine of each feature's activations with the places of the query's words."""
        hit = self._occurrences(query)
        on, squares = np.zeros(len(features)), np.zeros(len(features))
        for found in self._study.passes:
            if self._small:
                row = np.searchsorted(features, found.features)
                on[row] = found.weighted_sums(hit)
                squares[row] = self._squares(found)
            else:
                peaks = found.peaks
                row = np.searchsorted(features, np.repeat(found.features, np.diff(peaks["indptr"])))
                strength = peaks["activation"].astype(np.float64)
                np.add.at(squares, row, strength**2)
                np.add.at(on, row, strength * hit[peaks["token"]])
        length = np.sqrt(squares * max(float(hit.sum()), 1.0))
        cosine: Float64Array = np.divide(on, length, out=np.zeros_like(on), where=length > 0)
        return cosine

    @cached_property
    def _small(self) -> bool:
        return sum(int(found.counts().sum()) for found in self._study.passes) <= _MOST_FIRINGS

    def _squares(self, found: Pass) -> Float64Array:
        """Sum of the squared activations of each row of a pass."""
        if found.folder.name not in self._lengths:
            self._lengths[found.folder.name] = found.squared_sums()
        return self._lengths[found.folder.name]

    def _occurrences(self, query: str) -> Float32Array:
        """1 where a token holds a word of the query, or the beginning of a longer one; else 0."""
        tokens = self._study.tokens
        hit = np.zeros(tokens.n_tokens, dtype=np.float32)
        for word in _WORD.findall(query):
            spellings = {word, word.lower(), word.upper(), word.title()}
            raw = b"|".join(re.escape(one.encode()) for one in sorted(spellings))
            for match in re.finditer(rb"(?<![A-Za-z0-9])(?:" + raw + rb")", tokens.text.data):
                first, last = np.searchsorted(
                    tokens.ends, [match.start(), match.end() - 1], "right"
                )
                hit[first : last + 1] = 1.0
        return hit

    def _meaning(
        self, query: str, features: NDArray[np.int64], labels: Sequence[str | None]
    ) -> Float64Array:
        """Cosine of the query with what is likest in each feature: its peak words, or its label."""
        asked = self._known.vectors([query.strip()])[0]
        vectors, row, word = self._peak_words(features)
        by_word = vectors @ asked if len(vectors) else np.zeros(0, dtype=np.float32)
        best, total, count = (np.zeros(len(features)) for _ in range(3))
        np.maximum.at(best, row, by_word[word])
        np.add.at(total, row, by_word[word])
        np.add.at(count, row, 1)
        mean = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
        owners, pieces = [], []
        for at, label in enumerate(labels):
            if label:
                parts = [
                    part.strip() for part in _LABEL_PIECE.split(unquoted(label)) if part.strip()
                ]
                owners += [at] * len(parts)
                pieces += parts
        if pieces:
            alike = self._known.vectors(pieces) @ asked
            in_label = np.zeros(len(features))
            np.maximum.at(in_label, np.asarray(owners), alike)
            best = np.maximum(best, in_label)
        # One odd word that is alike says less than several.
        together: Float64Array = 0.6 * best + 0.4 * mean
        return together

    def _peak_words(
        self, features: NDArray[np.int64]
    ) -> tuple[Float32Array, NDArray[np.int64], NDArray[np.int64]]:
        """Vectors of the distinct peak words, and for every (feature, word): row and word."""
        if self._words is None:
            place: dict[str, int] = {}
            rows, words = [], []
            table = self._study.table
            at = np.searchsorted(features, table["feature"].to_numpy())
            for row, tokens in zip(at.tolist(), table["top_tokens"], strict=True):
                found = (_WORD.search(token) for token in tokens)
                for text in dict.fromkeys(m.group().lower() for m in found if m is not None):
                    rows.append(row)
                    words.append(place.setdefault(text, len(place)))
            vectors = self._known.embedder.embed(list(place))
            self._words = vectors, np.asarray(rows, np.int64), np.asarray(words, np.int64)
        return self._words


def _reciprocal(values: Float64Array) -> Float64Array:
    """``1 / (softening + rank)`` of values above 0, best first; 0 for the others."""
    order = np.argsort(-values, kind="stable")
    rank = np.empty(len(values))
    rank[order] = np.arange(len(values))
    found: Float64Array = np.where(values > 0, 1.0 / (_RANK_SOFTENING + rank), 0.0)
    return found
