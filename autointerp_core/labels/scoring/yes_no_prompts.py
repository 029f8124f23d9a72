"""How a yes or no about a label and a text is put to a language model.

Every prompt of a scorer begins with the same messages, and the label stands before the text:
providers that keep what they read of a prompt's beginning read little anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from autointerp_core.labels.providers.base import ChatPrompt, Message

Ask = Callable[[str, str], str]
"""The question about a label and a text."""


def yes_no_prompt(
    system: str, shown: Sequence[tuple[str, str, str]], ask: Ask, label: str, text: str
) -> ChatPrompt:
    """The prompt about one label and text.

    Args:
        system: instructions.
        shown: labels and texts with their answers, put before it. As many of each answer, and
            the last one no: a weak model should not learn to say yes.
        ask: how the question is worded.
        label: the label.
        text: the text, brackets that are not ours kept apart already.
    """
    turns = [Message("system", system)]
    for sample_label, sample, answer in shown:
        turns += [Message("user", ask(sample_label, sample)), Message("assistant", answer)]
    turns.append(Message("user", ask(" ".join(label.split()), " ".join(text.split()))))
    return ChatPrompt(tuple(turns))
