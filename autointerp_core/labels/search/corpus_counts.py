"""What a study's words are counted against: every corpus-wide count, made once.

Also turns a feature's firings (tokens) into words with weights. Knows nothing about labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autointerp_core.arrays import BoolArray, Float64Array, Int64Array
from autointerp_core.labels.search.corpus_words import CLASSES, CorpusWords, mark_name
from autointerp_core.labels.search.ordering import first_of_order
from autointerp_core.store.study import Pass, Study

STRONGEST = 300
"""Firings looked at for what a feature means; the weak tail of a feature is mostly noise."""
SHARPNESS = 3
"""Power of the activation that a firing weighs: what is strong says what a feature is about."""
BLOCK = 128
"""Features whose firings are read together."""

_MEMBERS = (np.arange(1 << len(CLASSES))[:, None] >> np.arange(len(CLASSES)) & 1).astype(np.float64)
"""``[combination of classes, class]``: whether it is in it."""


@dataclass(frozen=True)
class Firings:
    """Firings of one feature by word.

    ``word`` are the strongest, ascending, with ``weight`` (sum 1) and ``activation``;
    ``every`` are all words it fires in, weak ones too. ``token`` and ``token_weight`` are
    the strongest firings by token.
    """

    every: Int64Array
    word: Int64Array
    weight: Float64Array
    activation: Float64Array
    token: Int64Array
    token_weight: Float64Array


class CorpusCounts:
    """Counts over the words the model was asked about.

    Args:
        study: the study; its texts are read once, here.
        documents: count only these documents; None: all.
    """

    def __init__(self, study: Study, documents: Sequence[int] | None = None):
        self.study = study
        self.words = CorpusWords(study.tokens)
        words, tokens = self.words, study.tokens
        allowed = np.ones(len(tokens.documents) - 1, dtype=np.bool_)
        if documents is not None:
            allowed[:] = False
            allowed[np.asarray(documents, dtype=np.int64)] = True
        owner = tokens.document_of(np.arange(tokens.n_tokens, dtype=np.int64))
        self.usable = (np.asarray(tokens.counted) > 0) & (words.token_word >= 0)
        self.counted = np.asarray(tokens.counted) > 0
        if documents is not None:
            self.usable &= allowed[owner]
            self.counted &= allowed[owner]
        # Only words the model was asked about count as places where a feature was silent.
        seen = np.unique(words.token_word[self.usable])
        self.n = max(len(seen), 1)
        self.asked = np.zeros(len(words), dtype=np.bool_)
        self.asked[seen] = True
        size = len(words.keys)
        self.size = max(size, 1)
        self.key_count = np.bincount(words.key[seen], minlength=size)
        # Context words are compared with all text of the documents, read or not.
        whole = words.key if documents is None else words.key[allowed[words.document]]
        self.rate = np.bincount(whole, minlength=size) / max(len(whole), 1)
        kinds = [word.kind == "bare" for word in words.surfaces]
        self.bare = np.zeros(self.size, dtype=np.bool_)
        self.bare[words.key_of_surface[np.asarray(kinds, dtype=np.bool_)]] = True
        order = np.argsort(words.key, kind="stable")
        self.where = order[allowed[words.document[order]]]
        self.where_bounds = np.searchsorted(words.key[self.where], np.arange(size + 1))
        self.previous, self.next = words.previous_key, words.next_key
        self.previous_count = np.bincount(self.previous[seen] + 1, minlength=size + 1)
        self.next_count = np.bincount(self.next[seen] + 1, minlength=size + 1)
        self.class_count = words.classes[:, seen].sum(axis=1)
        self.class_before_count = words.classes_before[:, seen].sum(axis=1)
        self.class_bits, self.class_before_bits = (
            _as_bits(of) for of in (words.classes, words.classes_before)
        )
        self.token_count = np.bincount(
            np.asarray(tokens.ids)[self.usable].astype(np.int64), minlength=1
        )
        self._spelt: dict[int, str] = {}
        self.affix_text: dict[tuple[bool, int], list[str]] = {}
        self.ends, self.end_count = self._affixes(seen, last=True)
        self.starts, self.start_count = self._affixes(seen, last=False)
        self.document_bounds = np.searchsorted(
            words.document, np.arange(len(tokens.documents), dtype=np.int64)
        )

    def _affixes(
        self, seen: Int64Array, *, last: bool
    ) -> tuple[list[Int64Array], list[Int64Array]]:
        """Per length 2–4: affix id of every key (-1: none), and the corpus count of each id."""
        words = {u.text.casefold() for u in self.words.surfaces if u.kind == "word"}
        ids, counts = [], []
        for length in (2, 3, 4):
            known: dict[str, int] = {}
            column = np.full(self.size, -1, dtype=np.int64)
            for index, key in enumerate(self.words.keys):
                if len(key) >= length + 2 and key in words:
                    affix = key[-length:] if last else key[:length]
                    column[index] = known.setdefault(affix, len(known))
            self.affix_text[last, length] = list(known)
            ids.append(column)
            counts.append(np.bincount(column[self.words.key[seen]] + 1, minlength=len(known) + 1))
        return ids, counts

    def firings(self, wanted: Int64Array) -> Iterator[tuple[int, Int64Array, Float64Array]]:
        """(feature, token indices, strengths) of every firing that counts.

        Strength is the activation's magnitude: of a signed SAE it may be below zero.
        """
        homes: dict[int, tuple[Pass, int]] = {}
        for found in self.study.passes:
            rows = found.rows(wanted)
            for feature, row in zip(wanted.tolist(), rows.tolist(), strict=True):
                if row >= 0:
                    homes.setdefault(feature, (found, row))
        at = 0
        while at < len(wanted):
            found, first = homes[int(wanted[at])]
            stop = at + 1
            while (
                stop < len(wanted)
                and stop - at < BLOCK
                and homes[int(wanted[stop])] == (found, first + stop - at)
            ):
                stop += 1
            row, token, activation = found.firings(first, first + stop - at)
            keep = self.counted[token]
            row, token, activation = row[keep], token[keep], activation[keep]
            edges = np.searchsorted(row, np.arange(first, first + stop - at + 1))
            for index in range(stop - at):
                part = slice(int(edges[index]), int(edges[index + 1]))
                strength = np.abs(activation[part]).astype(np.float64)
                yield int(wanted[at + index]), token[part], strength
            at = stop

    def by_word(self, token: Int64Array, activation: Float64Array) -> Firings:
        """Firings at usable tokens (ascending, at least one), by word."""
        word = self.words.token_word[token]
        # Tokens come in order, so the tokens of a word stand together.
        first = np.flatnonzero(np.concatenate([[True], word[1:] != word[:-1]]))
        best = np.maximum.reduceat(activation, first)
        every = word[first]
        chosen, weight = self._weigh(every, best)
        strong, token_weight = self._weigh(word, activation)
        return Firings(every, every[chosen], weight, best[chosen], token[strong], token_weight)

    def _weigh(self, word: Int64Array, activation: Float64Array) -> tuple[Int64Array, Float64Array]:
        """Indices of the strongest firings in text order, and their weights (sum 1)."""
        order = np.sort(first_of_order(-activation, STRONGEST))
        weight = (activation[order] / activation.max()) ** SHARPNESS
        document = self.words.document[word[order]]
        _, inverse = np.unique(document, return_inverse=True)
        # One long document about one thing must not decide alone.
        weight = weight / np.sqrt(np.bincount(inverse, weight))[inverse]
        return order, weight / weight.sum()

    def spelling(self, key: int) -> str:
        """A word as it is most often written where the model was asked about it."""
        if key not in self._spelt:
            at = self.where[self.where_bounds[key] : self.where_bounds[key + 1]]
            found, count = np.unique(self.words.surface[at], return_counts=True)
            text = self.words.surfaces[int(found[np.argmax(count)])].text if len(at) else None
            self._spelt[key] = text or self.words.keys[key]
        return self._spelt[key]

    def in_classes(self, bits: NDArray[np.uint16], word: Int64Array) -> Int64Array:
        """How many of some words are of each class; ``bits``: by word, ``class_bits`` or before."""
        times = np.bincount(bits[word], minlength=1 << len(CLASSES)).astype(np.float64)
        found: Int64Array = (times @ _MEMBERS).astype(np.int64)
        return found

    def key_text(self, key: int, quoted: bool = False) -> str:
        """How a word is written in a label."""
        text = self.words.keys[key]
        if not text[0].isalnum():
            return mark_name(text) if text not in ("'s", "’s") else '"\'s"'
        return f'"{text}"' if quoted else text


def _as_bits(classes: BoolArray) -> NDArray[np.uint16]:
    """Of every word, the classes that it is of, a bit each."""
    bits = np.zeros(classes.shape[1], dtype=np.uint16)
    for number, of_class in enumerate(classes):
        bits |= of_class.astype(np.uint16) << np.uint16(number)
    return bits
