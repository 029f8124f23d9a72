"""Search labels: a label from counting and word vectors, without a language model.

What a feature fires on is compared with everything it does not fire on. Each candidate
description is a test that any word of the corpus passes or fails (is one of these words;
follows this word; ends in "-ing"; is a year), so its recall (share of the feature's
activation it explains) and precision (how often the feature fires where the test holds)
can be counted, and the best F-score wins. Context words come from the windows around the
peaks, against the same documents' other text and the whole corpus.

No list of topics or stop words: a frequent word explains nothing because it is frequent
everywhere. Where no test holds for most of what a feature fires on, the words that stand best
for all of it are looked for (:mod:`.word_lists`), and the phrasing that tells the feature's windows
best from silent ones is taken. The same study gives the same labels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from autointerp_core.arrays import Float64Array, Int64Array
from autointerp_core.labels.embedders import (
    WORDLLAMA,
    Embedder,
    KnownTexts,
    default_embedder,
)
from autointerp_core.labels.explain.parse_answer import limit_words
from autointerp_core.labels.search.categories import category, plural
from autointerp_core.labels.search.compose import MAX_WORDS, Composer
from autointerp_core.labels.search.context_words import ContextWords
from autointerp_core.labels.search.corpus_counts import CorpusCounts, Firings
from autointerp_core.labels.search.corpus_words import CorpusWords
from autointerp_core.labels.search.descriptions import Describer, Description, is_form_of
from autointerp_core.labels.search.fitting_words import LISTS as FITTED
from autointerp_core.labels.search.fitting_words import FittingWords
from autointerp_core.labels.search.semantic_form import semantic_form
from autointerp_core.labels.search.word_lists import Choice, FeatureWindows, WordLists
from autointerp_core.progress import Progress, ProgressCallback, silent
from autointerp_core.store.event_details import SearchEvidence
from autointerp_core.store.study import Study

METHOD, FITTED_METHOD = "search-v3", "search-v5"
"""Raised where the same study gives another label: those that are there are then made anew. The
second one's words are chosen by another embedder than wordllama (``search_embedder``)."""
DEAD = "never fires in this study"
_LOOSE = (
    "words",
    "examples",
    "context",
    "words in context",
    "words after a word",
    "class with examples",
)
"""Kinds of labels that name words. A pattern that holds is not judged by words."""
CATEGORY_WORDS = 40
"""Commonest peak words that a category is looked for among."""
COMPARED = 8
"""Lists of words compared, as whole labels, with the words that counting found."""
TOLD = 0.9
"""Share of what a feature fires on that words must cover to need no others beside them."""
WORTH = 0.05
"""AUROC that a category may cost."""
_SAID = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
STRONGEST, DOMINANT = 20, 0.6
"""The word on which so large a share of the strongest peaks lies is in the label in any case."""


@dataclass(frozen=True)
class SearchLabel:
    """A search label, or why there is none."""

    feature: int
    text: str | None
    evidence: SearchEvidence
    error: str | None = None


@dataclass(frozen=True)
class _Look:
    """What was counted about one feature."""

    fired: Firings
    main: Description
    topic: list[int]
    shares: list[float]
    common: list[int]
    """Keys of the words it peaks on, the commonest first."""
    category: str | None
    """What most of the words it peaks on are kinds of, in the plural."""
    dominant: int | None
    """Key of the word that most of the strongest peaks are on, if there is one."""
    choice: Choice | None
    """What lists of words about it are made of."""
    windows: FeatureWindows | None


class SearchLabeler:
    """Makes search labels for the features of one study.

    Args:
        study: the study; its texts are read once, for the first label.
        documents: use only these documents (so that the others can test the labels).
        embedder: compares labels with windows; by default wordllama, which takes no time.
    """

    def __init__(
        self,
        study: Study,
        documents: Sequence[int] | None = None,
        embedder: Embedder | None = None,
    ):
        self.study, self.documents = study, documents
        self.embedder = embedder or default_embedder()

    @property
    def method(self) -> str:
        """How labels are made here, as it is recorded with them."""
        return METHOD if self.embedder.name == WORDLLAMA else FITTED_METHOD

    @cached_property
    def _fitting(self) -> FittingWords | None:
        if self.method == METHOD:
            return None
        return FittingWords(self.counts, self._word_lists.vocabulary, KnownTexts(self.embedder))

    @cached_property
    def counts(self) -> CorpusCounts:
        return CorpusCounts(self.study, self.documents)

    @property
    def words(self) -> CorpusWords:
        """The words of the study's texts."""
        return self.counts.words

    @cached_property
    def _describer(self) -> Describer:
        return Describer(self.counts)

    @cached_property
    def _composer(self) -> Composer:
        return Composer(self.counts, self._describer)

    @cached_property
    def _context(self) -> ContextWords:
        return ContextWords(self.counts, self._describer)

    @cached_property
    def _word_lists(self) -> WordLists:
        return WordLists(self.counts)

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

    def candidates(self, feature: int, limit: int = 16) -> list[str]:
        """Different short phrases that could be the feature's label; the search label is first.

        Empty for a feature that never fires (in the documents used).

        Raises:
            BadInput: the feature is not in the study.
        """
        if not np.isin(feature, self.study.features):
            self.study.stats(feature)
        _, token, activation = next(self.counts.firings(np.asarray([feature], dtype=np.int64)))
        label = self._label(feature, token, activation)
        if label.text is None:
            return []
        found = [label.text]
        usable = self.counts.usable[token]
        if usable.any():
            found += self._phrases(self._look(token[usable], activation[usable]))
        out: dict[str, str] = {}
        for text in found:
            short = limit_words(text, MAX_WORDS)
            out.setdefault(short.casefold(), short)
        return list(out.values())[:limit]

    def _label(self, feature: int, token: Int64Array, activation: Float64Array) -> SearchLabel:
        if not len(token):
            return SearchLabel(feature, None, SearchEvidence(firings=0), DEAD)
        usable = self.counts.usable[token]
        if not usable.any():
            # Only white space between the words: a fact about the text, so it is the label.
            return SearchLabel(feature, "white space", SearchEvidence(firings=len(token)))
        look = self._look(token[usable], activation[usable])
        text, kind, auroc = self._choose(look)
        text = self._with_dominant(text, look)
        evidence = SearchEvidence(
            method=self.method,
            firings=len(token),
            kind=kind,
            recall=look.main.recall,
            precision=look.main.precision,
            auroc=auroc,
            context={
                self.counts.key_text(k): s for k, s in zip(look.topic, look.shares, strict=True)
            },
            form=self._form(text, kind, look),
        )
        return SearchLabel(feature, limit_words(text, MAX_WORDS), evidence)

    def _form(self, text: str, kind: str, look: _Look) -> str:
        context = [self.counts.key_text(key) for key in look.topic]
        said = _SAID.findall(text.split(" near ")[0].split(": ")[-1])
        category = text.split(": ")[0] if kind == "category" else None
        return semantic_form(kind, said, text.split(" near ")[0], category, context)

    def _look(self, token: Int64Array, activation: Float64Array) -> _Look:
        """Everything counted about one feature, from its firings at usable tokens."""
        fired = self.counts.by_word(token, activation)
        main = self._describer.best(fired)
        topic, shares = self._context.find(fired, main.keys)
        peaks = self._peaks(token, activation)
        choice = self._word_lists.choice(peaks)
        windows = self._word_lists.windows(peaks, fired.every) if choice is not None else None
        found, times = np.unique(self.words.key[peaks], return_counts=True)
        order = np.argsort(-times, kind="stable")[:CATEGORY_WORDS]
        named = category({self.words.keys[found[i]]: float(times[i]) for i in order.tolist()})
        common = found[order].tolist()
        kinds = plural(named.name) if named else None
        dominant = self._dominant(self.words.key[peaks[:STRONGEST]])
        return _Look(fired, main, topic, shares, common, kinds, dominant, choice, windows)

    def _lists(self, look: _Look, count: int) -> list[str]:
        """The best lists of words about a feature, written out."""
        if look.choice is None or look.windows is None:
            return []
        written = self._composer.lister(look.fired)
        if self._fitting is not None:
            found = self._fitting.lists(look.choice, look.fired.every, written)
            return [text for text, _ in found[:count]]
        best = self._word_lists.best(look.choice, look.fired.every)
        return [written(listed.keys) for listed in best[:count]]

    def _dominant(self, strongest: Int64Array) -> int | None:
        """The one word behind most of the strongest peaks; marks and numbers are no words."""
        found, times = np.unique(strongest, return_counts=True)
        at = int(np.argmax(times))
        word = self.words.keys[found[at]]
        is_word = any(c.isalpha() for c in word) and not any(c.isdigit() for c in word)
        return int(found[at]) if times[at] >= DOMINANT * len(strongest) and is_word else None

    def _with_dominant(self, text: str, look: _Look) -> str:
        """The label, begun with the dominant word where it does not have it in any form."""
        if look.dominant is None:
            return text
        word = self.words.keys[look.dominant]
        said = _SAID.findall(text.casefold())
        if word in said or any(is_form_of(word, other) for other in said):
            return text
        return f"{self._describer.phrases.of(look.fired, look.dominant, quoted=False)}, {text}"

    def _peaks(self, token: Int64Array, activation: Float64Array) -> Int64Array:
        """Word of the peak of every sequence, strongest first."""
        first = self.study.tokens.sequence_peaks(token, activation)
        words: Int64Array = self.words.token_word[token[first]]
        return words

    def _choose(self, look: _Look) -> tuple[str, str, float | None]:
        """The label, its kind, and how well its words tell the feature's windows from others."""
        text, kind = self._composer.label(look.fired, look.main, look.topic, look.shares)
        main = look.main
        if main.text in ("years", "numbers") and kind.startswith("class") and main.precision < 0.8:
            digits = [key for key in look.common if self.words.keys[key][0].isnumeric()]
            if digits:
                shown = ", ".join(self.counts.spelling(key) for key in digits[:2])
                text, kind = f"{main.text}: {shown}", "class with examples"
        elif kind == "class with examples" and look.category:
            text = self._composer.examples(
                look.fired, 3
            )  # what they are says more than how they are written
        weak = main.precision < 0.5 and main.recall < 0.9
        # Where a few words are what it fires on, further ones would only dress them up.
        told = kind == "words" and main.recall >= TOLD
        if not (kind in _LOOSE or weak):
            return text, kind, None
        value = None
        if look.windows is not None:
            text, kind, value = self._best_list(look, look.windows, text, kind, told)
        named = f"{look.category}: {text}"
        room = len(named.split()) <= MAX_WORDS and " near " not in text
        if not look.category or not room or self._repeats(look.category, text):
            return text, kind, value
        if look.windows is None or value is None:
            return named, "category", None
        with_category = self._auroc([named], look, look.windows)[0]
        # A category says more to a person, so it may cost a little.
        if with_category >= value - WORTH:
            return named, "category", with_category
        return text, kind, value

    def _best_list(
        self, look: _Look, windows: FeatureWindows, text: str, kind: str, told: bool
    ) -> tuple[str, str, float]:
        """What counting found or a list of words, whichever tells the windows apart better."""
        texts = [text]
        if not told:
            texts += self._lists(look, COMPARED if self._fitting is None else FITTED)
        auroc = self._auroc(texts, look, windows)
        value = auroc
        if self._fitting is not None and look.choice is not None:
            value = self._fitting.values(texts, look.choice.peaks, look.fired.every)
        best = int(np.argmax(value))
        return texts[best], "near words" if best else kind, auroc[best]

    def _auroc(self, texts: Sequence[str], look: _Look, windows: FeatureWindows) -> list[float]:
        """How well whole labels tell the feature's windows from silent ones."""
        if self._fitting is not None and look.choice is not None:
            return self._fitting.auroc(texts, look.choice.peaks, look.fired.every)
        found: list[float] = self._word_lists.texts_auroc(texts, windows).tolist()
        return found

    def _repeats(self, named: str, text: str) -> bool:
        """Whether a label says a category's name already."""
        last = named.split()[-1].casefold()
        return any(
            word[:-1] and last.startswith(word[:-1].casefold()) and len(word) >= len(last) - 2
            for word in text.replace(",", "").split()
        )

    def _phrases(self, look: _Look) -> list[str]:
        """Phrases of different kinds about a feature, the more telling ones first."""
        fired, main = look.fired, look.main
        described = sorted(self._describer.all(fired), key=lambda c: -c.score)
        texts = [self._composer.label(fired, main, look.topic, look.shares)[0]]
        texts += [look.category] if look.category else []
        texts += self._lists(look, 2)
        texts += [self._composer.render(fired, description) for description in described]
        context = [self.counts.key_text(key) for key in look.topic]
        if context:
            texts.append(f"text about {', '.join(context[:4])}")
            texts += context[:3]
        texts += [
            self._describer.phrases.of(fired, key, quoted=False)
            for key in self._describer.leading(fired, 4)
        ]
        texts.append(self._composer.examples(fired, 3))
        return [text for text in texts if text]
