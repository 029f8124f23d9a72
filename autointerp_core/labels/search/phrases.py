"""Words as they are written where a feature fires: with the neighbours they always have there."""

from __future__ import annotations

import numpy as np

from autointerp_core.arrays import Float64Array, Int64Array
from autointerp_core.labels.search.corpus_counts import CorpusCounts, Firings


class Phrases:
    """Spells words out, by the documents that counts were made from."""

    def __init__(self, counts: CorpusCounts):
        self.counts, self.words = counts, counts.words

    def of(self, fired: Firings, key: int, *, quoted: bool) -> str:
        """The word, with the neighbours it nearly always has where the feature fires on it."""
        here = self.words.key[fired.word] == key
        at, weight = fired.word[here], fired.weight[here]
        if not self.words.keys[key][0].isalnum():
            name = self.counts.key_text(key, quoted=True)
            mark = self.words.keys[key]
            return f"{name} ({mark})" if name[0].isalpha() and mark.isprintable() else name
        # In a list the words themselves are the point, as long as they are words.
        alone = not quoted and not self.counts.bare[key]
        before, after = (0, 0) if alone else self.grow(at, weight, key)
        text = self.spelt(at, weight, before, after)
        return f'"{text}"' if quoted else text

    def grow(
        self, at: Int64Array, weight: Float64Array, key: int, *, forward: bool = True
    ) -> tuple[int, int]:
        """Neighbours to the left and right shared by 70 % of the occurrences fired on.

        Between words with spaces a neighbour must also tell something: the feature picks its
        company out of the word's other uses, or the neighbour hardly ever stands elsewhere
        ("net" before "loss"). Characters of scripts without spaces always join.
        """
        if len(at) < 3:
            return 0, 0
        bare = self.counts.bare[key]
        everywhere = self.counts.where[
            self.counts.where_bounds[key] : self.counts.where_bounds[key + 1]
        ]
        before = after = 0
        for step in (-1, 1) if forward else (-1,):
            for _ in range(2):
                distance = step * ((before if step < 0 else after) + 1)
                place = at + distance
                inside = (place >= 0) & (place < len(self.words))
                inside &= (
                    self.words.document[np.clip(place, 0, len(self.words) - 1)]
                    == (self.words.document[at])
                )
                if inside.sum() < 3:
                    break
                neighbour = self.words.key[place[inside]]
                found, inverse = np.unique(neighbour, return_inverse=True)
                share = np.bincount(inverse, weight[inside]) / weight.sum()
                i = int(np.argmax(share))
                near = int(found[i])
                if share[i] < 0.7 or not self.words.keys[near][0].isalnum():
                    break
                if bare != self.counts.bare[near]:
                    break
                beside = everywhere + distance
                beside = beside[(beside >= 0) & (beside < len(self.words))]
                together = int((self.words.key[beside] == near).sum())
                usual = together / len(everywhere)
                own = together / (
                    self.counts.where_bounds[near + 1] - self.counts.where_bounds[near]
                )
                if not bare and share[i] < 1.4 * usual and own < 0.5:
                    break
                if step < 0:
                    before += 1
                else:
                    after += 1
        return before, after

    def spelt(self, at: Int64Array, weight: Float64Array, before: int, after: int) -> str:
        """The commonest exact spelling of the phrase, from the text of the documents."""
        counted: dict[str, float] = {}
        if not before and not after and len(at):
            surface, inverse = np.unique(self.words.surface[at], return_inverse=True)
            for number, w in zip(surface.tolist(), np.bincount(inverse, weight), strict=True):
                text = " ".join(self.words.surfaces[number].text.split())
                counted[text] = counted.get(text, 0.0) + float(w)
            return min(counted, key=lambda text: (-round(counted[text], 9), text))
        for place, w in zip(at.tolist(), weight.tolist(), strict=True):
            low, high = place - before, place + after
            if low < 0 or high >= len(self.words):
                continue
            raw = self.counts.study.tokens.text[self.words.start[low] : self.words.stop[high]]
            text = " ".join(raw.tobytes().decode("utf-8").split())
            counted[text] = counted.get(text, 0.0) + w
        return min(counted, key=lambda text: (-round(counted[text], 9), text))
