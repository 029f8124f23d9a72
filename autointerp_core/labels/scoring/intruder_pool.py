"""Windows that other features fire on, to stand as intruders among a feature's own.

Marked where those features fire, they differ from the feature's own windows in what is marked and
in nothing else: as rare, as long, as often at a word's beginning as any feature's tokens are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autointerp_core.arrays import Int64Array
from autointerp_core.labels.document_split import TEST, Split
from autointerp_core.labels.scoring.sample_windows import EASY, Window
from autointerp_core.store.study import AFTER, BEFORE, Study

LEAST_OTHERS = 8
"""Other features below which their windows would tell which features a study holds."""
_OTHERS = 64
_PEAKS = 100
"""Of each other feature at most."""
_TRIED = 12
"""Windows looked at for each intruder."""


class IntruderPool:
    """Peaks of some features in test documents.

    Args:
        study: the study.
        features: of whom.
        token: study's index of each peak.
        owner: the feature of each.
        document: the document of each.
    """

    def __init__(
        self,
        study: Study,
        features: Sequence[int],
        token: Int64Array,
        owner: Int64Array,
        document: Int64Array,
        seed: int,
    ):
        self.study, self.features, self.seed = study, tuple(features), seed
        self.token, self.owner, self.document = token, owner, document

    def of(self, feature: int) -> OthersWindows | None:
        """Windows of others for one feature; None where there are too few others."""
        if len(set(self.features) - {feature}) < LEAST_OTHERS:
            return None
        return OthersWindows(self, feature)


class OthersWindows:
    """Hands out windows of other features in which one feature is silent, each once."""

    def __init__(self, pool: IntruderPool, feature: int):
        self._pool = pool
        generator = np.random.default_rng([pool.seed, feature, 0x4F57])
        order = generator.permutation(len(pool.token))
        self._left: Int64Array = order[pool.owner[order] != feature]
        self._fired = pool.study.firings(feature).token

    def take(self, group: Sequence[Window], *, hard: bool) -> Window | None:
        """A window that goes with a group; never given out again.

        A hard one is from a document of the group, where there is one; an easy one is not.
        """
        documents = np.array([window.example.document_index for window in group])
        for near in (hard, not hard):
            inside = np.isin(self._pool.document[self._left], documents)
            for place in self._left[inside == near][:_TRIED].tolist():
                window = self._window(place, group)
                self._left = self._left[self._left != place]
                if window is not None:
                    return window
        return None

    def _window(self, place: int, group: Sequence[Window]) -> Window | None:
        pool = self._pool
        token, owner = int(pool.token[place]), int(pool.owner[place])
        if any(abs(token - window.token) <= BEFORE + AFTER for window in group):
            return None
        edges = pool.study.tokens.windows(np.array([token]), BEFORE, AFTER)
        low, high = np.searchsorted(self._fired, [int(edge[0]) for edge in edges])
        if low != high:
            return None
        example = pool.study.windows_at(owner, np.array([token]))[0]
        return Window(example, EASY, token)


def intruder_pool(study: Study, split: Split, seed: int = 0) -> IntruderPool:
    """Peaks of some of the study's features in its test documents; same seed, same pool."""
    generator = np.random.default_rng([seed, 0x5049])
    live = study.table.loc[study.table["num_examples"] > 0, "feature"].to_numpy()
    features = [int(feature) for feature in generator.permutation(live)[:_OTHERS]]
    found: list[Int64Array] = []
    for feature in features:
        token, _ = split.peaks(feature, TEST)
        found.append(generator.permutation(token)[:_PEAKS])
    token = np.concatenate(found) if found else np.zeros(0, dtype=np.int64)
    owner = np.repeat(np.array(features, dtype=np.int64), [len(each) for each in found])
    return IntruderPool(study, features, token, owner, study.tokens.document_of(token), seed)
