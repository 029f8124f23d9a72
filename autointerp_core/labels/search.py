"""Search labels: a label from counting alone, without a language model.

What a feature fires on is compared with everything it does not fire on. Each candidate
description is a test that any word of the corpus passes or fails (is one of these words;
follows this word; ends in "-ing"; is a year), so its recall (share of the feature's
activation it explains) and precision (how often the feature fires where the test holds)
can be counted, and the best F-score wins. Context words come from the windows around the
peaks, against the same documents' other text and the whole corpus.

No list of topics or stop words: a frequent word explains nothing because it is frequent
everywhere. The same study gives the same labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autointerp_core.labels.clean import limit_words
from autointerp_core.labels.context import ContextWords
from autointerp_core.labels.counts import CorpusCounts, Firings, Floats, Ints
from autointerp_core.labels.describe import Candidate, Describer
from autointerp_core.labels.units import CLASSES
from autointerp_core.progress import Progress, ProgressCallback, silent
from autointerp_core.store.study import Study

METHOD = "search-v1"
MAX_WORDS = 9
DEAD = "never fires in this study"


@dataclass(frozen=True)
class SearchLabel:
    """A search label, or why there is none. ``evidence`` is plain JSON."""

    feature: int
    text: str | None
    evidence: dict[str, Any] = field(default_factory=dict)
    error: str | None = None


class SearchLabeler:
    """Makes search labels for the features of one study.

    Args:
        study: the study; its texts are read once, on construction.
        documents: use only these documents (so that the others can test the labels).
    """

    def __init__(self, study: Study, documents: Sequence[int] | None = None):
        self.study = study
        self.counts = CorpusCounts(study, documents)
        self.units = self.counts.units
        self._describer = Describer(self.counts)
        self._context = ContextWords(self.counts, self._describer)

    def label(self, feature: int) -> SearchLabel:
        """The label of one feature.

        Raises:
            BadInput: the feature is not in the study.
        """
        return next(self.label_all([feature]))

    def label_all(
        self, features: Sequence[int], progress: ProgressCallback = silent
    ) -> Iterator[SearchLabel]:
        """Labels in ascending feature order, made as they are asked for.

        Raises:
            BadInput: a feature is not in the study.
        """
        wanted = np.unique(np.asarray(features, dtype=np.int64))
        for feature in wanted[~np.isin(wanted, self.study.features)]:
            self.study.stats(int(feature))
        for done, (feature, token, activation) in enumerate(self.counts.firings(wanted), start=1):
            yield self._label(feature, token, activation)
            if done % 32 == 0 or done == len(wanted):
                progress(Progress("search labels", done, len(wanted), "features"))

    def _label(self, feature: int, token: Ints, activation: Floats) -> SearchLabel:
        if not len(token):
            return SearchLabel(feature, None, {"firings": 0}, DEAD)
        usable = self.counts.usable[token]
        if not usable.any():
            # Only white space between the words: a fact about the text, so it is the label.
            return SearchLabel(feature, "white space", {"firings": len(token)})
        fired = self.counts.by_unit(token[usable], activation[usable])
        main = self._describer.best(fired)
        topic, shares = self._context.find(fired, main.keys)
        text, parts = self._compose(fired, main, topic, shares)
        evidence = {
            "method": METHOD,
            "firings": len(token),
            "kind": parts,
            "recall": round(main.recall, 3),
            "precision": round(main.precision, 3),
            "context": {
                self.counts.key_text(k): round(s, 3) for k, s in zip(topic, shares, strict=True)
            },
        }
        return SearchLabel(feature, limit_words(text, MAX_WORDS), evidence)

    def _compose(
        self, fired: Firings, main: Candidate, topic: list[int], shares: list[float]
    ) -> tuple[str, str]:
        """The label's text, and in a word what kind it is."""
        head = self._render(fired, main)
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
            examples = self._examples(fired, 4)
            return (examples, "examples") if examples else (head, main.kind)
        if main.text == "capitalised names" and main.precision < 0.3 and not marked:
            examples = self._examples(fired, 3)
            if examples:
                return f"{main.text} like {examples}", "class with examples"
        room = MAX_WORDS - len(head.split()) - 1
        if main.precision < 0.5 and near and room > 0:
            return f"{head} near {', '.join(near[: min(room, 3)])}", f"{main.kind} in context"
        return head, main.kind

    def _examples(self, fired: Firings, count: int) -> str:
        """Words it peaks on, as they are spelt there."""
        keys = self._describer.leading(fired, count)
        return ", ".join(self._describer.phrase(fired, key, quoted=False) for key in keys)

    def _modifier(self, fired: Firings, main: Candidate) -> str:
        """What stands before: one word, or a class of words; empty where it varies."""
        matched = self._matching(fired.unit, main)
        if matched.sum() < 3 or "first words" in main.text or "sentence start" in main.text:
            return ""
        weight = fired.weight[matched] / fired.weight[matched].sum()
        found, inverse = np.unique(self.counts.previous[fired.unit[matched]], return_inverse=True)
        share = np.bincount(inverse, weight)
        i = int(np.argmax(share))
        rate = float(self.counts.previous_count[found[i] + 1]) / self.counts.n
        if found[i] >= 0 and share[i] >= 0.5 and share[i] > 5 * rate:
            return self.counts.key_text(int(found[i]), quoted=True)
        before = fired.unit[matched] - 1
        inside = (before >= 0) & (self.counts.previous[fired.unit[matched]] >= 0)
        classes = self.units.classes[:, np.maximum(before, 0)] * inside
        of_class = classes @ weight
        lift = of_class / np.maximum(self.counts.class_count / self.counts.n, 1e-9)
        for c in (0, 1, 2, 4, 6, 7):
            if of_class[c] >= 0.75 and lift[c] >= 3:
                return CLASSES[c]
        return ""

    def _matching(self, unit: Ints, main: Candidate) -> NDArray[np.bool_]:
        if main.kind == "words":
            return np.isin(self.units.key[unit], np.asarray(main.keys, dtype=np.int64))
        if main.kind == "class":
            of_class: NDArray[np.bool_] = self.units.classes[CLASSES.index(main.text), unit]
            return of_class
        return np.ones(len(unit), dtype=np.bool_)

    def _render(self, fired: Firings, main: Candidate) -> str:
        if main.kind == "after":
            return main.text or "after " + ", ".join(
                self.counts.key_text(k, True) for k in main.keys
            )
        if main.kind != "words":
            return main.text
        shown: list[int] = []
        for key in main.keys:
            if not self._describer.variant(key, shown):
                shown.append(key)
        if len(shown) == 1:
            return self._describer.phrase(fired, shown[0], quoted=True)
        return ", ".join(self._describer.phrase(fired, key, quoted=False) for key in shown)
