"""Marked peaks beside windows of the same documents in which the feature is silent."""

from __future__ import annotations

from collections.abc import Sequence

from autointerp_core.labels.explain.example_lines import (
    logit_line,
    marked_line,
    peak_lines,
    silent_lines,
)
from autointerp_core.labels.explain.prompts import METHODS, PromptMethod, chat
from autointerp_core.labels.providers.base import ChatPrompt
from autointerp_core.store.study import Example, Study


def _build(study: Study, feature: int, examples: Sequence[Example], hint: str | None) -> ChatPrompt:
    lines = peak_lines(examples) + silent_lines(study, feature, examples)
    return chat(lines + marked_line(examples) + logit_line(study, feature), hint)


METHODS.register(
    "contrast",
    PromptMethod(
        "contrast",
        "peaks beside windows of the same documents where it is silent",
        _build,
        further=3,
    ),
)
