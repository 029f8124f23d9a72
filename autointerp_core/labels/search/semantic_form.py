"""A search label as a semantic regex: what kind of thing each of its parts is (arXiv 2510.06378).

``[:symbol X:]`` is text as it is written, ``[:lexeme X:]`` a word in any of its forms,
``[:field X:]`` words of a meaning, and ``@{:context X:}(…)`` says about what the text around is.
``A|B`` is either. Prose is for people; this form tells "the word war" from "words about war", which
the prose ``war`` does not.
"""

from __future__ import annotations

from collections.abc import Sequence

_WRITTEN = ("affix", "piece", "phrase", "after", "before", "after class", "class")
"""Kinds of descriptions that are about how text is written."""


def semantic_form(
    kind: str, words: Sequence[str], pattern: str, category: str | None, context: Sequence[str]
) -> str:
    """The form of a label.

    Args:
        kind: of the label, as the search labeller says it.
        words: the words in it, where it is made of words.
        pattern: what it says of how the text is written, where it says that.
        category: what its words are kinds of.
        context: words about which the text is.
    """
    if kind == "context":
        return _about(context, "[:symbol .:]")
    if kind == "category" and category:
        core = f"[:field {_clean(category)}:]"
    elif kind in ("near words", "examples") or not (kind.split(" ")[0] in _WRITTEN or words):
        core = f"[:field {_either(words or [pattern])}:]"
    elif kind.split(" ")[0] in _WRITTEN or not words:
        core = f"[:symbol {_clean(pattern)}:]"
    else:
        core = f"[:lexeme {_either(words)}:]"
    return _about(context, core) if kind.endswith("in context") else core


def _about(context: Sequence[str], core: str) -> str:
    return f"@{{:context {_either(context)}:}}({core})" if context else core


def _either(words: Sequence[str]) -> str:
    return "|".join(dict.fromkeys(filter(None, map(_clean, words))))


def _clean(text: str) -> str:
    """Without what the form itself is written with."""
    return " ".join("".join(" " if c in "[]{}|@()" else c for c in text).replace(":", " ").split())
