"""Fit prefers what a feature's words have in common to one of them, on vectors made by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from autointerp_core.arrays import Float32Array
from autointerp_core.labels.embedders import Embedder, KnownTexts
from autointerp_core.labels.embedders.likeness import Texts
from autointerp_core.labels.scoring.label_fit import label_fit

VECTORS = {
    "birds": (0.8, 0.6, 0.0, 0.0),
    "sparrow": (0.8, 0.0, 0.6, 0.0),
    "sparrows": (0.8, 0.0, 0.6, 0.0),
    "robin": (0.8, 0.6, 0.0, 0.0),
    "animals": (0.6, 0.0, 0.0, 0.8),
    "the": (0.0, 0.0, 0.0, 1.0),
    "articles": (0.6, 0.0, 0.0, 0.8),
}


class Made(Embedder):
    """Vectors of single words; a text of several is their mean, anything else is zeros."""

    name = "made"
    kinds = "{}"

    def embed(self, texts: Sequence[str]) -> Float32Array:
        none = (0.0, 0.0, 0.0, 0.0)
        return np.array(
            [np.mean([VECTORS.get(w, none) for w in t.split()], axis=0) for t in texts],
            dtype=np.float32,
        )

    def pieces(self, text: str) -> list[str]:
        return text.split()


def fit(label: str, peaks: Sequence[str], text: str = "nothing of it") -> float | None:
    known = KnownTexts(Made())
    silent = np.ones(3, dtype=np.bool_)
    # Each window is its word alone: then word and window say the same.
    windows = (Texts(["something", *(peak.casefold() for peak in peaks)], known), slice(1, None))
    return label_fit(label, peaks, windows, Texts([text] * 3, known), silent, known)


def test_a_word_that_the_label_names_says_nothing_for_it() -> None:
    peaks = ["sparrow"] * 6 + ["robin"] * 4
    # sparrow · robin = 0.64; birds · sparrow = 0.64 and birds · robin = 1, each counting once.
    assert fit("sparrow", peaks) == pytest.approx(0.5 + 0.64 / 2)
    assert fit("Sparrows", peaks) == pytest.approx(0.5)  # nobody knows that spelling's vector
    assert fit("birds", peaks) == pytest.approx(0.5 + 0.82 / 2)
    assert fit("animals", peaks) == pytest.approx(0.5 + 0.48 / 2)


def test_singular_and_plural_are_one_word() -> None:
    assert fit("birds", ["sparrow", "sparrows", "robin"]) == pytest.approx(0.5 + 0.82 / 2)
    assert fit("sparrow", ["sparrows", "robin"]) == pytest.approx(0.5 + 0.64 / 2)


def test_a_label_that_names_nearly_all_is_taken_at_its_word() -> None:
    assert fit("the", ["The"] * 5) == pytest.approx(1.0)
    assert fit("articles", ["the"] * 5) == pytest.approx(0.5 + 0.8 / 2)
    assert fit("the", ["the"] * 9 + ["robin"]) == pytest.approx(0.5 + 0.5 / 2)
    assert fit("the", ["the"] * 3 + ["robin"]) == pytest.approx(0.5)


def test_what_is_like_any_text_fits_nothing() -> None:
    assert fit("birds", ["robin"], "robin") == pytest.approx(0.5)
    assert fit("birds", [" ", ""]) is None
    known = KnownTexts(Made())
    text = Texts(["robin"], known)
    nowhere = np.zeros(1, dtype=np.bool_)
    assert label_fit("birds", ["robin"], (text, slice(1)), text, nowhere, known) is None


def test_what_stands_around_a_word_counts_a_third() -> None:
    known = KnownTexts(Made())
    silent = np.ones(1, dtype=np.bool_)
    windows = Texts(["robin the"], known)
    found = label_fit("the", ["robin"], (windows, slice(None)), Texts(["-"], known), silent, known)
    assert found == pytest.approx(0.5 + (0 * 2 / 3 + 1 * 1 / 3) / 2)
