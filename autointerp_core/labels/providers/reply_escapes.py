"""Replies that were escaped, or left in a tokenizer's pieces, on their way to us.

Gateways escape what they pass on (``&quot;``, ``\\u201c``), and servers that join the pieces of a
byte-level vocabulary themselves write ``Ġ`` for a space. What is said about such escapes, by a
label that is about them, stays as it is.
"""

from __future__ import annotations

import html
import json
from functools import cache

import regex

_ENTITY = regex.compile(
    # Not < and >: a text with tags in it is markup, escaped or not.
    r"&(?!(?:lt|gt|\#0*6[02]|\#x0*3[ce]);)(?:[a-z]{2,8}|\#\d{2,5}|\#x[0-9a-f]{2,5});",
    regex.IGNORECASE,
)
_ABOUT_ENTITIES = regex.compile(r"\bhtml|\bxml|entit|escap|\bencod", regex.IGNORECASE)
_ESCAPED = regex.compile(r"(?:\\u[0-9a-fA-F]{4})+")
_ABOUT_ESCAPES = regex.compile(r"unicode|escap|\bencod|hexadecimal|\bhex\b", regex.IGNORECASE)
_BREAKS = regex.compile(r"(?:\\r)?\\n(?:\\r)?\\n|\A\\n(?![a-z])|(?:\\[nr])+\Z")
"""Double-escaped line ends: around a text, or an empty line within."""
_ABOUT_BREAKS = regex.compile(r"[\"'`]\\|escap|\bline|newline|string|\bcode|LaTeX", regex.I)
_JSON_AHEAD = regex.compile(r'\A\s*"|[{\[]\s*\\?["\'{\[]')
_PIECES = regex.compile(r"\S[ĠĊ]")


def plain(text: str) -> str:
    """The text that was meant; the same where nothing in it was escaped."""
    if _PIECES.search(text) and not regex.search(r"\s", text):
        text = _joined(text)
    if _ENTITY.search(text) and not _ABOUT_ENTITIES.search(text):
        text = _ENTITY.sub(lambda m: html.unescape(m[0]), text)
    if "\\n" in text and not _JSON_AHEAD.search(text) and not _ABOUT_BREAKS.search(text):
        text = _BREAKS.sub("\n", text)
    # In JSON an escape is a part of its grammar, and read with it.
    if "\\u" in text and not _JSON_AHEAD.search(text) and not _ABOUT_ESCAPES.search(text):
        text = _ESCAPED.sub(_unescaped, text)
    return text


def _unescaped(found: regex.Match[str]) -> str:
    said = str(json.loads(f'"{found[0]}"'))
    # Half of a surrogate pair is no character.
    return said.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _joined(text: str) -> str:
    """Pieces of a byte-level vocabulary as the text that they spell."""
    table = _bytes_of_glyphs()
    said = b"".join(table[c] if c in table else c.encode("utf-8", "replace") for c in text)
    return said.decode("utf-8", "replace")


@cache
def _bytes_of_glyphs() -> dict[str, bytes]:
    """The glyph that GPT-2's vocabulary writes for each byte, turned round.

    Printable bytes are themselves; the others follow from U+0100 on, in their order.
    """
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    table = {chr(byte): bytes([byte]) for byte in shown}
    return table | {chr(256 + n): bytes([byte]) for n, byte in enumerate(hidden)}
