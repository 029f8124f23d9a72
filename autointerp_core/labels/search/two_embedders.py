"""Two embedders as one: texts are alike as they are on average by both.

Words that one embedder chooses please that embedder more than others (on the demo, all of what
words chosen by MiniLM alone gained was gone by wordllama); what both find is in the text.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autointerp_core.arrays import Float32Array
from autointerp_core.labels.embedders import Embedder


class TwoEmbedders(Embedder):
    """``first`` says what is usual and what a text's pieces are."""

    def __init__(self, first: Embedder, second: Embedder):
        self._both = (first, second)
        self.name = f"{first.name}+{second.name}"
        self.weights = first.weights
        self.usual, self.usual_share = first.usual, first.usual_share

    def embed(self, texts: Sequence[str]) -> Float32Array:
        vectors = [one.embed(texts) for one in self._both]
        if not len(texts):
            return vectors[0]
        both: Float32Array = np.concatenate(vectors, axis=1) / np.float32(np.sqrt(2))
        return both

    def pieces(self, text: str) -> list[str]:
        return self._both[0].pieces(text)
