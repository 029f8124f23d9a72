"""A feature whose firings are kept and that nobody has asked for: worked out when it is opened."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from autointerp_core.store.feature_shards import Pass
from autointerp_core.store.feature_summary import Summary, summarise_rows
from autointerp_core.store.tokenstore import TokenStore


class KeptFeature(Pass):
    """A pass of one feature that is nowhere on disk: made of kept firings, in memory."""

    def __init__(
        self, source: Path, feature: int, tokens: TokenStore, n_counted: int, n_examples: int
    ):
        self._feature = feature
        # Named so that no file is beside it: logits and neighbours are the source's.
        super().__init__(source / f"feature-{feature}", source)
        self._tokens, self._n_counted, self._n_examples = tokens, n_counted, n_examples

    def _features(self) -> NDArray[np.int32]:
        return np.array([self._feature], dtype=np.int32)

    @cached_property
    def _made(self) -> Summary:
        row, token, value = self.firings(0, 1)
        return summarise_rows(self._tokens, row, token, value, 1, self._n_counted, self._n_examples)

    @cached_property
    def peaks(self) -> dict[str, NDArray[Any]]:
        found = self._made.peaks
        return {
            "indptr": np.array([0, len(found.token)], dtype=np.int64),
            "token": found.token,
            "activation": found.value,
            "group": found.group,
        }

    @cached_property
    def table(self) -> pd.DataFrame:
        return pd.DataFrame(
            {"feature": [self._feature]}
            | self._made.statistics
            | {"top_tokens": self._made.top_tokens}
        )
