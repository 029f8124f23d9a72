"""Texts as vectors, for the embedding scorer; the default one works offline.

How a window of text is put before an embedder is the embedder's business
(:meth:`Embedder.pieces`), and the same for active and silent windows; nothing in it depends on
where the feature fires. A window is as like a label as the piece of it that is most like it.

Tried on the demo's *validate* documents, with 293 search labels and wordllama (mean AUROC; in
brackets the labels of other features, whose truth is 0.5):

================================  =====  =======
the whole window                  0.601  (0.499)
spans of 8, 4, 2 words, the best  0.609, 0.615, 0.631
words split at spaces, the best   0.637  (0.503)
words without punctuation         0.636  (0.507)
words and the whole window        0.638  (0.508)
words and pairs of words          0.637  (0.507)
words against words of the label  0.581  (0.501)
================================  =====  =======

Taking a mean vector off, or lower case, changed nothing. So: single words for wordllama, whose
vector of a text is the mean of fixed token vectors and drowns a word in its 32-token window
(and a corpus has few distinct words, so that they are embedded once); the whole window for
sentence-transformers, which are made for passages. A label is embedded whole by both.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import regex

from autointerp_core.arrays import Float32Array
from autointerp_core.errors import MissingDependency, ParameterError

WORDLLAMA = "wordllama"
SENTENCE_TRANSFORMERS = "sentence-transformers"
_WORD = regex.compile(r"[\p{L}\p{M}\p{N}]+|[^\s\p{L}\p{M}\p{N}]")


class Embedder(ABC):
    """Turns texts into vectors. ``name`` is recorded as the judge of a score."""

    name: str

    @abstractmethod
    def embed(self, texts: Sequence[str]) -> Float32Array:
        """Unit vectors ``[len(texts), d]``; a text without anything known in it is zeros."""

    def pieces(self, text: str) -> list[str]:
        """What of a window is embedded: at least one piece."""
        return [text]


class WordLlamaEmbedder(Embedder):
    """wordllama's static vectors, from the files in its own package: 30,000 texts/s on a core."""

    name = WORDLLAMA

    def embed(self, texts: Sequence[str]) -> Float32Array:
        if not len(texts):
            return np.zeros((0, 1), dtype=np.float32)
        return unit_rows(np.asarray(_wordllama().embed(list(texts)), dtype=np.float32))

    def pieces(self, text: str) -> list[str]:
        return _WORD.findall(text) or [text]


class SentenceTransformerEmbedder(Embedder):
    """A model of the ``sentence-transformers`` package, by hub id or folder."""

    def __init__(self, model: str):
        self.name = f"{SENTENCE_TRANSFORMERS}:{model}"
        self._path = model

    def embed(self, texts: Sequence[str]) -> Float32Array:
        if not len(texts):
            return np.zeros((0, 1), dtype=np.float32)
        model = _sentence_transformer(self._path)
        found = model.encode(list(texts), show_progress_bar=False, convert_to_numpy=True)
        return unit_rows(np.asarray(found, dtype=np.float32))


def default_embedder() -> Embedder:
    """The one that works offline."""
    return WordLlamaEmbedder()


def make_embedder(name: str) -> Embedder:
    """``"wordllama"`` or ``"sentence-transformers:<model>"``; loads nothing yet.

    Raises:
        ParameterError: there is no such embedder.
    """
    if name == WORDLLAMA:
        return WordLlamaEmbedder()
    package, _, model = name.partition(":")
    if package == SENTENCE_TRANSFORMERS and model:
        return SentenceTransformerEmbedder(model)
    raise ParameterError(
        f"no embedder {name!r}; choose {WORDLLAMA} or {SENTENCE_TRANSFORMERS}:<model>"
    )


class KnownTexts:
    """Float32Array of texts met so far: each distinct text is embedded once.

    Forgets everything when it holds ``limit`` texts, so memory stays bounded.
    """

    def __init__(self, embedder: Embedder, limit: int = 200_000):
        self.embedder, self._limit = embedder, limit
        self._row: dict[str, int] = {}
        self._vectors: list[Float32Array] = []

    def vectors(self, texts: Sequence[str]) -> Float32Array:
        """Unit vectors ``[len(texts), d]``."""
        if len(self._row) > self._limit:
            self._row, self._vectors = {}, []
        new = [text for text in dict.fromkeys(texts) if text not in self._row]
        if new:
            first = len(self._row)
            self._row.update((text, first + i) for i, text in enumerate(new))
            self._vectors.append(self.embedder.embed(new))
        if not texts:
            return np.zeros((0, 1), dtype=np.float32)
        if len(self._vectors) > 1:
            self._vectors = [np.concatenate(self._vectors)]
        return self._vectors[0][[self._row[text] for text in texts]]


def unit_rows(vectors: Float32Array) -> Float32Array:
    """Rows of length 1; rows of zeros, or that are not finite, become zeros."""
    vectors = np.where(np.isfinite(vectors), vectors, np.float32(0))
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Float32Array = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
    return unit


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


@cache
def _sentence_transformer(path: str) -> Any:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise MissingDependency(
            f"the embedder {SENTENCE_TRANSFORMERS}:{path} needs a package that is not installed; "
            "run: pip install sentence-transformers"
        ) from error
    try:
        return SentenceTransformer(path)
    except (OSError, ValueError) as error:
        raise ParameterError(
            f"sentence-transformers cannot load {path!r}: {' '.join(str(error).split())[:200]}"
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
