"""How a feature is put before a language model: small named methods.

A method builds a prompt from a feature's examples and reads the answer. It never sees
anything but what it is given, so whoever chooses the examples decides what may be shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import regex

from autointerp_core.errors import ParameterError
from autointerp_core.labels.clean import clean_answer
from autointerp_core.labels.provider import ChatPrompt, Message
from autointerp_core.store.study import Example, Study

BEFORE, AFTER = 14, 8
"""Tokens shown around the peak; enough to see why, few enough for a small model."""
SHOWN_LOGITS = 8

FIRMER = (
    "Answer now with the label only: a few plain words that name what the marked words share. "
    "No sentence, no apology."
)
"""Added when the first answer held no label."""


@dataclass(frozen=True)
class PromptMethod:
    """One way to ask. ``build(study, feature, examples, hint)`` makes the prompt."""

    name: str
    build: Callable[[Study, int, Sequence[Example], str | None], ChatPrompt]
    parse: Callable[[str | None, ChatPrompt], str | None]


def strength(activation: float, maximum: float) -> int:
    """Activation on a scale of 0 to 10, as integers are easier to read than decimals."""
    if maximum <= 0 or activation <= 0:
        return 0
    return max(1, min(10, round(10 * activation / maximum)))


def mark_peak(example: Example, before: int = BEFORE, after: int = AFTER) -> str:
    """The example on one line, its peak token between ``<<`` and ``>>``."""
    peak = example.peak_index
    low, high = max(0, peak - before), min(len(example.tokens), peak + after + 1)
    left = "".join(example.tokens[low:peak])
    token = example.tokens[peak]
    right = "".join(example.tokens[peak + 1 : high])
    inner = token.strip()
    if inner:
        lead = token[: len(token) - len(token.lstrip())]
        trail = token[len(token.rstrip()) :]
        marked = f"{lead}<<{_plain(inner)}>>{trail}"
    else:
        marked = "<<line break>>" if "\n" in token else "<<space>>"
    return " ".join(f"{_plain(left)}{marked}{_plain(right)}".split())


def _plain(text: str) -> str:
    """Text that cannot be mistaken for our marks."""
    return text.replace("<<", "< <").replace(">>", "> >")


_WORD = regex.compile(r"\w+")
_MARKED = regex.compile(r"<<(.*?)>>")
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
        "10: she could <<not>> find her keys anywhere\n"
        "9: There is <<no>> evidence for such a claim\n"
        "7: they have <<never>> been to the coast\n"
        "Marked: not, no, never",
        "words of negation",
    ),
)


def _build_peaks(
    study: Study, feature: int, examples: Sequence[Example], hint: str | None
) -> ChatPrompt:
    top = max((example.activation for example in examples), default=0.0)
    lines = ["Texts:"]
    marked: dict[str, int] = {}
    for example in examples:
        lines.append(f"{strength(example.activation, top)}: {mark_peak(example)}")
        token = " ".join(example.tokens[example.peak_index].split())
        if token:
            marked[token] = marked.get(token, 0) + 1
    common = sorted(marked, key=lambda token: -marked[token])[:8]
    if common:
        lines.append("Marked: " + ", ".join(_plain(token) for token in common))
    raised = [logit.text.strip() for logit in study.logits(feature)[0]]
    raised = [_plain(text) for text in dict.fromkeys(raised) if text.isprintable() and text]
    if raised:
        lines.append("Words it makes likely next: " + ", ".join(raised[:SHOWN_LOGITS]))
    system = _SYSTEM
    if hint:
        system += f" The texts are about {' '.join(hint.split())}."
    turns = [Message("system", system)]
    for question, answer in _DEMONSTRATIONS:
        turns += [Message("user", question), Message("assistant", answer)]
    turns.append(Message("user", "\n".join(lines)))
    return ChatPrompt(tuple(turns))


def _parse_label(text: str | None, prompt: ChatPrompt) -> str | None:
    asked = prompt.messages[-1].content
    label = clean_answer(text, echo=f"{prompt.messages[0].content}\n{FIRMER}")
    if label is None or _copies_line(label, asked) or _copies_answer(label, asked):
        return None
    return label


def _copies_line(label: str, asked: str) -> bool:
    """True where the answer is a stretch of the texts: a quotation says nothing about them."""
    words = regex.findall(r"\w+", label.casefold())
    if regex.match(r"\d+ ", " ".join(words)) and regex.match(r"\d{1,2}:", label):
        words = words[1:]
    shown = regex.sub(r"<<|>>", "", asked).casefold()
    return len(words) >= 5 and f" {' '.join(words)} " in f" {' '.join(_WORD.findall(shown))} "


def _copies_answer(label: str, asked: str) -> bool:
    """True where a weak model repeats a demonstration's answer for words it does not fit."""
    marked = {word.casefold() for word in _MARKED.findall(asked)}
    for question, answer in _DEMONSTRATIONS:
        if label.casefold() == answer.casefold():
            return not marked & {word.casefold() for word in _MARKED.findall(question)}
    return False


METHODS: dict[str, PromptMethod] = {
    method.name: method for method in (PromptMethod("peaks", _build_peaks, _parse_label),)
}


def get_method(name: str) -> PromptMethod:
    """The method called ``name``.

    Raises:
        ParameterError: there is no such method.
    """
    if name not in METHODS:
        raise ParameterError(f"no label method {name!r}; choose from {', '.join(METHODS)}")
    return METHODS[name]
