"""wordllama: static vectors that come with its package, so that embedding works offline."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from autointerp_core.arrays import Float32Array
from autointerp_core.errors import MissingDependency
from autointerp_core.labels.embedders import (
    EMBEDDERS,
    WORDLLAMA,
    Embedder,
    EmbedderKind,
    unit_rows,
    words_of,
)


class WordLlamaEmbedder(Embedder):
    """wordllama's static vectors, from the files in its own package: 30,000 texts/s on a core."""

    name = WORDLLAMA
    one_for_all = False

    def embed(self, texts: Sequence[str]) -> Float32Array:
        if not len(texts):
            return np.zeros((0, 1), dtype=np.float32)
        return unit_rows(np.asarray(_wordllama().embed(list(texts)), dtype=np.float32))

    def pieces(self, text: str) -> list[str]:
        return words_of(text)


@cache
def _wordllama() -> Any:
    try:
        with _logging_as_it_was():
            import wordllama
            from wordllama import WordLlama
    except ImportError as error:
        raise MissingDependency(
            "embedding scores need wordllama; run: pip install wordllama"
        ) from error
    folder = Path(wordllama.__file__).parent
    try:
        return WordLlama.load(cache_dir=folder, disable_download=True)
    except (OSError, ValueError) as error:
        raise MissingDependency(
            f"wordllama is installed without its vectors ({error}); run: pip install "
            "--force-reinstall wordllama"
        ) from error


@contextmanager
def _logging_as_it_was() -> Iterator[None]:
    """wordllama calls ``logging.basicConfig`` when imported, which is the application's to do."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


EMBEDDERS.register(WORDLLAMA, EmbedderKind(lambda _: WordLlamaEmbedder(), WORDLLAMA))
