"""A fake provider: answers come from a function or a list, not from a model.

For tests, and for trying the app without a model. Everything it makes is recorded under
the model name ``scripted``, so that nobody takes it for a real label.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import regex

from autointerp_core.labels.provider import GREEDY, ChatPrompt, Completion, LabelProvider, Settings

Answer = str | None | Exception

_MARKED = regex.compile(r"<<\s*(.*?)\s*>>")


def marked_words(prompt: ChatPrompt) -> str:
    """The first three different marked pieces of the prompt: plain, and the same every time."""
    seen: dict[str, None] = {}
    for piece in _MARKED.findall(prompt.messages[-1].content):
        seen.setdefault(piece.lower())
    return "scripted: " + (", ".join(itertools.islice(seen, 3)) or "nothing marked")


class ScriptedProvider(LabelProvider):
    """Answers by script.

    Args:
        answers: a function of the prompt, or a list used up one answer a prompt (the last
            one again when it is used up). None is an empty answer, an exception becomes that
            prompt's error.
    """

    name = "scripted"

    def __init__(self, answers: Callable[[ChatPrompt], Answer] | Sequence[Answer] = marked_words):
        super().__init__()
        self._answers = answers
        self.seen: list[tuple[ChatPrompt, Settings]] = []
        """Every prompt it was asked, in order."""

    @property
    def model(self) -> str:
        return "scripted"

    def complete(
        self, prompts: Sequence[ChatPrompt], settings: Settings = GREEDY, *, fresh: bool = False
    ) -> Iterator[Completion]:
        for index, prompt in enumerate(prompts):
            answer = self._answer(prompt)
            self.seen.append((prompt, settings))
            tokens_in = len(prompt.text.split())
            if isinstance(answer, Exception):
                yield Completion(index, None, str(answer), tokens_in)
            else:
                yield Completion(index, answer, None, tokens_in, len((answer or "").split()))

    def _answer(self, prompt: ChatPrompt) -> Answer:
        if callable(self._answers):
            return self._answers(prompt)
        return self._answers[min(len(self.seen), len(self._answers) - 1)]
