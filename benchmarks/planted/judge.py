"""A judge without a model: it reads the label as a person who knows the planted concepts would.

A label that names concepts, by the naming rule, is judged by their rules on the window's text.
One that names none is taken at its word: the window holds it where it holds one of its words.
The judge does not know which feature it is asked about.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np

from autointerp_core.labels.scoring.choice_judge import Choice, ChoiceJudge, ChoiceQuestion
from autointerp_core.labels.scoring.judge import FitQuestion, Judge, Judgement
from autointerp_core.labels.scoring.sample_windows import Window
from benchmarks.planted.concepts import LEXICAL_CONCEPTS, Concept, Span, label_words
from benchmarks.planted.patterns import PATTERN_CONCEPTS

_WORD = re.compile(r"[^\W_]+")
_SLIP = 0.05
"""How often what is marked is not of the concept though the feature fires there."""
_ALL: tuple[Concept, ...] = (*LEXICAL_CONCEPTS, *PATTERN_CONCEPTS)


class PlantedJudge(Judge):
    """Decides from the window's text and the label alone."""

    name = "rule"

    def judge(
        self, questions: Sequence[FitQuestion], *, fresh: bool = False
    ) -> Iterator[Judgement]:
        for index, question in enumerate(questions):
            yield Judgement(index, float(_holds(question)))


def _holds(question: FitQuestion) -> bool:
    tokens = question.window.example.tokens
    spans = spans_of(question.label, "".join(tokens))
    return bool(spans) if question.marked is None else _marks(tokens, question.marked, spans)


def _marks(tokens: Sequence[str], marked: Sequence[int], spans: Sequence[Span]) -> bool:
    """Whether at least half of the marked tokens lie in the spans of the text."""
    ends = np.cumsum([len(token) for token in tokens]).tolist()
    hits = sum(
        any(low < ends[i] and ends[i] - len(tokens[i].lstrip()) < high for low, high in spans)
        for i in marked
    )
    return 2 * hits >= len(marked)


class PlantedChoiceJudge(ChoiceJudge):
    """Finds the odd one out as a person who knows the planted concepts would.

    It weighs every concept and every window: how much likelier is what is marked where all other
    windows are of the concept (but for one in ``_SLIP``) and this one is as any window, than where
    all are as any window are? It takes the likeliest, and does not know which feature it is asked
    about.
    """

    name = "rule"

    def choose(
        self, questions: Sequence[ChoiceQuestion], *, fresh: bool = False
    ) -> Iterator[Choice]:
        tables = [
            np.array(
                [_belongs(w, m) for w, m in zip(q.windows, q.marked, strict=True)], dtype=np.bool_
            )
            for q in questions
        ]
        if not tables:
            return
        every = np.concatenate(tables)
        share = (every.sum(axis=0) + 1) / (len(every) + 2)
        for index, table in enumerate(tables):
            of_concept = np.where(table, np.log(1 - _SLIP), np.log(_SLIP))
            of_any = np.where(table, np.log(share), np.log(1 - share))
            gained = of_concept - of_any
            # All but this one are of the concept.
            likelier = gained.sum(axis=0, keepdims=True) - gained
            best = likelier.max(axis=1)
            # Where nothing tells them apart, a turn each: always the first would not be a guess.
            alike = np.flatnonzero(best >= best.max() - 1e-9)
            yield Choice(index, int(alike[index % len(alike)]))


def _belongs(window: Window, marked: tuple[int, ...]) -> list[bool]:
    """Which concepts the marked tokens of a window belong to."""
    tokens = window.example.tokens
    text = "".join(tokens)
    return [_marks(tokens, marked, concept.fires(text)) for concept in _ALL]


def spans_of(label: str, text: str) -> list[Span]:
    """Where a text holds what a label says."""
    concepts = named(label)
    if concepts:
        return [span for concept in concepts for span in concept.fires(text)]
    words = set(label_words(label))
    return [m.span() for m in _WORD.finditer(text) if words.intersection(label_words(m.group()))]


@cache
def named(label: str) -> tuple[Concept, ...]:
    """The concepts that a label names."""
    return tuple(c for c in _ALL if c.named_by(label))
