"""An explanation first, then the label on a last line."""

from __future__ import annotations

from collections.abc import Sequence

from autointerp_core.labels.explain.example_lines import logit_line, marked_line, peak_lines
from autointerp_core.labels.explain.prompts import FIRMER, METHODS, PromptMethod, chat, parse_label
from autointerp_core.labels.explain.stated_label import stated_label
from autointerp_core.labels.providers.base import ChatPrompt
from autointerp_core.labels.providers.json_reply import read_json
from autointerp_core.labels.providers.reply_markup import spoken
from autointerp_core.store.study import Example, Study

_SYSTEM = (
    "You find out what a pattern detector reacts to. You see texts in which the words it reacts "
    "to are marked <<like this>>."
)


def _parse(text: str | None, prompt: ChatPrompt) -> str | None:
    """The last line that is called a label; an explanation without one holds none."""
    said = spoken(text or "")
    lines = [line for line in said.text.splitlines() if stated_label(line)]
    if lines:
        found = (parse_label(line, prompt) for line in reversed(lines))
        return next((label for label in found if label is not None), None)
    # In tags or JSON it is set apart from the explanation; and the second, firmer question asks
    # for the label alone.
    apart = said.tagged or read_json(said.text) is not None
    asked_alone = prompt.messages[-1].content.endswith(FIRMER)
    return parse_label(said.text, prompt) if apart or asked_alone else None


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
