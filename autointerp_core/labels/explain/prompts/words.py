"""The peak words alone, for models too small to read examples (a 135M model copies them)."""

from __future__ import annotations

from collections.abc import Sequence

from autointerp_core.labels.explain.example_lines import whole_word
from autointerp_core.labels.explain.prompts import METHODS, PromptMethod, chat
from autointerp_core.labels.marks import plain
from autointerp_core.labels.providers.base import ChatPrompt
from autointerp_core.store.study import Example, Study

_SYSTEM = "Name what the words have in common. Answer with a short phrase."
_WORD_LISTS = (
    ("Words: Tuesday, Monday, Friday, Sunday", "days of the week"),
    ("Words: oak, birch, willow, tree, pines", "kinds of trees"),
    ("Words: increased, rose, climbed, up, higher", "growing numbers and prices"),
    ("Words: in, on, under, behind, above", "prepositions of place"),
    ("Words: doctor, nurse, patient, hospital", "medicine and hospitals"),
)


def _build(study: Study, feature: int, examples: Sequence[Example], hint: str | None) -> ChatPrompt:
    words: dict[str, tuple[str, int]] = {}
    for example in examples:
        word = whole_word(example)
        spelt, seen = words.get(word.casefold(), (word, 0))
        words[word.casefold()] = (spelt, seen + 1)
    ranked = sorted(words.values(), key=lambda entry: -entry[1])
    shown = ", ".join(plain(word) for word, _ in ranked[:10] if word) or "line breaks"
    return chat([f"Words: {shown}"], hint, system=_SYSTEM, show=_WORD_LISTS)


METHODS.register(
    "words",
    PromptMethod("words", "the peak words alone, for very small models", _build, further=2),
)
