"""Every strong token marked with its strength, weaker examples too."""

from __future__ import annotations

from collections.abc import Sequence

from autointerp_core.labels.explain.example_lines import (
    logit_line,
    mark_strengths,
    marked_line,
    strength,
    strongest,
)
from autointerp_core.labels.explain.prompts import METHODS, PromptMethod, chat
from autointerp_core.labels.providers.base import ChatPrompt
from autointerp_core.store.study import Example, Study


def _build(study: Study, feature: int, examples: Sequence[Example], hint: str | None) -> ChatPrompt:
    top = strongest(examples)
    lines = ["Texts:"] + [
        f"{strength(e.activation, top)}: {mark_strengths(e, top)}" for e in examples
    ]
    return chat(lines + marked_line(examples) + logit_line(study, feature), hint)


METHODS.register(
    "strengths",
    PromptMethod(
        "strengths", "every strong token marked, weaker examples too", _build, weaker=3, further=4
    ),
)
