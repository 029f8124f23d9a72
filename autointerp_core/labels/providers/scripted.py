"""A fake provider: answers come from a function or a list, not from a model.

For tests, and for trying the app without a model. Everything it makes is recorded under
the model name ``scripted``, so that nobody takes it for a real label.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import regex

from autointerp_core.labels.providers.base import (
    GREEDY,
    Budget,
    ChatPrompt,
    Completion,
    LabelProvider,
    Price,
    Settings,
    Verdict,
)

Answer = str | None | Exception
YesNo = bool | float | None | Exception

_WORD = regex.compile(r"[\p{L}\p{M}\p{N}]+")
_MARKED = regex.compile(r"<<\s*(.*?)\s*>>")


def marked_words(prompt: ChatPrompt) -> str:
    """The first three different marked pieces of the prompt: plain, and the same every time."""
    seen: dict[str, None] = {}
    for piece in _MARKED.findall(prompt.messages[-1].content):
        seen.setdefault(piece.lower())
    return "scripted: " + (", ".join(itertools.islice(seen, 3)) or "nothing marked")


def shares_a_word(prompt: ChatPrompt) -> bool:
    """Yes where the text (the marked pieces, where there are any) holds a word of the label.

    Stands in for a judge: the judge's prompt has the label on one line and the text on
    the next.
    """
    label, _, text = prompt.messages[-1].content.partition("\nText:")
    said = {word for word in _words(label.removeprefix("Label:")) if word != "scripted"}
    marked = _MARKED.findall(text)
    return bool(said & _words(" ".join(marked) if marked else text))


def _words(text: str) -> set[str]:
    return {word.casefold() for word in _WORD.findall(text)}


class ScriptedProvider(LabelProvider):
    """Answers by script.

    Args:
        answers: a function of the prompt, or a list used up one answer a prompt (the last
            one again when it is used up). None is an empty answer, an exception becomes that
            prompt's error.
        verdicts: a function of the prompt to True, False, a probability, None (a missing
            judgement) or an exception (that prompt's error). Without it the answers are read
            for a yes or no.
        price: words count as tokens.
        budget: as everywhere.
    """

    name = "scripted"

    def __init__(
        self,
        answers: Callable[[ChatPrompt], Answer] | Sequence[Answer] = marked_words,
        *,
        verdicts: Callable[[ChatPrompt], YesNo] | None = None,
        price: Price | None = None,
        budget: Budget | None = None,
    ):
        super().__init__(price=price, budget=budget)
        self._answers, self._verdicts = answers, verdicts
        self.seen: list[tuple[ChatPrompt, Settings]] = []
        """Every prompt it was asked to complete, in order."""
        self.judged: list[ChatPrompt] = []
        """Every prompt that ``verdicts`` was asked about, in order."""

    @property
    def model(self) -> str:
        return "scripted"

    def complete(
        self, prompts: Sequence[ChatPrompt], settings: Settings = GREEDY, *, fresh: bool = False
    ) -> Iterator[Completion]:
        self.stopped = None
        for index, prompt in enumerate(prompts):
            if self._stop():
                return
            answer = self._answer(prompt)
            self.seen.append((prompt, settings))
            failed = isinstance(answer, Exception)
            text = None if isinstance(answer, Exception) else answer
            tokens_in, tokens_out = len(prompt.text.split()), len((text or "").split())
            self._count(tokens_in, tokens_out)
            cost = self.cost(tokens_in, tokens_out)
            yield Completion(
                index, text, str(answer) if failed else None, tokens_in, tokens_out, cost=cost
            )

    def yes_no(self, prompts: Sequence[ChatPrompt], *, fresh: bool = False) -> Iterator[Verdict]:
        if self._verdicts is None:
            yield from super().yes_no(prompts, fresh=fresh)
            return
        self.stopped = None
        for index, prompt in enumerate(prompts):
            if self._stop():
                return
            said = self._verdicts(prompt)
            self.judged.append(prompt)
            tokens_in, tokens_out = len(prompt.text.split()), 1
            self._count(tokens_in, tokens_out)
            cost = self.cost(tokens_in, tokens_out)
            if said is None or isinstance(said, Exception):
                error = "empty answer" if said is None else str(said)
                yield Verdict(index, None, error, tokens_in, tokens_out, cost=cost)
            else:
                yield Verdict(index, float(said), None, tokens_in, tokens_out, cost=cost)

    def _stop(self) -> bool:
        self.stopped = self.over_budget()
        return self.stopped is not None

    def _count(self, tokens_in: int, tokens_out: int) -> None:
        self.usage.requests += 1
        self.count(tokens_in, tokens_out)

    def _answer(self, prompt: ChatPrompt) -> Answer:
        if callable(self._answers):
            return self._answers(prompt)
        return self._answers[min(len(self.seen), len(self._answers) - 1)]
