"""Characters that cannot be seen, or that turn the text around them, shown as marks.

For texts that Streamlit draws; what our own elements draw gets the same marks from ``text.js``,
without changing the text. A joiner that letters or emoji need stays as it is.
"""

from __future__ import annotations

_NAMES = {
    "\u00ad": "soft hyphen",
    "\u200b": "zero-width space",
    "\ufeff": "byte order mark",
}
_TURNING = frozenset(
    chr(code)
    for code in (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
)  # fmt: skip
_LINES = frozenset("\u2028\u2029")


def marked(text: str) -> str:
    """``text`` with ``[U+202E]`` and the like in place of what nobody could see."""
    return "".join(_mark(character) for character in text) if _any(text) else text


def _any(text: str) -> bool:
    return not text.isascii() or not text.isprintable()


def _mark(character: str) -> str:
    if character in _NAMES:
        return f"[{_NAMES[character]}]"
    code = ord(character)
    control = (code < 0x20 and character not in "\n\t") or 0x7F <= code < 0xA0
    if control or character in _TURNING or character in _LINES:
        return f"[U+{code:04X}]"
    return character
