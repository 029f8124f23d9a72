"""How a feature is put before a language model: small named methods, each in a file of its own.

A method builds a prompt from a feature's examples and reads the answer. It never sees
anything but what it is given, so whoever chooses the examples decides what may be shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import regex

from autointerp_core.labels.explain.parse_answer import clean_answer
from autointerp_core.labels.marks import marked_pieces, without_marks
from autointerp_core.labels.providers.base import MAX_NEW_TOKENS, ChatPrompt, Message, Settings
from autointerp_core.labels.registry import Registry
from autointerp_core.store.study import Example, Study

FIRMER = (
    "Answer now with the label only: a few plain words that name what the marked words share. "
    "No sentence, no apology."
)
"""Added when the first answer held no label."""


class Build(Protocol):
    """Makes the prompt about a feature from its examples, best first."""

    def __call__(
        self, study: Study, feature: int, examples: Sequence[Example], hint: str | None, /
    ) -> ChatPrompt: ...


def parse_label(text: str | None, prompt: ChatPrompt) -> str | None:
    """The label that an answer is; None where it holds none, or only what it was shown."""
    label = clean_answer(text, echo=f"{prompt.messages[0].content}\n{FIRMER}")
    if (
        label is None
        or _FURNITURE.match(label)
        or _copies_line(label, prompt.text)
        or _copies_answer(label, prompt)
    ):
        return None
    return label


@dataclass(frozen=True)
class PromptMethod:
    """One way to ask."""

    name: str
    about: str
    """What the labeller is shown, in a few words."""
    build: Build
    parse: Callable[[str | None, ChatPrompt], str | None] = parse_label
    """The label in the answer to a prompt; None where there is none."""
    max_new_tokens: int = MAX_NEW_TOKENS
    json_field: str | None = "label"
    """As in :class:`Settings`: where the answer is a label alone, it may come as JSON."""
    weaker: int = 0
    """Examples from a weaker quarter of the peaks that are shown after the others."""
    further: int | None = None
    """Its place among the methods that are asked for further proposals; None: only by name."""

    @property
    def settings(self) -> Settings:
        """How its first attempt is asked."""
        return Settings(max_new_tokens=self.max_new_tokens, json_field=self.json_field)


def _place(name: str, method: PromptMethod) -> tuple[bool, int]:
    return method.further is None, method.further or 0


METHODS: Registry[PromptMethod] = Registry(
    "label method", "autointerp_core.labels.explain.prompts", _place
)
"""Ways to ask a language model for a label."""


def get_method(name: str) -> PromptMethod:
    """The method called ``name``.

    Raises:
        ParameterError: there is no such method.
    """
    return METHODS.named(name)


def chat(
    lines: Sequence[str],
    hint: str | None,
    *,
    system: str = "",
    show: Sequence[tuple[str, str]] | None = None,
) -> ChatPrompt:
    """The prompt around a question.

    Args:
        lines: the question.
        hint: what the texts are about.
        system: instructions; by default those for marked words.
        show: questions with their answers, put before it; by default three about marked words.
    """
    system = system or _SYSTEM
    if hint:
        system += f" The texts are about {' '.join(hint.split())}."
    turns = [Message("system", system)]
    for question, answer in _DEMONSTRATIONS if show is None else show:
        turns += [Message("user", question), Message("assistant", answer)]
    turns.append(Message("user", "\n".join(lines)))
    return ChatPrompt(tuple(turns))


_WORD = regex.compile(r"\w+")
_FURNITURE = regex.compile(
    r"words (?:it|that|of)?\s*(?:makes? )?likely|the marked words|marked:|texts:|words:", regex.I
)
_SYSTEM = (
    "You name what a pattern detector reacts to. You see texts in which the words it reacts to "
    "are marked <<like this>>. Reply with one short label of at most 9 words, nothing else."
)
_DEMONSTRATIONS = (
    (
        "Texts:\n"
        "10: The meeting was moved to <<Tuesday>> because of the storm\n"
        "9: Shops will be closed on <<Monday>> and\n"
        "8: every <<Friday>> night the band played\n"
        "Marked: Tuesday, Monday, Friday",
        "days of the week",
    ),
    (
        "Texts:\n"
        "10: under the old <<oak>> by the river\n"
        "8: they planted a <<birch>> in the garden\n"
        "7: a walk among the <<pines>>\n"
        "Marked: oak, birch, pines",
        "kinds of trees",
    ),
    (
        "Texts:\n"
        "10: asked the <<nurse>> for a glass of water\n"
        "9: left the <<hospital>> on foot\n"
        "6: each <<patient>> was seen twice\n"
        "Marked: nurse, hospital, patient",
        "medicine and hospitals",
    ),
)


def _copies_line(label: str, asked: str) -> bool:
    """True where the answer is a stretch of the texts: a quotation says nothing about them."""
    words = _WORD.findall(regex.sub(r"^\d{1,2}:", "", label.casefold()))
    shown = without_marks(asked).casefold()
    return len(words) >= 5 and f" {' '.join(words)} " in f" {' '.join(_WORD.findall(shown))} "


def _copies_answer(label: str, prompt: ChatPrompt) -> bool:
    """True where a weak model repeats a demonstration's answer for words it does not fit."""
    for question, answer in zip(prompt.messages, prompt.messages[1:], strict=False):
        if answer.role == "assistant" and label.casefold() == answer.content.casefold():
            return not _shown_words(prompt.messages[-1]) & _shown_words(question)
    return False


def _shown_words(message: Message) -> set[str]:
    """The marked or listed words of a question."""
    listed = regex.findall(r"(?m)^(?:Words|Marked): (.*)$", message.content)
    words = [word.strip() for line in listed for word in line.split(",")]
    return {word.casefold() for word in (*words, *marked_pieces(message.content))}
