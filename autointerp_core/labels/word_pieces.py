"""Which tokens are pieces of one word, in every script."""

from __future__ import annotations

import regex

_OF_WORDS = regex.compile(r"[\p{L}\p{M}\p{N}\u200c\u200d]")
"""Vowel signs and accents that stand apart from their letter are in words too, and so are the
joiners that Persian and Indic scripts write inside one."""
_SPACELESS = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]"
)
"""Scripts without spaces: letter after letter, a whole sentence would count as one word."""
_WORD = regex.compile(r"[\p{L}\p{M}\u200c\u200d]*\p{L}[\p{L}\p{M}\u200c\u200d]*")


def is_word(text: str) -> bool:
    """Whether a text is letters, with the marks that belong to them."""
    return _WORD.fullmatch(text) is not None


def goes_on(before: str, token: str) -> bool:
    """Whether a token is a further piece of the word before it.

    Args:
        before: text of the token before.
        token: its own; one without text belongs to what came before.
    """
    if not token:
        return True
    touching = (before[-1:], token[:1])
    return all(_OF_WORDS.match(c) and not _SPACELESS.match(c) for c in touching)
