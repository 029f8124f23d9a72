"""Whole texts, each with how strongly the feature fires in it."""

from __future__ import annotations

from collections.abc import Sequence

from autointerp_core.labels.explain.example_lines import strength, strongest
from autointerp_core.labels.explain.prompts import METHODS, PromptMethod, chat
from autointerp_core.labels.marks import plain
from autointerp_core.labels.providers.base import ChatPrompt
from autointerp_core.store.study import Example, Study

_SYSTEM = (
    "You name what a pattern detector reacts to. Reply with one short label of at most 9 words, "
    "nothing else."
)


def _build(study: Study, feature: int, examples: Sequence[Example], hint: str | None) -> ChatPrompt:
    top = strongest(examples)
    lines = ["Texts, each with how strongly the detector reacts to it (0 to 10):"]
    for example in examples:
        text = " ".join(plain(example.text).split())
        lines.append(f"{strength(example.activation, top)}: {text}")
    lines.append("What do these texts have in common? Give a label of under 10 words.")
    return chat(lines, hint, system=_SYSTEM, show=())


METHODS.register(
    "texts",
    PromptMethod("texts", "whole texts, each with its activation", _build, further=5),
)
