"""Who says which of several texts is the odd one out."""

from __future__ import annotations

import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import regex

from autointerp_core.labels.providers.base import ChatPrompt, LabelProvider, Message, Settings
from autointerp_core.labels.providers.json_reply import answer_text
from autointerp_core.labels.providers.reply_markup import spoken
from autointerp_core.labels.scoring.sample_windows import Window

_NUMBER = regex.compile(r"(?<![\p{L}\p{N}.])(\d{1,2})(?![\p{L}\p{N}]|\.\d)")
_BESIDE_HAN = regex.compile(r"(?<=[\p{Han}\p{Hangul}])(?=\d)|(?<=\d)(?=[\p{Han}\p{Hangul}])")
_FIELD = regex.compile(
    r"[\"'](?:answer|number|choice|text|index|result|odd\w*)[\"']\s*:\s*(\d{1,2})(?!\d|\.\d)",
    regex.IGNORECASE,
)
_ROOM = Settings(max_new_tokens=12)


@dataclass(frozen=True)
class ChoiceQuestion:
    """Which of these is not like the others?"""

    windows: tuple[Window, ...]
    marked: tuple[tuple[int, ...], ...]
    """Token positions marked in each."""
    prompt: ChatPrompt
    """The question as a language model is asked."""


@dataclass(frozen=True)
class Choice:
    """The answer to question number ``index``: a place from 0; None, with an error: missing."""

    index: int
    chosen: int | None
    error: str | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    cost: float | None = None


class ChoiceJudge(ABC):
    """Answers questions. ``name`` is recorded with every result."""

    name: str
    stopped: str | None = None
    """Why the last call ended before every question was answered (a budget); else None."""

    @abstractmethod
    def choose(
        self, questions: Sequence[ChoiceQuestion], *, fresh: bool = False
    ) -> Iterator[Choice]:
        """One choice a question, in any order; fewer only where :attr:`stopped` says why.

        Raises:
            ProviderError: nothing can be had from this judge.
        """


class LLMChoiceJudge(ChoiceJudge):
    """A label provider as the judge: the number in its answer is the choice."""

    def __init__(self, provider: LabelProvider):
        self._provider = provider
        self.name = f"llm:{provider.model}"

    def choose(
        self, questions: Sequence[ChoiceQuestion], *, fresh: bool = False
    ) -> Iterator[Choice]:
        self.stopped = None
        prompts = [question.prompt for question in questions]
        for answer in self._provider.complete(prompts, _ROOM, fresh=fresh):
            chosen, error = None, answer.error
            if error is None:
                chosen = read_choice(answer.text, len(questions[answer.index].windows))
                if chosen is None:
                    said = " ".join((answer.text or "").split())[:80]
                    error = f"no number of a text (it answered: {said!r})"
            yield Choice(
                answer.index,
                chosen,
                error,
                answer.tokens_in,
                answer.tokens_out,
                answer.seconds,
                answer.cost,
            )
        self.stopped = self._provider.stopped


def read_choice(text: str | None, count: int) -> int | None:
    """The one place from 0 that an answer names by its number from 1; None: none or several."""
    said = _in_field(text) or answer_text(text, "answer")
    # ③ and ３ are 3; 第3个 has its number between letters.
    said = _BESIDE_HAN.sub(" ", unicodedata.normalize("NFKC", said))
    named = {int(found) for found in _NUMBER.findall(said)}
    if len(named) != 1:
        return None
    place = named.pop() - 1
    return place if 0 <= place < count else None


def _in_field(text: str | None) -> str | None:
    """The bare number under a name of JSON's: ``{"answer": 3}``."""
    said = spoken(text or "").text
    found = _FIELD.findall(said) if "{" in said else []
    return str(found[0]) if len(found) == 1 else None


def odd_one_out(
    system: str, shown: Sequence[tuple[Sequence[str], int]], texts: Sequence[str]
) -> ChatPrompt:
    """The question about some texts.

    Args:
        system: instructions.
        shown: texts with the place of the odd one from 0, put before it.
        texts: the texts, brackets that are not ours kept apart already.
    """
    turns = [Message("system", system)]
    for sample, odd in shown:
        turns += [Message("user", _ask(sample)), Message("assistant", str(odd + 1))]
    turns.append(Message("user", _ask(texts)))
    return ChatPrompt(tuple(turns))


def _ask(texts: Sequence[str]) -> str:
    lines = [f"{place}. {' '.join(text.split())}" for place, text in enumerate(texts, 1)]
    return "\n".join([*lines, "Which number does not belong?"])
