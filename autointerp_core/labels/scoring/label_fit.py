"""What labels of one feature are compared by: how well each says what the feature's words have in
common, not which of them it is.

A label that names one of the words (``sparrow`` for a feature of birds) is more like that word than
any right label is, and as like the others as birds are like each other, which in an embedder's eyes
is often more than they are like *birds*. So:

* every distinct word that the feature peaks on counts once, singular and plural together;
* a word that the label itself names is left out: what a label says of it is no news;
* the label is read as a kind of things (``Embedder.kinds``): "kinds of sparrow" is further from
  other birds than "kinds of birds" is;
* what it gets is its mean likeness to the words, and for a third to their windows (a label may be
  of what stands around a word), less that to random silent windows.

A label that names nearly all that the feature fires on (``"the"``) is right in what it names: it is
taken at its word, and every word counts. No list of what is a kind of what is read.
``docs/decisions/0014`` has what else was tried, and how these do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from autointerp_core.arrays import BoolArray, Float64Array
from autointerp_core.labels.embedders import KnownTexts, words_of
from autointerp_core.labels.embedders.likeness import Texts, kind_vectors, label_vectors

NEARLY_ALL = 0.75
"""Share of the peaks on words that a label names above which it is taken at its word."""
WINDOWS = 1 / 3
"""What the windows count beside the words themselves."""


def label_fit(
    label: str,
    peaks: Sequence[str],
    active: tuple[Texts, slice],
    background: Texts,
    silent: BoolArray,
    known: KnownTexts,
) -> float | None:
    """0.5 says nothing, 1 is the most; None where there is no word, or no silent window.

    Args:
        label: without quotation marks.
        peaks: the word at the peak of each active window.
        active: these windows, among others.
        background: random windows.
        silent: in which of them the feature is silent.
    """
    words = np.array([" ".join(peak.casefold().split()) for peak in peaks], dtype=object)
    kept = np.array([bool(word) for word in words], dtype=np.bool_)
    if not kept.any() or not silent.any():
        return None
    named = {_base(word.casefold()) for word in words_of(label)}
    own = np.array([_base(word) in named for word in words], dtype=np.bool_) & kept
    literal = own.sum() > NEARLY_ALL * kept.sum()
    if not literal:
        kept &= ~own
    vector = (label_vectors if literal else kind_vectors)([label], known)
    texts, rows = active
    words = words[kept]
    word = known.vectors(words.tolist()) @ vector[0]
    window = texts.like_vectors(vector, rows)[0][kept]
    weight = _each_word_once(words.tolist())
    like = float(weight @ (word * (1 - WINDOWS) + window * WINDOWS))
    around = float(background.like_vectors(vector)[0][silent].mean())
    return float(np.clip(0.5 + (like - around) / 2, 0, 1))


def _each_word_once(words: Sequence[str]) -> Float64Array:
    """Weights, of sum 1, of words of which some are the same: every one counts as much."""
    bases = [_base(word) for word in words]
    times = Counter(bases)
    return np.array([1 / times[base] / len(times) for base in bases])


def _base(word: str) -> str:
    """A word without what makes an English plural of it."""
    for ending, instead in (("ies", "y"), ("sses", "ss"), ("ches", "ch"), ("shes", "sh")):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            return word.removesuffix(ending) + instead
    if word.endswith(("xes", "men")) and len(word) > 4:
        return word[:-2] if word.endswith("xes") else word[:-3] + "man"
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word
