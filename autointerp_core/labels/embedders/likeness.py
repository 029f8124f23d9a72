"""How like a label texts are, by the vectors of their pieces.

A text is as like a label as its likest pieces, the likest counting most (``Embedder.weights``).
From a label's vector something is taken off that all labels have in common (``Embedder.usual``):
otherwise words that are near every label, such as "thing" or "group", decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autointerp_core.arrays import BoolArray, Float32Array, Float64Array, Int64Array
from autointerp_core.labels.embedders import KnownTexts


@dataclass(frozen=True)
class _Seen:
    """The distinct pieces of some texts: their vectors, and which of them each cell holds."""

    place: Int64Array
    vectors: Float32Array
    missing: BoolArray
    """At most the first: cells beyond a text's last piece."""


class Texts:
    """Texts, ready to be compared with labels: distinct pieces are embedded once."""

    def __init__(self, texts: Sequence[str], known: KnownTexts):
        self._known = known
        row: dict[str, int] = {}
        cut = [
            [row.setdefault(piece, len(row)) for piece in known.embedder.pieces(text)]
            for text in texts
        ]
        width = max((len(pieces) for pieces in cut), default=1)
        self._cells: Int64Array = np.full((len(cut), width), -1, dtype=np.int64)
        for cells, pieces in zip(self._cells, cut, strict=True):
            cells[: len(pieces)] = pieces
        self._pieces = known.vectors(list(row))
        self._whole: _Seen | None = None

    def __len__(self) -> int:
        return len(self._cells)

    def like(self, labels: Sequence[str], rows: slice = slice(None)) -> Float64Array:
        """How like each label the texts of ``rows`` are: ``[labels, texts]``."""
        cells = self._cells[rows]
        out = np.zeros((len(labels), len(cells)))
        if not len(labels) or not cells.size:
            return out
        if rows == slice(None):  # put to many labels, so it is looked at once
            seen = self._whole = self._whole or self._seen(cells)
        else:
            seen = self._seen(cells)
        like = label_vectors(labels, self._known) @ seen.vectors.T
        like[:, seen.missing] = -np.inf
        weights = np.asarray(self._known.embedder.weights)
        for one, found in zip(like, out, strict=True):
            found[:] = likest(one[seen.place], weights)
        return out

    def _seen(self, cells: Int64Array) -> _Seen:
        used, place = np.unique(cells, return_inverse=True)
        vectors = self._pieces[np.maximum(used, 0)]
        return _Seen(place.reshape(cells.shape), vectors, used < 0)


def label_vectors(labels: Sequence[str], known: KnownTexts) -> Float32Array:
    """Vectors of labels ``[len(labels), d]``, less what is usual."""
    vectors = known.vectors(labels)
    usual = known.usual
    return vectors if usual is None else vectors - usual


def likest(like: Float32Array, weights: Float64Array) -> Float64Array:
    """The likest pieces of each row of ``[texts, pieces]``, weighed; -inf: no piece."""
    if len(weights) == 1:
        highest: Float64Array = like.max(axis=1).astype(np.float64)
        return highest
    count = min(len(weights), like.shape[1])
    best = -np.sort(-np.partition(like, -count, axis=1)[:, -count:], axis=1).astype(np.float64)
    # A text of fewer pieces has its least like one counted again.
    for at in range(1, count):
        best[:, at] = np.where(np.isfinite(best[:, at]), best[:, at], best[:, at - 1])
    total: Float64Array = best[:, : count - 1] @ weights[: count - 1]
    total += best[:, count - 1] * float(weights[count - 1 :].sum())
    return total
