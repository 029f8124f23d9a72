"""Marked peaks, with what the feature makes likely next: the default."""

from __future__ import annotations

from collections.abc import Sequence

from autointerp_core.labels.explain.example_lines import logit_line, marked_line, peak_lines
from autointerp_core.labels.explain.prompts import METHODS, PromptMethod, chat
from autointerp_core.labels.providers.base import ChatPrompt
from autointerp_core.store.study import Example, Study


def _build(study: Study, feature: int, examples: Sequence[Example], hint: str | None) -> ChatPrompt:
    lines = peak_lines(examples) + logit_line(study, feature) + marked_line(examples)
    return chat(lines, hint)


METHODS.register(
    "peaks",
    PromptMethod("peaks", "examples with the peak token marked", _build, further=1),
)
