"""Models of the ``sentence-transformers`` package, where it is installed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from autointerp_core.arrays import Float32Array
from autointerp_core.errors import MissingDependency, ParameterError
from autointerp_core.labels.embedders import EMBEDDERS, Embedder, EmbedderKind, unit_rows
from autointerp_core.sources.hub import one_line

SENTENCE_TRANSFORMERS = "sentence-transformers"


class SentenceTransformerEmbedder(Embedder):
    """A model of the ``sentence-transformers`` package, by hub id or folder."""

    def __init__(self, model: str):
        self.name = f"{SENTENCE_TRANSFORMERS}:{model}"
        self._path = model

    def embed(self, texts: Sequence[str]) -> Float32Array:
        if not len(texts):
            return np.zeros((0, 1), dtype=np.float32)
        model = load(self._path)
        found = model.encode(list(texts), show_progress_bar=False, convert_to_numpy=True)
        return unit_rows(np.asarray(found, dtype=np.float32))


@cache
def load(path: str) -> Any:
    """A sentence-transformers model, by hub id or folder; safetensors only, no code of its own.

    Raises:
        MissingDependency: the package is not installed.
        ParameterError: the model cannot be loaded.
    """
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise MissingDependency(
            f"the embedder {SENTENCE_TRANSFORMERS}:{path} needs a package that is not installed; "
            "run: pip install sentence-transformers"
        ) from error
    from transformers.utils import logging

    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        return SentenceTransformer(
            path, trust_remote_code=False, model_kwargs={"use_safetensors": True}
        )
    except (OSError, ValueError) as error:
        raise ParameterError(
            f"sentence-transformers cannot load {path!r}: {one_line(error)}"
        ) from error
    finally:
        if bars:
            logging.enable_progress_bar()


EMBEDDERS.register(
    SENTENCE_TRANSFORMERS,
    EmbedderKind(SentenceTransformerEmbedder, f"{SENTENCE_TRANSFORMERS}:<model>"),
)
