"""How tokens are marked in the text of a prompt: ``<<like this>>``, and nothing else so."""

from __future__ import annotations

import regex

_MARKED = regex.compile(r"<<\s*(.*?)\s*>>")


def mark(text: str, note: str = "", *, apart: bool = False) -> str:
    """``text`` between marks, its surrounding spaces outside of them.

    Args:
        text: of one or more tokens; where it is blank the mark says so in words.
        note: put behind the mark.
        apart: keep brackets that the text itself begins or ends with apart from the marks.
    """
    inner = text.strip()
    if not inner:
        return "<<line break>>" if "\n" in text else "<<space>>"
    lead = text[: len(text) - len(text.lstrip())]
    trail = text[len(text.rstrip()) :]
    left = " " if apart and inner[0] in "<>" else ""
    right = " " if apart and inner[-1] in "<>" else ""
    return f"{lead}<<{left}{plain(inner)}{right}>>{note}{trail}"


def plain(text: str) -> str:
    """Text that cannot be mistaken for our marks, however many brackets stand in a row."""
    return regex.sub(r"(?<=<)(?=<)|(?<=>)(?=>)", " ", text)


def marked_pieces(text: str) -> list[str]:
    """What stands between marks, in order."""
    return [str(piece) for piece in _MARKED.findall(text)]


def without_marks(text: str) -> str:
    """The text with the marks taken off."""
    return str(regex.sub(r"<<|>>", "", text))
