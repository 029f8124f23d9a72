"""What was counted about a feature, put into the words of a label."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from autointerp_core.arrays import BoolArray, Int64Array
from autointerp_core.labels.search.corpus_counts import CorpusCounts, Firings
from autointerp_core.labels.search.corpus_words import CLASSES
from autointerp_core.labels.search.descriptions import Describer, Description

MAX_WORDS = 9


class Composer:
    """Words descriptions, examples and contexts."""

    def __init__(self, counts: CorpusCounts, describer: Describer):
        self.counts, self.words = counts, counts.words
        self._describer, self._phrases = describer, describer.phrases

    def label(
        self, fired: Firings, main: Description, topic: list[int], shares: list[float]
    ) -> tuple[str, str]:
        """The label's text, and in a word what kind it is."""
        head = self.render(fired, main)
        said = head.casefold()
        context = [
            (text, share)
            for k, share in zip(topic, shares, strict=True)
            if (text := self.counts.key_text(k)) not in said
        ]
        near = [text for text, _ in context]
        marked = bool(context) and context[0][1] >= 0.25
        partial = main.kind in ("class", "words") and main.precision < 0.6
        diffuse = main.score < 0.12 or (main.kind == "words" and main.recall < 0.3)
        if partial and main.recall >= 0.3:
            follows = self._modifier(fired, main)
            if follows:
                return f"{head} after {follows}", f"{main.kind} after a word"
        if diffuse and not (main.kind == "words" and main.recall >= 0.3):
            if marked:
                return f"text about {', '.join(near)}", "context"
            examples = self.examples(fired, 4)
            return (examples, "examples") if examples else (head, main.kind)
        if main.text == "capitalised names" and main.precision < 0.3 and not marked:
            examples = self.examples(fired, 3)
            if examples:
                return f"{main.text} like {examples}", "class with examples"
        room = MAX_WORDS - len(head.split()) - 1
        if main.precision < 0.5 and near and room > 0:
            return f"{head} near {', '.join(near[: min(room, 3)])}", f"{main.kind} in context"
        return head, main.kind

    def lister(self, fired: Firings) -> Callable[[Sequence[int]], str]:
        """Writes lists of words as they are spelt where it fires, else as they are mostly spelt."""
        own = set(self.words.key[fired.word].tolist())

        @cache
        def spelt(key: int) -> str:
            if key in own:
                return self._phrases.of(fired, key, quoted=False)
            return self.counts.spelling(key)

        def listed(keys: Sequence[int]) -> str:
            if len(keys) == 1 and keys[0] in own:
                return self._phrases.of(fired, keys[0], quoted=True)
            return ", ".join(map(spelt, keys))

        return listed

    def examples(self, fired: Firings, count: int) -> str:
        """Words it peaks on, as they are spelt there."""
        keys = self._describer.leading(fired, count)
        return ", ".join(self._phrases.of(fired, key, quoted=False) for key in keys)

    def render(self, fired: Firings, main: Description) -> str:
        if main.kind in ("after", "before"):
            return main.text or f"{main.kind} " + ", ".join(
                self.counts.key_text(k, True) for k in main.keys
            )
        if main.kind != "words":
            return main.text
        shown: list[int] = []
        for key in main.keys:
            if not self._describer.variant(key, shown):
                shown.append(key)
        if len(shown) == 1:
            return self._phrases.of(fired, shown[0], quoted=True)
        return ", ".join(self._phrases.of(fired, key, quoted=False) for key in shown)

    def _modifier(self, fired: Firings, main: Description) -> str:
        """What stands before: one word, or a class of words; empty where it varies."""
        matched = self._matching(fired.word, main)
        if matched.sum() < 3 or "first words" in main.text or "sentence start" in main.text:
            return ""
        weight = fired.weight[matched] / fired.weight[matched].sum()
        found, inverse = np.unique(self.counts.previous[fired.word[matched]], return_inverse=True)
        share = np.bincount(inverse, weight)
        i = int(np.argmax(share))
        rate = float(self.counts.previous_count[found[i] + 1]) / self.counts.n
        if found[i] >= 0 and share[i] >= 0.5 and share[i] > 5 * rate:
            return self.counts.key_text(int(found[i]), quoted=True)
        before = fired.word[matched] - 1
        inside = (before >= 0) & (self.counts.previous[fired.word[matched]] >= 0)
        classes = self.words.classes[:, np.maximum(before, 0)] * inside
        of_class = classes @ weight
        lift = of_class / np.maximum(self.counts.class_count / self.counts.n, 1e-9)
        for c in (0, 1, 2, 4, 6, 7):
            if of_class[c] >= 0.75 and lift[c] >= 3:
                return CLASSES[c]
        return ""

    def _matching(self, word: Int64Array, main: Description) -> BoolArray:
        if main.kind == "words":
            return np.isin(self.words.key[word], np.asarray(main.keys, dtype=np.int64))
        if main.kind == "class":
            of_class: BoolArray = self.words.classes[CLASSES.index(main.text), word]
            return of_class
        return np.ones(len(word), dtype=np.bool_)
