"""A label provider as the judge: its model is asked what each question's scorer puts to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from autointerp_core.labels.providers.base import ChatPrompt, LabelProvider
from autointerp_core.labels.scoring.judge import FitQuestion, Judge, Judgement
from autointerp_core.labels.scoring.scorers import SCORERS, JudgedScorer

FEW = 5
"""Questions after which a judge that answered none is told of."""


class LLMJudge(Judge):
    """Asks a label provider."""

    def __init__(self, provider: LabelProvider):
        self.provider = provider
        self.name = f"llm:{provider.model}"
        self._asked = self._judged = 0
        self._last_error = ""

    @property
    def notices(self) -> list[str]:
        if self._judged or self._asked < FEW:
            return self.provider.notices
        never = (
            f"the judge {self.provider.model} answered none of {self._asked:,} questions with yes "
            f"or no, so that nothing could be scored: {self._last_error}; use another judge model"
        )
        return [*self.provider.notices, never]

    def judge(
        self, questions: Sequence[FitQuestion], *, fresh: bool = False
    ) -> Iterator[Judgement]:
        self.stopped = None
        prompts = [prompt_for(question) for question in questions]
        for said in self.provider.yes_no(prompts, fresh=fresh):
            self._asked += 1
            self._judged += said.probability is not None
            self._last_error = said.error or self._last_error
            yield Judgement(
                said.index,
                said.probability,
                said.error,
                said.tokens_in,
                said.tokens_out,
                said.seconds,
                said.cost,
            )
        self.stopped = self.provider.stopped


def prompt_for(question: FitQuestion) -> ChatPrompt:
    """What a language model is asked.

    Raises:
        TypeError: its scorer asks no model.
    """
    scorer = SCORERS[question.scorer]
    if not isinstance(scorer, JudgedScorer):
        raise TypeError(f"the scorer {question.scorer!r} asks no language model")
    return scorer.prompt(question)
