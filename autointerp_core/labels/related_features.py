"""Which features are much like a feature: by decoder direction, and by the tokens they fire on.

Both are counted once for a study: directions are kept beside its passes; of the tokens a sample is
read.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from autointerp_core.arrays import Float32Array, Int64Array
from autointerp_core.store.neighbours import NEIGHBOURS_FILE, read_neighbours
from autointerp_core.store.study import Study

BY_DIRECTION, BY_FIRING = 5, 5
"""Features taken of each kind."""
LEAST_COSINE, LEAST_SHARED = 0.15, 0.1
"""Below that two features are no more alike than most."""
_TOKENS = 20_000
"""Tokens whose firings are read together: a run of whole shards is too much at any scale."""


class RelatedFeatures:
    """Looks up what is like a feature in one study."""

    def __init__(self, study: Study):
        self._study = study

    def of(self, feature: int) -> list[int]:
        """The features in the study most like it, most alike first, those by direction first."""
        found, row = self._study.locate(feature)
        home = found.beside(NEIGHBOURS_FILE, row)
        kept = (read_neighbours(*home) if home is not None else None) or []
        alike = [near.feature for near in kept if near.cosine >= LEAST_COSINE]
        here = np.isin(alike, self._study.features) if alike else np.zeros(0, dtype=bool)
        by_direction = [one for one, there in zip(alike, here, strict=True) if there]
        both = [*by_direction[:BY_DIRECTION], *self.firing_together(feature)[:BY_FIRING]]
        return list(dict.fromkeys(one for one in both if one != feature))

    def firing_together(self, feature: int) -> list[int]:
        """The features that share its tokens, by the cosine of the sets, most alike first."""
        features, fires = self._fires
        at = int(np.searchsorted(features, feature))
        shared = (fires @ fires[at].T).toarray().ravel()
        alike = shared / np.sqrt(np.maximum(self._times * self._times[at], 1))
        alike[at] = 0
        order = np.argsort(-alike, kind="stable")[:BY_FIRING]
        return [int(features[i]) for i in order if alike[i] >= LEAST_SHARED]

    def cofiring(self, wanted: Int64Array) -> Float32Array:
        """Cosines of the sets of tokens that features (ascending) fire on, every pair."""
        features, fires = self._fires
        rows = np.searchsorted(features, wanted)
        chosen, times = fires[rows], self._times[rows]
        shared: Float32Array = (chosen @ chosen.T).toarray()
        shared /= np.sqrt(np.maximum(np.outer(times, times), 1))
        return shared

    @cached_property
    def _times(self) -> Float32Array:
        times: Float32Array = np.diff(self._fires[1].indptr).astype(np.float32)
        return times

    @cached_property
    def _fires(self) -> tuple[Int64Array, Any]:
        """Features, ascending, and where each fires in the sample: sparse ``[features, tokens]``"""
        from scipy.sparse import csr_matrix  # here, as the app reads scores without it

        features = self._study.features.astype(np.int64)
        step = max(1, self._study.tokens.n_tokens // _TOKENS)
        rows: list[Int64Array] = []
        columns: list[Int64Array] = []
        for found in self._study.passes:
            place = np.searchsorted(features, found.features)
            for offset, part in found.each_shard():
                token = part.token.astype(np.int64) + offset
                row = np.repeat(place, part.counts)
                sampled = token % step == 0
                rows.append(row[sampled])
                columns.append(token[sampled] // step)
        row = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int64)
        column = np.concatenate(columns) if columns else row
        shape = (len(features), self._study.tokens.n_tokens // step + 1)
        ones = np.ones(len(row), dtype=np.float32)
        return features, csr_matrix((ones, (row, column)), shape=shape)
