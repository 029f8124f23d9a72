"""The rules for text that people type, and for text that a database must be able to hold."""

from __future__ import annotations

import unicodedata
from typing import Any

import orjson

from autointerp_core.errors import LabelRejected

MAX_LABEL_WORDS = 9
MAX_LABEL_CHARACTERS = 300
MAX_NOTE_CHARACTERS = 4000
_INVISIBLE = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})


def safe_text(text: str) -> str:
    """``text`` as every database and UTF-8 file can hold it: no NUL, no lone surrogate."""
    return whole_characters(text.replace("\x00", "") if "\x00" in text else text)


def whole_characters(text: str) -> str:
    """``text`` with surrogate pairs as the characters they stand for, lone halves replaced.

    Half a pair is no character: neither UTF-8 nor a tokenizer takes it.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def safe_json(value: Any) -> bytes:
    """``value`` as compact JSON; NaN becomes null, unknown types their text."""
    option = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
    try:
        return orjson.dumps(value, default=str, option=option)
    except TypeError:  # a lone surrogate somewhere inside: rare, so looked for only now
        return orjson.dumps(_safe_value(value), default=str, option=option)


def clean_label(text: str) -> str:
    """A label as a person meant it: one line, single spaces, no control characters.

    Raises:
        LabelRejected: nothing visible is left, or more than 9 words or 300 characters.
    """
    cleaned = " ".join(_without_controls(safe_text(text), keep="").split())
    if all(unicodedata.category(character) in _INVISIBLE for character in cleaned):
        raise LabelRejected("the label is empty; type at least one word")
    words = len(cleaned.split())
    if words > MAX_LABEL_WORDS:
        raise LabelRejected(
            f"the label has {words} words; at most {MAX_LABEL_WORDS} are allowed, shorten it"
        )
    return _within(cleaned, MAX_LABEL_CHARACTERS, "label")


def clean_note(text: str) -> str:
    """A note keeps its line breaks and tabs; other control characters go. May become empty.

    Raises:
        LabelRejected: it has more than 4,000 characters.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    cleaned = _without_controls(safe_text(lines), keep="\n\t").strip()
    return _within(cleaned, MAX_NOTE_CHARACTERS, "note")


def one_line(text: str) -> str:
    """``text`` on a single line, for messages."""
    return " ".join(safe_text(text).split())


def _within(text: str, most: int, what: str) -> str:
    if len(text) > most:
        raise LabelRejected(
            f"the {what} has {len(text):,} characters; at most {most:,} are allowed, shorten it"
        )
    return text


def _without_controls(text: str, keep: str) -> str:
    return "".join(
        character
        for character in text
        if character in keep or character.isspace() or unicodedata.category(character) != "Cc"
    )


def _safe_value(value: Any) -> Any:
    if isinstance(value, str):
        return safe_text(value)
    if isinstance(value, dict):
        return {_safe_value(key): _safe_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_safe_value(item) for item in value]
    return value
