"""Two embedders as one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from autointerp_core.arrays import Float32Array
from autointerp_core.labels.embedders import Embedder, unit_rows
from autointerp_core.labels.search.two_embedders import TwoEmbedders


class Letters(Embedder):
    """Counts some letters."""

    def __init__(self, letters: str):
        self.name, self._letters = letters, letters

    def embed(self, texts: Sequence[str]) -> Float32Array:
        counts = [[text.count(letter) for letter in self._letters] for text in texts]
        return unit_rows(
            np.asarray(counts, dtype=np.float32).reshape(len(texts), len(self._letters))
        )


def test_texts_are_as_alike_as_on_average_by_both() -> None:
    first, second = Letters("ab"), Letters("cde")
    both = TwoEmbedders(first, second)
    texts = ["aabc", "abbcd", "aaee", "bc"]
    found = both.embed(texts)
    apart = [one.embed(texts) for one in (first, second)]
    assert found @ found.T == pytest.approx(sum(v @ v.T for v in apart) / 2, abs=1e-6)
    assert both.name == "ab+cde"
    assert both.pieces("one two") == first.pieces("one two")
    assert len(both.embed([])) == 0
