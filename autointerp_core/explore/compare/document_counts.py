"""How often each feature of a study fires in each document, summed up as comparisons need it.

Tokens of one document are not independent: a text about courts has many. What a comparison may
count is documents, so of each feature the sums over documents of ``f``, ``f²`` and ``f·n`` are
kept, with ``f`` its firings and ``n`` the counted tokens there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autointerp_core.arrays import Float64Array
from autointerp_core.explore.first_shards import MOST_COMPARED, tokens_read
from autointerp_core.store.feature_shards import Pass
from autointerp_core.store.study import Study


@dataclass(frozen=True)
class DocumentCounts:
    """Sums over documents, of each feature (ascending), ``[F]``."""

    features: NDArray[np.int64]
    fired: Float64Array
    """Σ f: counted tokens on which it fires."""
    squares: Float64Array
    """Σ f²."""
    cross: Float64Array
    """Σ f·n."""
    documents: Float64Array
    """Documents in which it fires."""
    tokens: float
    """Σ n."""
    token_squares: float
    """Σ n²."""
    n_documents: int
    """Documents with a counted token."""

    @property
    def density(self) -> Float64Array:
        """Σ f / Σ n."""
        return self.fired / max(self.tokens, 1.0)

    @property
    def variance(self) -> Float64Array:
        """Of the density, by documents as clusters (a ratio estimate, linearised)."""
        p, d = self.density, self.n_documents
        squares = self.squares - 2 * p * self.cross + p**2 * self.token_squares
        scale = d / max(d - 1, 1) / max(self.tokens, 1.0) ** 2
        found: Float64Array = np.maximum(squares, 0.0) * scale
        return found


def document_counts(study: Study) -> DocumentCounts:
    """Read every firing of a study once; of a very large one, those of its first shards."""
    tokens = study.tokens
    stop = tokens_read(study, MOST_COMPARED)
    document = tokens.document_of(np.arange(stop)) if stop else np.zeros(0, dtype=np.int64)
    counted = np.asarray(tokens.counted[:stop]) > 0
    sizes = np.bincount(document[counted], minlength=1).astype(np.float64)
    features = study.features.astype(np.int64)
    sums = {name: np.zeros(len(features)) for name in ("fired", "squares", "cross", "documents")}
    for found in study.passes:
        at = np.searchsorted(features, found.features)
        for name, values in _of_pass(found, document, counted, sizes).items():
            sums[name][at] = values
    return DocumentCounts(
        features,
        **sums,
        tokens=float(sizes.sum()),
        token_squares=float((sizes**2).sum()),
        n_documents=int((sizes > 0).sum()),
    )


def _of_pass(
    found: Pass, document: NDArray[np.int64], counted: NDArray[np.bool_], sizes: Float64Array
) -> dict[str, Float64Array]:
    n = len(found.features)
    sums = {name: np.zeros(n) for name in ("fired", "squares", "cross", "documents")}
    offsets = found.shard_offsets()
    # A document that goes on in the next shard is put together first.
    split = {
        int(document[start])
        for start in offsets[1:]
        if 0 < start < len(document) and document[start] == document[start - 1]
    }
    parts = {one: np.zeros(n) for one in split}
    for offset, here in found.each_shard():
        if offset >= len(document) and len(document):
            break
        token = here.token + offset
        row = np.repeat(np.arange(n), here.counts)
        use = counted[token]
        row, at = row[use], document[token[use]]
        if not len(row):
            continue
        # Firings are ordered by feature, then token: those of one document stand together.
        begins = np.flatnonzero(np.diff(row, prepend=-1) | np.diff(at, prepend=-1))
        fired = np.diff(begins, append=len(row)).astype(np.float64)
        row, at = row[begins], at[begins]
        whole = ~np.isin(at, list(split))
        for one in split & set(at[~whole].tolist()):
            mine = at == one
            parts[one][row[mine]] += fired[mine]
        _add(sums, row[whole], fired[whole], sizes[at[whole]])
    for one, fired in parts.items():
        rows = np.flatnonzero(fired)
        _add(sums, rows, fired[rows], np.full(len(rows), sizes[one]))
    return sums


def _add(
    sums: dict[str, Float64Array], row: NDArray[np.int64], fired: Float64Array, size: Float64Array
) -> None:
    n = len(sums["fired"])
    for name, weight in (
        ("fired", fired),
        ("squares", fired**2),
        ("cross", fired * size),
        ("documents", np.ones(len(row))),
    ):
        sums[name] += np.bincount(row, weight, minlength=n)
