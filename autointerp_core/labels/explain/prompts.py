"""How a feature is put before a language model: small named methods.

A method builds a prompt from a feature's examples and reads the answer. It never sees
anything but what it is given, so whoever chooses the examples decides what may be shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import regex

from autointerp_core.errors import ParameterError
from autointerp_core.labels.explain.parse_answer import clean_answer
from autointerp_core.labels.explain.stated_label import stated_label
from autointerp_core.labels.providers.base import MAX_NEW_TOKENS, ChatPrompt, Message, Settings
from autointerp_core.labels.providers.json_reply import read_json
from autointerp_core.labels.providers.reply_markup import spoken
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
    max_new_tokens: int = MAX_NEW_TOKENS
    weaker: int = 0
    """Examples from a weaker quarter of the peaks that are shown after the others."""

    @property
    def settings(self) -> Settings:
        """How its first attempt is asked; an answer that is a label alone may come as JSON."""
        field = "label" if self.parse is _parse_label else None
        return Settings(max_new_tokens=self.max_new_tokens, json_field=field)


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
        marked = f"{lead}<<{plain(inner)}>>{trail}"
    else:
        marked = "<<line break>>" if "\n" in token else "<<space>>"
    return " ".join(f"{plain(left)}{marked}{plain(right)}".split())


def clip(example: Example, around: int) -> Example:
    """The example with at most ``around`` tokens on each side of its peak."""
    low = max(0, example.peak_index - around)
    high = example.peak_index + around + 1
    return replace(
        example,
        start_position=example.start_position + low,
        token_ids=example.token_ids[low:high],
        tokens=example.tokens[low:high],
        values=example.values[low:high],
        peak_index=example.peak_index - low,
    )


def plain(text: str) -> str:
    """Text that cannot be mistaken for our marks, however many brackets stand in a row."""
    return regex.sub(r"(?<=<)(?=<)|(?<=>)(?=>)", " ", text)


_WORD = regex.compile(r"\w+")
_MARKED = regex.compile(r"<<(.*?)>>")
_FURNITURE = regex.compile(
    r"words (?:it|that|of)?\s*(?:makes? )?likely|the marked words|marked:|texts:|words:", regex.I
)
_SYSTEM = (
    "You name what a pattern detector reacts to. You see texts in which the words it reacts to "
    "are marked <<like this>>. Reply with one short label of at most 9 words, nothing else."
)

_SYSTEM_TEXTS = (
    "You name what a pattern detector reacts to. Reply with one short label of at most 9 words, "
    "nothing else."
)
_SYSTEM_WORDS = "Name what the words have in common. Answer with a short phrase."
_SYSTEM_EXPLAIN = (
    "You find out what a pattern detector reacts to. You see texts in which the words it reacts "
    "to are marked <<like this>>."
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
_WORD_LISTS = (
    ("Words: Tuesday, Monday, Friday, Sunday", "days of the week"),
    ("Words: oak, birch, willow, tree, pines", "kinds of trees"),
    ("Words: increased, rose, climbed, up, higher", "growing numbers and prices"),
    ("Words: in, on, under, behind, above", "prepositions of place"),
    ("Words: doctor, nurse, patient, hospital", "medicine and hospitals"),
)


def whole_word(example: Example) -> str:
    """The word that the peak token is a piece of, as far as the window shows it."""
    tokens, peak = example.tokens, example.peak_index
    first = last = peak
    if not tokens[peak].strip().isalpha():
        return " ".join(tokens[peak].split())
    while first > 0 and tokens[first].isalpha() and tokens[first - 1].strip().isalpha():
        first -= 1
    while last + 1 < len(tokens) and tokens[last + 1].isalpha():
        last += 1
    return "".join(tokens[first : last + 1]).strip()


def mark_strengths(example: Example, top: float) -> str:
    """The example on one line, every strong token marked and followed by its strength."""
    low = max(0, example.peak_index - BEFORE)
    high = example.peak_index + AFTER + 1
    out = []
    shown = zip(example.tokens[low:high], example.values[low:high], strict=True)
    for n, (token, value) in enumerate(shown, start=low):
        inner = token.strip()
        strong = value >= 0.3 * example.activation or n == example.peak_index
        if not strong or not inner:
            out.append(plain(token))
            continue
        lead = token[: len(token) - len(token.lstrip())]
        trail = token[len(token.rstrip()) :]
        out.append(f"{lead}<<{plain(inner)}>>({strength(value, top)}){trail}")
    return " ".join("".join(out).split())


def _top(examples: Sequence[Example]) -> float:
    return max((example.activation for example in examples), default=0.0)


def _peak_lines(examples: Sequence[Example]) -> list[str]:
    top = _top(examples)
    return ["Texts:"] + [f"{strength(e.activation, top)}: {mark_peak(e)}" for e in examples]


def _marked_line(examples: Sequence[Example]) -> list[str]:
    """The marked words themselves, commonest first: what a small model looks at."""
    marked: dict[str, int] = {}
    for example in examples:
        word = whole_word(example)
        if word:
            marked[word] = marked.get(word, 0) + 1
    common = sorted(marked, key=lambda word: -marked[word])[:8]
    return ["Marked: " + ", ".join(plain(word) for word in common)] if common else []


def _logit_line(study: Study, feature: int) -> list[str]:
    raised = [logit.text.strip() for logit in study.logits(feature)[0]]
    raised = [plain(text) for text in dict.fromkeys(raised) if text.isprintable() and text]
    return ["Words it makes likely next: " + ", ".join(raised[:SHOWN_LOGITS])] if raised else []


def _silent_lines(study: Study, feature: int, examples: Sequence[Example]) -> list[str]:
    """Windows of the very same documents in which the feature is silent."""
    documents = sorted({example.document_index for example in examples})
    limit = max(2, len(examples) // 2)
    silent = study.silent_examples(feature, limit, documents=documents)
    if not silent:
        return []
    return ["Texts of the same kind without a reaction:"] + [
        "0: " + " ".join(plain("".join(e.tokens[:23])).split()) for e in silent
    ]


def _chat(
    lines: Sequence[str],
    hint: str | None,
    *,
    system: str = _SYSTEM,
    show: Sequence[tuple[str, str]] = _DEMONSTRATIONS,
) -> ChatPrompt:
    """The prompt around a question, with demonstrations before it."""
    if hint:
        system += f" The texts are about {' '.join(hint.split())}."
    turns = [Message("system", system)]
    for question, answer in show:
        turns += [Message("user", question), Message("assistant", answer)]
    turns.append(Message("user", "\n".join(lines)))
    return ChatPrompt(tuple(turns))


def _build_peaks(
    study: Study, feature: int, examples: Sequence[Example], hint: str | None
) -> ChatPrompt:
    lines = _peak_lines(examples) + _logit_line(study, feature) + _marked_line(examples)
    return _chat(lines, hint)


def _build_words(
    study: Study, feature: int, examples: Sequence[Example], hint: str | None
) -> ChatPrompt:
    words: dict[str, tuple[str, int]] = {}
    for example in examples:
        word = whole_word(example)
        spelt, seen = words.get(word.casefold(), (word, 0))
        words[word.casefold()] = (spelt, seen + 1)
    ranked = sorted(words.values(), key=lambda entry: -entry[1])
    shown = ", ".join(plain(word) for word, _ in ranked[:10] if word) or "line breaks"
    return _chat([f"Words: {shown}"], hint, system=_SYSTEM_WORDS, show=_WORD_LISTS)


def _build_texts(
    study: Study, feature: int, examples: Sequence[Example], hint: str | None
) -> ChatPrompt:
    top = _top(examples)
    lines = ["Texts, each with how strongly the detector reacts to it (0 to 10):"]
    for example in examples:
        text = " ".join(plain(example.text).split())
        lines.append(f"{strength(example.activation, top)}: {text}")
    lines.append("What do these texts have in common? Give a label of under 10 words.")
    return _chat(lines, hint, system=_SYSTEM_TEXTS, show=())


def _build_strengths(
    study: Study, feature: int, examples: Sequence[Example], hint: str | None
) -> ChatPrompt:
    top = _top(examples)
    lines = ["Texts:"] + [
        f"{strength(e.activation, top)}: {mark_strengths(e, top)}" for e in examples
    ]
    return _chat(lines + _marked_line(examples) + _logit_line(study, feature), hint)


def _build_contrast(
    study: Study, feature: int, examples: Sequence[Example], hint: str | None
) -> ChatPrompt:
    lines = _peak_lines(examples) + _silent_lines(study, feature, examples)
    return _chat(lines + _marked_line(examples) + _logit_line(study, feature), hint)


def _build_explain(
    study: Study, feature: int, examples: Sequence[Example], hint: str | None
) -> ChatPrompt:
    lines = _peak_lines(examples) + _marked_line(examples) + _logit_line(study, feature)
    lines.append(
        "First explain in two sentences what the marked words share and what the texts before "
        "them have in common. Then write a last line that begins with 'Label:' and holds at "
        "most 9 words."
    )
    return _chat(lines, hint, system=_SYSTEM_EXPLAIN, show=())


def _parse_label(text: str | None, prompt: ChatPrompt) -> str | None:
    label = clean_answer(text, echo=f"{prompt.messages[0].content}\n{FIRMER}")
    if (
        label is None
        or _FURNITURE.match(label)
        or _copies_line(label, prompt.text)
        or _copies_answer(label, prompt)
    ):
        return None
    return label


def _copies_line(label: str, asked: str) -> bool:
    """True where the answer is a stretch of the texts: a quotation says nothing about them."""
    words = _WORD.findall(regex.sub(r"^\d{1,2}:", "", label.casefold()))
    shown = regex.sub(r"<<|>>", "", asked).casefold()
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
    return {word.casefold() for word in (*words, *_MARKED.findall(message.content))}


def _parse_explained(text: str | None, prompt: ChatPrompt) -> str | None:
    """The last line that is called a label; an explanation without one holds none."""
    said = spoken(text or "")
    lines = [line for line in said.text.splitlines() if stated_label(line)]
    if lines:
        found = (_parse_label(line, prompt) for line in reversed(lines))
        return next((label for label in found if label is not None), None)
    # In tags or JSON it is set apart from the explanation; and the second, firmer question asks
    # for the label alone.
    apart = said.tagged or read_json(said.text) is not None
    asked_alone = prompt.messages[-1].content.endswith(FIRMER)
    return _parse_label(said.text, prompt) if apart or asked_alone else None


METHODS: dict[str, PromptMethod] = {
    method.name: method
    for method in (
        PromptMethod("peaks", _build_peaks, _parse_label),
        PromptMethod("words", _build_words, _parse_label),
        PromptMethod("texts", _build_texts, _parse_label),
        PromptMethod("strengths", _build_strengths, _parse_label, weaker=3),
        PromptMethod("contrast", _build_contrast, _parse_label),
        PromptMethod("explain", _build_explain, _parse_explained, max_new_tokens=160),
    )
}
"""``peaks``: marked peaks, the default. ``words``: the peak words alone, for models too small to
read examples (a 135M model copies them). ``texts``: texts with activations. ``strengths``: every
strong token marked, weaker examples too. ``contrast``: peaks beside silent windows of the same
documents. ``explain``: an explanation first, then the label."""


def get_method(name: str) -> PromptMethod:
    """The method called ``name``.

    Raises:
        ParameterError: there is no such method.
    """
    if name not in METHODS:
        raise ParameterError(f"no label method {name!r}; choose from {', '.join(METHODS)}")
    return METHODS[name]
