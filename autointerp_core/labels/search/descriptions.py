"""Descriptions of what a feature fires on, each with its recall and precision.

A description is a test that any word of the corpus passes or fails: it is one of these
words, follows this word, stands in this phrase, ends in "-ing", is a year.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autointerp_core.arrays import Float64Array, Int64Array
from autointerp_core.labels.search.corpus_counts import CorpusCounts, Firings
from autointerp_core.labels.search.corpus_words import CLASSES
from autointerp_core.labels.search.ordering import Table
from autointerp_core.labels.search.phrases import Phrases

PEAKS = 60
"""Strongest words from which a diffuse feature's example words are taken."""


@dataclass(frozen=True)
class Description:
    """A description with its counts over the feature's firings and over the corpus."""

    kind: str
    text: str
    recall: float
    precision: float
    keys: tuple[int, ...] = ()

    @property
    def score(self) -> float:
        """F-score that counts recall 1.5 times as much as precision.

        A feature is often pickier than anything its words can say; a description that
        covers it is worth more than one that is only ever right.
        """
        weighted = 2.25 * self.precision + self.recall
        return 3.25 * self.recall * self.precision / weighted if weighted else 0.0


class Describer:
    """Finds the best description of a feature's firings."""

    def __init__(self, counts: CorpusCounts):
        self.counts = counts
        self.words = counts.words
        self.phrases = Phrases(counts)
        self._table = Table(counts.size)

    def best(self, fired: Firings) -> Description:
        """The best description of the words fired on."""
        # Of equals the first stands, and "According to" says more than "to".
        descriptions = self.all(fired)
        best = descriptions[0]
        for description in descriptions[1:]:
            # Words themselves say most; a pattern must explain clearly more.
            if description.score > best.score * (1.15 if best.kind == "words" else 1.001):
                best = description
        return best

    def all(self, fired: Firings) -> list[Description]:
        """Every description worth comparing, those by words first."""
        descriptions = [*self._words(fired), *self._phrases(fired)]
        descriptions += self._beside(fired, before=True) + self._beside(fired, before=False)
        descriptions += self._classes(fired) + self._pieces(fired)
        for last in (True, False):
            descriptions += self._affix(fired, last)
        return descriptions

    def _words(self, fired: Firings) -> list[Description]:
        key = self.words.key[fired.word]
        found, inverse = self._table.distinct(key)
        share = np.bincount(inverse, fired.weight)
        every = self.words.key[fired.every]
        at = np.searchsorted(found, every)
        known = (at < len(found)) & (found[np.minimum(at, len(found) - 1)] == every)
        hits = np.bincount(at[known], minlength=len(found))
        count = np.maximum(self.counts.key_count[found], 1)
        gain = share * np.log(np.maximum(share / (count / self.counts.n), 1.0))
        order = np.lexsort((found, -gain))[:24]
        keys: list[int] = []
        recall = matched = total = 0.0
        best: Description | None = None
        for i in order.tolist():
            if len(keys) == 4 and not self.variant(int(found[i]), keys):
                continue
            if keys and share[i] < 0.04 and not self.variant(int(found[i]), keys):
                continue
            r = recall + share[i]
            m, t = matched + hits[i], total + count[i]
            tried = Description("words", "", float(r), float(m / t), (*keys, int(found[i])))
            if best is None or tried.score > best.score * 1.02:
                best, recall, matched, total = tried, r, m, t
                keys.append(int(found[i]))
        return [best] if best is not None else []

    def leading(self, fired: Firings, count: int) -> list[int]:
        """The words a diffuse feature peaks on, strongest first: examples, not a description.

        Forms of one word count together, so that "love, lover, loved" stands out.
        """
        order = np.argsort(-fired.activation, kind="stable")[:PEAKS]
        keys = self.words.key[fired.word[order]]
        weight = fired.weight[order]
        found, inverse = np.unique(keys, return_inverse=True)
        share = np.bincount(inverse, weight) / weight.sum()
        ranked = [i for i in np.lexsort((found, -share)).tolist() if self._is_word(int(found[i]))]
        groups: list[tuple[int, float]] = []
        for i in ranked:
            key = int(found[i])
            home = next((n for n, (k, _) in enumerate(groups) if self.variant(key, [k])), None)
            if home is None:
                groups.append((key, float(share[i])))
            else:
                groups[home] = (groups[home][0], groups[home][1] + float(share[i]))
        usual = np.maximum(self.counts.key_count / self.counts.n, 0.5 / self.counts.n)
        groups.sort(key=lambda g: (-g[1] * max(0.0, float(np.log(g[1] / usual[g[0]]))), g[0]))
        return [key for key, _ in groups[:count]]

    def _is_word(self, key: int) -> bool:
        text = self.words.keys[key]
        return text[0].isalpha() and (len(text) > 1 or not text.isascii())

    def variant(self, key: int, keys: list[int]) -> bool:
        """True for another form (plural, tense) of a word already in the list."""
        text = self.words.keys[key]
        return any(is_form_of(text, self.words.keys[k]) for k in keys)

    def _beside(self, fired: Firings, *, before: bool) -> list[Description]:
        """Follows (or precedes) one of up to three words."""
        beside = self.counts.previous if before else self.counts.next
        counts = self.counts.previous_count if before else self.counts.next_count
        kind = "after" if before else "before"
        neighbour = beside[fired.word]
        found, inverse = self._table.distinct(neighbour)
        share = np.bincount(inverse, fired.weight)
        every = beside[fired.every]
        at = np.minimum(np.searchsorted(found, every), len(found) - 1)
        hits = np.bincount(at[found[at] == every], minlength=len(found))
        keys: list[int] = []
        recall = matched = total = 0.0
        best: Description | None = None
        for i in np.lexsort((found, -share))[:8].tolist():
            if found[i] < 0 or len(keys) == 3 or (keys and share[i] < 0.08):
                continue
            r, m = recall + share[i], matched + hits[i]
            t = total + max(int(counts[found[i] + 1]), 1)
            tried = Description(kind, "", float(r), float(m / t), (*keys, int(found[i])))
            if best is None or tried.score > best.score * 1.02:
                best, recall, matched, total = tried, r, m, t
                keys.append(int(found[i]))
        return [best] if best is not None and best.recall >= 0.4 else []

    def _phrases(self, fired: Firings) -> list[Description]:
        """The commonest peak word, or the commonest word before the peak, as a longer phrase."""
        out = []
        for kind, shift, keys in (
            ("phrase", 0, self.words.key[fired.word]),
            ("after", 1, self.counts.previous[fired.word]),
        ):
            found, inverse = self._table.distinct(keys)
            share = np.bincount(inverse, fired.weight)
            i = int(np.argmax(share))
            key = int(found[i])
            if key < 0 or share[i] < 0.5 or not self.words.keys[key][0].isalnum():
                continue
            chosen = keys == key
            at, weight = fired.word[chosen] - shift, fired.weight[chosen]
            before, after = self.phrases.grow(at, weight, key, forward=not shift)
            if not before and not after:
                continue
            pattern = self._common(at, weight, before, after)
            matches = self._occurrences(key, pattern, before)
            hits = int(np.isin(matches + shift, fired.every).sum())
            recall = float(weight[np.isin(at, matches)].sum())
            text = f'"{self.phrases.spelt(at, weight, before, after)}"'
            out.append(
                Description(
                    kind,
                    f"after {text}" if shift else text,
                    recall,
                    hits / max(len(matches), 1),
                    tuple(pattern),
                )
            )
        return out

    def _common(self, at: Int64Array, weight: Float64Array, before: int, after: int) -> list[int]:
        """Keys of the neighbours that :meth:`.Phrases.grow` found, in text order."""
        out = []
        for distance in range(-before, after + 1):
            place = np.clip(at + distance, 0, len(self.words) - 1)
            found, inverse = np.unique(self.words.key[place], return_inverse=True)
            out.append(int(found[int(np.argmax(np.bincount(inverse, weight)))]))
        return out

    def _occurrences(self, key: int, pattern: list[int], before: int) -> Int64Array:
        """Words with this key, that the model was asked about, around which the pattern stands."""
        low, high = self.counts.where_bounds[key : key + 2]
        at = self.counts.where[low:high]
        at = at[self.counts.asked[at]]
        for index, wanted in enumerate(pattern):
            place = at + (index - before)
            inside = (place >= 0) & (place < len(self.words))
            at, place = at[inside], place[inside]
            same = self.words.document[place] == self.words.document[at]
            at = at[same & (self.words.key[place] == wanted)]
        return at

    def _classes(self, fired: Firings) -> list[Description]:
        share = self.words.classes[:, fired.word] @ fired.weight
        hits = self.counts.in_classes(self.counts.class_bits, fired.every)
        out = [
            Description("class", name, float(r), float(h / max(int(c), 1)))
            for name, r, h, c in zip(CLASSES, share, hits, self.counts.class_count, strict=True)
            if r >= 0.6
        ]
        share = self.words.classes_before[:, fired.word] @ fired.weight
        hits = self.counts.in_classes(self.counts.class_before_bits, fired.every)
        # Marks before are told one by one: "after comma" says more than "after punctuation".
        out += [
            Description("after class", f"after {name}", float(r), float(h / max(int(c), 1)))
            for name, r, h, c in zip(
                CLASSES, share, hits, self.counts.class_before_count, strict=True
            )
            if r >= 0.75 and name != "punctuation"
        ]
        return out

    def _affix(self, fired: Firings, last: bool) -> list[Description]:
        out = []
        key, every = self.words.key[fired.word], self.words.key[fired.every]
        columns = self.counts.ends if last else self.counts.starts
        counts = self.counts.end_count if last else self.counts.start_count
        distinct = len(self._table.distinct(key)[0])
        for length, column, count in zip((4, 3, 2), columns[::-1], counts[::-1], strict=True):
            affix = column[key]
            found, inverse = self._table.distinct(affix)
            share = np.bincount(inverse, fired.weight)
            if found[0] < 0:
                share[0] = 0.0
            i = int(np.argmax(share))
            recall = float(share[i])
            if recall < 0.6 or distinct < 5:
                continue
            hits = int((column[every] == found[i]).sum())
            text = self.counts.affix_text[last, length][int(found[i])]
            shown = f'words ending in "-{text}"' if last else f'words starting with "{text}-"'
            if len(np.unique(key[affix == found[i]])) >= 5:
                out.append(
                    Description("affix", shown, recall, hits / max(int(count[found[i] + 1]), 1))
                )
        return out

    def _pieces(self, fired: Firings) -> list[Description]:
        """One sub-word token that occurs inside many different words."""
        ids = np.asarray(self.counts.study.tokens.ids)[fired.token].astype(np.int64)
        found, inverse = np.unique(ids, return_inverse=True)
        share = np.bincount(inverse, fired.token_weight)
        i = int(np.argmax(share))
        where = fired.token[ids == found[i]]
        word = self.words.token_word[where]
        if share[i] < 0.4 or self.words.token_whole[where].mean() > 0.5:
            return []
        inside = self.words.key[word]
        if np.bincount(np.unique(inside, return_inverse=True)[1]).max() > 0.5 * len(inside):
            return []
        ends = np.asarray(self.counts.study.tokens.ends)
        piece = self.counts.study.tokens.pieces(int(where[0]), int(where[0]) + 1)[0].strip()
        if not piece or not piece.isalnum():
            return []
        at_end = float((ends[where] >= self.words.stop[word]).mean())
        at_start = float((ends[where] - self.words.start[word] <= len(piece.encode())).mean())
        if at_end > 0.7:
            text = f'words ending in "-{piece}"'
        elif at_start > 0.7:
            text = f'words starting with "{piece}-"'
        else:
            text = f'{"numbers" if piece.isdigit() else "words"} containing "{piece}"'
        count = max(int(self.counts.token_count[found[i]]), 1)
        hits = min(len(where), count)
        return [Description("piece", text, float(share[i]), hits / count)]


def is_form_of(text: str, other: str) -> bool:
    """Whether two words (of one case) are forms of one, as "war" and "wars", "rose" and "roses"."""
    shared = min(len(text), len(other))
    stem = max(shared - 1, 3)
    return shared >= 3 and abs(len(text) - len(other)) <= 2 and text[:stem] == other[:stem]
