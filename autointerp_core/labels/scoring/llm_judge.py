"""A label provider as the judge: its model is asked what each question's scorer puts to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from autointerp_core.labels.providers.base import ChatPrompt, LabelProvider
from autointerp_core.labels.scoring.judge import FitQuestion, Judge, Judgement
from autointerp_core.labels.scoring.scorers import SCORERS, JudgedScorer


class LLMJudge(Judge):
    """Asks a label provider."""

    def __init__(self, provider: LabelProvider):
        self.provider = provider
        self.name = f"llm:{provider.model}"

    @property
    def notices(self) -> list[str]:
        return self.provider.notices

    def judge(
        self, questions: Sequence[FitQuestion], *, fresh: bool = False
    ) -> Iterator[Judgement]:
        self.stopped = None
        prompts = [prompt_for(question) for question in questions]
        for said in self.provider.yes_no(prompts, fresh=fresh):
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
