"""What features fire near: a vector a feature, from the words around the peaks of its examples.

A label says in a few words what a feature is about, its peak words say what it fires on; the words
around them say what is being talked of. Each of these counts the more the nearer it stands to the
peak and the fewer features have it near them (inverse document frequency), and the sum of their
vectors is the feature's. An embedder made for passages is given a few tokens around each peak
instead, and the mean is taken.

On 19 features described in other words (none of those that are measured on) the right one was among
the first ten for 8 by label and peak words, for 12 by contexts alone; on the 20 topics of
``benchmarks/topics.json`` for 15 and 17.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from autointerp_core.arrays import Float32Array, Float64Array, Int64Array
from autointerp_core.errors import DiskFull, OutputError
from autointerp_core.labels.embedders import WORDLLAMA, Embedder, KnownTexts, unit_rows
from autointerp_core.labels.search.corpus_words import CorpusWords
from autointerp_core.store.feature_shards import Pass
from autointerp_core.store.files import write_bytes
from autointerp_core.store.study import AFTER, BEFORE, Study

_MOST_TOKENS = 20_000_000
"""Words of longer studies take too long to find; their features have no contexts."""
_CELLS = 16_000_000
"""Tokens around peaks looked at in all: of very many features fewer examples each."""
_NEAR = 6.0
"""Tokens from the peak at which a word counts half."""
_LEAST_LETTERS = 2
_PASSAGES, _PASSAGE = 6, 5
"""Peaks of a feature, and tokens on either side of one, given to an embedder of passages."""


def context_vectors(study: Study, features: Int64Array, embedder: Embedder) -> Float32Array:
    """Unit vectors ``[len(features), d]``; zeros for a feature without examples.

    Kept in the study's folder, where it may be written, as long as its features are the same.

    Args:
        features: ascending, all of the study's.
    """
    # A model may be named by a long path.
    digest = hashlib.sha256(embedder.name.encode()).hexdigest()[:12]
    path = study.folder / "meaning" / f"{digest}.safetensors"
    known = _read(path, features)
    if known is not None:
        return known
    by_words = embedder.name == WORDLLAMA
    vectors = (_by_words if by_words else _by_passages)(study, features, embedder)
    with suppress(OutputError, DiskFull):  # made again next time, in a few seconds
        write_bytes(path, save({"features": features, "vectors": vectors.astype(np.float16)}))
    return vectors


def _read(path: Path, features: Int64Array) -> Float32Array | None:
    """Vectors kept for just these features; None where there are none, or not readable ones."""
    try:
        with safe_open(path, framework="np") as handle:
            if not np.array_equal(handle.get_tensor("features"), features):
                return None
            return unit_rows(handle.get_tensor("vectors").astype(np.float32))
    except (OSError, SafetensorError):
        return None


def _by_words(study: Study, features: Int64Array, embedder: Embedder) -> Float32Array:
    from scipy.sparse import csr_array  # here, as it takes long to import

    nothing = np.zeros((len(features), 1), dtype=np.float32)
    if study.tokens.n_tokens > _MOST_TOKENS:
        return nothing
    words = CorpusWords(study.tokens)
    spoken = np.array([sum(map(str.isalnum, key)) >= _LEAST_LETTERS for key in words.keys])
    if not spoken.any():
        return nothing
    row, key, weight = _around_peaks(study, features, words)
    keep = spoken[key]
    shape = (len(features), len(words.keys))
    near = csr_array((weight[keep], (row[keep], key[keep])), shape=shape)
    near.sum_duplicates()
    having = np.bincount(near.indices, minlength=shape[1])
    rare = np.log(max(len(features), 2) / np.maximum(having, 1))
    near.data *= rare[near.indices]
    used = np.flatnonzero(having)
    vectors = np.zeros((shape[1], 1), dtype=np.float32)
    if len(used):
        found = embedder.embed([words.keys[at] for at in used.tolist()])
        vectors = np.zeros((shape[1], found.shape[1]), dtype=np.float32)
        vectors[used] = found
    return unit_rows(np.asarray(near @ vectors, dtype=np.float32))


def _by_passages(study: Study, features: Int64Array, embedder: Embedder) -> Float32Array:
    rows, texts = [], []
    for found in study.passes:
        owner, token = _top_peaks(found, _PASSAGES)
        start, stop = study.tokens.windows(token, _PASSAGE, _PASSAGE)
        rows.append(np.searchsorted(features, found.features.astype(np.int64))[owner])
        texts += ["".join(pieces).strip() for pieces in study.tokens.texts(start, stop)]
    if not texts:
        return np.zeros((len(features), 1), dtype=np.float32)
    known = KnownTexts(embedder).vectors(texts)
    total = np.zeros((len(features), known.shape[1]), dtype=np.float32)
    np.add.at(total, np.concatenate(rows), known)
    return unit_rows(total)


def _top_peaks(found: Pass, each: int) -> tuple[Int64Array, Int64Array]:
    """Row and token of the first ``each`` top examples of every row of a pass."""
    peaks = found.peaks
    owner = np.repeat(np.arange(len(found.features)), np.diff(peaks["indptr"]))
    top = np.flatnonzero(peaks["group"] == 0)
    owner, token = owner[top], peaks["token"][top]
    first = np.arange(len(owner)) - np.searchsorted(owner, owner) < each
    return owner[first], token[first]


def _around_peaks(
    study: Study, features: Int64Array, words: CorpusWords
) -> tuple[Int64Array, Int64Array, Float64Array]:
    """Row, word and weight of every word in the windows of top examples."""
    each = max(2, _CELLS // (max(len(features), 1) * (BEFORE + AFTER + 1)))
    rows, keys, weights = [], [], []
    for found in study.passes:
        owner, token = _top_peaks(found, each)
        start, stop = study.tokens.windows(token, BEFORE, AFTER)
        length = stop - start
        offset = np.cumsum(length) - length
        cell = np.arange(length.sum()) - np.repeat(offset, length) + np.repeat(start, length)
        word = words.token_word[cell]
        new = word >= 0  # a word of several tokens counts once, where it begins
        new[1:] &= (word[1:] != word[:-1]) | (cell[1:] != cell[:-1] + 1)
        far = np.abs(cell - np.repeat(token, length))[new]
        place = np.searchsorted(features, found.features.astype(np.int64))
        rows.append(place[np.repeat(owner, length)[new]])
        keys.append(words.key[word[new]])
        weights.append(1 / (1 + far / _NEAR))
    none = np.zeros(0, dtype=np.int64)
    return (
        np.concatenate([none, *rows]),
        np.concatenate([none, *keys]),
        np.concatenate([np.zeros(0), *weights]),
    )
