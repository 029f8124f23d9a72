"""How tokens are marked in the text of a prompt: ``<<like this>>``, and nothing else so."""

from __future__ import annotations

import unicodedata

import regex

_UNSEEN = frozenset(("Cc", "Cf", "Cn", "Cs", "Zs", "Zl", "Zp"))
_LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
_BLANK_LETTERS = frozenset(
    # Letters and marks without a shape: fillers, the empty braille cell, variation selectors.
    ["\u2800", "\u3164", "\u115f", "\u1160", "\uffa0", "\u034f"]
    + [chr(point) for point in (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))]
)
_MARKED = regex.compile(r"<<\s*(.*?)\s*>>")


def mark(text: str, note: str = "", *, apart: bool = False) -> str:
    """``text`` between marks, its surrounding spaces outside of them.

    Args:
        text: of one or more tokens; where there is nothing to see the mark says what it is.
        note: put behind the mark.
        apart: keep brackets that the text itself begins or ends with apart from the marks.
    """
    if not is_visible(text):
        return f"<<{_in_words(text)}>>{note}"
    inner = text.strip()
    lead = text[: len(text) - len(text.lstrip())]
    trail = text[len(text.rstrip()) :]
    left = " " if apart and inner[0] in "<>" else ""
    right = " " if apart and inner[-1] in "<>" else ""
    return f"{lead}<<{left}{plain(inner)}{right}>>{note}{trail}"


def is_visible(text: str) -> bool:
    """Whether any of a text's characters can be seen: no space, no control, no joiner."""
    return any(_is_seen(character) for character in text)


def _is_seen(character: str) -> bool:
    if character < "\x7f":
        return character > " "
    return unicodedata.category(character) not in _UNSEEN and character not in _BLANK_LETTERS


def _in_words(text: str) -> str:
    """What a text without anything to see is."""
    if any(character in _LINE_ENDS for character in text):
        return "line break"
    if "\t" in text:
        return "tab"
    hidden = [character for character in dict.fromkeys(text) if not character.isspace()]
    if not hidden:
        return "space"
    names = [unicodedata.name(character, f"U+{ord(character):04X}") for character in hidden[:3]]
    return ", ".join(name if name.startswith("U+") else name.lower() for name in names)


def plain(text: str) -> str:
    """Text that cannot be mistaken for our marks, however many brackets stand in a row."""
    return regex.sub(r"(?<=<)(?=<)|(?<=>)(?=>)", " ", text)


def marked_pieces(text: str) -> list[str]:
    """What stands between marks, in order."""
    return [str(piece) for piece in _MARKED.findall(text)]


def without_marks(text: str) -> str:
    """The text with the marks taken off."""
    return str(regex.sub(r"<<|>>", "", text))
