"""Features that fire on the same tokens, counted from the stored firings; no model needed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autointerp_core.explore.first_shards import MOST_LOOKED_UP, tokens_read
from autointerp_core.store.study import Study


@dataclass(frozen=True)
class Companion:
    """``together`` tokens are shared; ``likeness`` is the cosine of the two sets of tokens."""

    feature: int
    together: int
    likeness: float


def companions(study: Study, feature: int, limit: int = 10) -> list[Companion]:
    """The features that share most of ``feature``'s tokens, most alike first.

    Of a very large study only the first shards are looked at (``first_shards.share_read``).
    """
    stop = tokens_read(study, MOST_LOOKED_UP)
    on = np.zeros(study.tokens.n_tokens, dtype=bool)
    on[study.firings(feature).token] = True
    on[stop:] = False
    own = int(on.sum())
    if not own:
        return []
    ranked: list[Companion] = []
    for found in study.passes:
        shared = np.zeros(len(found.features), dtype=np.int64)
        fired = np.zeros(len(found.features), dtype=np.int64)
        for offset, here in found.each_shard():
            if offset >= stop:
                break
            hits = np.concatenate([[0], np.cumsum(on[offset + here.token])])
            shared += np.diff(hits[np.concatenate([[0], np.cumsum(here.counts)])])
            fired += here.counts
        likeness = shared / np.sqrt(np.maximum(fired, 1) * own)
        likeness[found.features == feature] = 0
        best = np.argsort(-likeness, kind="stable")[:limit]
        ranked += [
            Companion(int(found.features[i]), int(shared[i]), float(likeness[i]))
            for i in best
            if likeness[i] > 0
        ]
    return sorted(ranked, key=lambda companion: -companion.likeness)[:limit]
