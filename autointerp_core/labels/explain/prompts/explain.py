"""An explanation first, then the label on a last line."""

from __future__ import annotations

from collections.abc import Sequence

import regex

from autointerp_core.labels.explain.example_lines import logit_line, marked_line, peak_lines
from autointerp_core.labels.explain.prompts import FIRMER, METHODS, PromptMethod, chat, parse_label
from autointerp_core.labels.providers.base import ChatPrompt
from autointerp_core.store.study import Example, Study

_LABEL_LINE = regex.compile(r"^[\s*_#>-]*label\b[\s*_]*:", regex.I)
_SYSTEM = (
    "You find out what a pattern detector reacts to. You see texts in which the words it reacts "
    "to are marked <<like this>>."
)


def _parse(text: str | None, prompt: ChatPrompt) -> str | None:
    """The last ``Label:`` line; an explanation without one holds no label."""
    if text is None:
        return None
    lines = [line for line in text.splitlines() if _LABEL_LINE.match(line)]
    if lines:
        return parse_label(lines[-1], prompt)
    # The second, firmer question asks for the label alone.
    return parse_label(text, prompt) if prompt.messages[-1].content.endswith(FIRMER) else None


def _build(study: Study, feature: int, examples: Sequence[Example], hint: str | None) -> ChatPrompt:
    lines = peak_lines(examples) + marked_line(examples) + logit_line(study, feature)
    lines.append(
        "First explain in two sentences what the marked words share and what the texts before "
        "them have in common. Then write a last line that begins with 'Label:' and holds at "
        "most 9 words."
    )
    return chat(lines, hint, system=_SYSTEM, show=())


METHODS.register(
    "explain",
    PromptMethod(
        "explain",
        "an explanation first, then the label",
        _build,
        _parse,
        max_new_tokens=160,
        json_field=None,
    ),
)
