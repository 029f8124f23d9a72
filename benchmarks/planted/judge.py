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

from autointerp_core.labels.scoring.judge import FitQuestion, Judge, Judgement
from benchmarks.planted.concepts import LEXICAL_CONCEPTS, Concept, Span, label_words
from benchmarks.planted.patterns import PATTERN_CONCEPTS

_WORD = re.compile(r"[^\W_]+")


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
    if question.marked is None:
        return bool(spans)
    ends = np.cumsum([len(token) for token in tokens]).tolist()
    hits = sum(
        any(low < ends[i] and ends[i] - len(tokens[i].lstrip()) < high for low, high in spans)
        for i in question.marked
    )
    return 2 * hits >= len(question.marked)


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
    return tuple(c for c in (*LEXICAL_CONCEPTS, *PATTERN_CONCEPTS) if c.named_by(label))
