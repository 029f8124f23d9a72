"""Toy studies to score labels on, and judges that decide by rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from autointerp_core.labels.scoring.judge import FitQuestion, Judge, Judgement
from autointerp_core.store.study import Study
from tests.core.label_fixtures import Fire, on_words, write_study

_COMMON = """
the a of to in that was for on with as his they at be this from have or by one had not but what
all were when we there can an your which their said if do will each about how up out them then
she many some so these would other into has more her two like him see time could no make than
first been its who now people my made over did down only way find use may water long little very
after words called just where most know get through back much before go good new write our used
me man too any day same right look think also around another came come work three word must
because does part even place well such here take why help put
"""
FILLER = tuple(_COMMON.split())
DAYS = ("monday", "tuesday", "friday", "sunday")
TREES = ("oak", "birch", "willow", "pine")
FRUIT = ("apple", "cherry", "plum", "pear")
CONCEPTS = {"days of the week": DAYS, "kinds of trees": TREES, "fruit": FRUIT}


def documents(
    count: int, *, seed: int = 0, length: int = 120, rate: float = 0.02, repeats: int = 0
) -> list[str]:
    """Texts of common words with members of the concepts thrown in; some are there twice."""
    generator = np.random.default_rng(seed)
    texts = []
    for _ in range(count):
        words = generator.choice(FILLER, int(generator.integers(length // 2, length + 1)))
        for members in CONCEPTS.values():
            if generator.random() < 0.6:
                at = np.flatnonzero(generator.random(len(words)) < rate)
                words[at] = generator.choice(members, len(at))
        texts.append(" ".join(words.tolist()) + ".")
    return [*texts, *texts[:repeats]]


def graded(*words: str) -> Fire:
    """Fires on the words, differently in different places."""
    fires = on_words(*words)

    def fire(pieces: list[str]) -> list[float]:
        return [v * (1 + (i * 7 + len(pieces)) % 5) for i, v in enumerate(fires(pieces))]

    return fire


def concept_study(folder: Path, count: int = 150, **options: int) -> Study:
    """A study with a feature a concept: 0, 1, 2 as in ``CONCEPTS``; 3 never fires."""
    features: dict[int, Fire] = {i: graded(*m) for i, m in enumerate(CONCEPTS.values())}
    features[3] = lambda pieces: [0.0] * len(pieces)
    return write_study(folder, documents(count, **options), features)


class RuleJudge(Judge):
    """Answers by a function of the question: a probability, or an exception for an error."""

    name = "rule"

    def __init__(self, decide: Callable[[FitQuestion], float | Exception], stop_after: int = 10**9):
        self._decide, self._left = decide, stop_after
        self.asked: list[FitQuestion] = []

    def judge(
        self, questions: Sequence[FitQuestion], *, fresh: bool = False
    ) -> Iterator[Judgement]:
        self.stopped = None
        for index, question in enumerate(questions):
            if self._left <= 0:
                self.stopped = "the budget is spent"
                return
            self._left -= 1
            self.asked.append(question)
            said = self._decide(question)
            if isinstance(said, Exception):
                yield Judgement(index, None, str(said), tokens_in=10, cost=0.001)
            else:
                yield Judgement(index, said, None, tokens_in=10, tokens_out=1, cost=0.001)


def oracle(question: FitQuestion) -> float:
    """Right by the text alone: is a member of the concept that the label names in it?"""
    members = CONCEPTS.get(question.label, ())
    tokens = [token.strip().lower() for token in question.window.example.tokens]
    if question.marked is None:
        return float(any(token in members for token in tokens))
    return float(all(tokens[i] in members for i in question.marked))
