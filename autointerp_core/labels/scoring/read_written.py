"""The texts in a writer's reply, whatever it put around them.

Lists with numbers, bullets or ``Text 1:``, JSON, tags, tables and headings; openings, closings,
notes and refusals are no texts. What a text itself says is never judged: one may well begin with
"Sure" or "I hope".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import regex

from autointerp_core.labels.explain.prose import REFUSAL
from autointerp_core.labels.providers.json_reply import json_strings
from autointerp_core.labels.providers.reply_markup import spoken

LEAST_WORDS = 3
LEAST_LETTERS = 6
"""The same of scripts that are written without spaces."""
_SPACELESS = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]",
)
_FURNITURE = regex.compile(r"^\s*(?:```\w*|~~~\w*|[\s|:=_*~-]+|</?\w+(?:\s[^<>]*)?>)\s*$")
_MARK = regex.compile(
    r"^\s*(?:\#+\s*)?(?:[-*•–]\s+|\(?\d{1,2}[.):](?!\d)\s*|\#\d{1,2}\s*[.:)]?\s+"
    r"|(?:\*\*|__)?(?:text|example|passage|sample|sentence|文本|例文?|テキスト)\s*\#?\d{1,2}"
    r"\s*(?:\*\*|__)?\s*(?:[.:)：–-]\s*(?:\*\*|__)?|(?:\*\*|__)?\s*$))",
    regex.IGNORECASE,
)
_CELL = regex.compile(r"^\s*\|(?P<cells>.*)\|\s*$")
_TAGGED = regex.compile(r"^<(\w+)(?:\s[^<>]*)?>(.*)</\1>$")
_QUOTES = tuple(
    (pair[0], pair[1]) for pair in ('""', "''", "“”", "„“", "„”", "‘’", "«»", "»«", "「」", "『』")
)
_OF_TEXTS = r"\b(?:texts?|passages?|lines|examples|samples|label|request)\b"
_BEFORE = regex.compile(
    r"(?:sure|certainly|of course|okay|ok|absolutely|got it|here(?:['’]s| are| is)|below are"
    r"|(?:i['’]ll|i will|let me)\b)"
    rf"(?!\p{{L}})(?:.*[:：]\s*$|.{{0,12}}[.!]\s*$|.*{_OF_TEXTS}.*[.!]\s*$)|[^.!?。]{{0,80}}[:：]\s*$",
    regex.IGNORECASE,
)
_AFTER = regex.compile(
    r"\(?(?:note\s*[:：]|let me know if\b|feel free to (?:ask|let|adjust|modify)\b"
    r"|(?:would you like|if you(?:['’]d| would| want| need)).*\b(?:more|another|different|adjust)"
    rf"|(?:i )?hope (?:this|these|that|they)\b.*(?:\bhelp|\bmeet|\buseful|{_OF_TEXTS})"
    r"|(?:all (?:of )?)?(?:these|the|each)(?: \w+)? texts?\b|(?:each|every) (?:text|line)\b)",
    regex.IGNORECASE,
)


def read_texts(reply: str | None) -> list[str]:
    """The texts in a reply, in its order; none where the writer declined."""
    said = spoken(reply or "").text
    strings = json_strings(said)
    if strings is not None:
        return [text for text in map(_tidy, strings) if _is_long_enough(text)]
    lines = _lines(said)
    marked = [line for line in lines if line.marked]
    # In a list, what stands before, after and between its entries is talk.
    kept = marked if len(marked) > 1 else _without_talk(lines)
    texts = [line.text for line in kept if _is_long_enough(line.text)]
    declined = len(texts) == 1 and not marked and REFUSAL.match(texts[0])
    return [] if declined else texts


@dataclass(frozen=True)
class _Line:
    text: str
    marked: bool
    """It has a number, a bullet or a heading of its own."""


def _lines(said: str) -> list[_Line]:
    lines, headed = [], False
    for line in said.splitlines():
        if _FURNITURE.match(line) or not line.strip():
            continue
        cells = _CELL.match(line)
        if cells is not None:
            longest = max((_tidy(cell) for cell in cells["cells"].split("|")), key=len)
            lines.append(_Line(longest, regex.match(r"\s*\d+\s*\|", cells["cells"]) is not None))
            continue
        found = _MARK.match(line)
        text = _tidy(line[found.end() :] if found else line)
        if found and not text:
            headed = True  # the entry's number, alone on its line
            continue
        lines.append(_Line(text, found is not None or headed))
        headed = False
    return lines


def _without_talk(lines: Sequence[_Line]) -> Sequence[_Line]:
    """Without what leads up to the texts, and what is said after them."""
    begin, end = 0, len(lines)
    while begin < end and _BEFORE.match(lines[begin].text):
        begin += 1
    while end > begin + 1 and _AFTER.match(lines[end - 1].text):
        end -= 1
    return lines[begin:end]


def _tidy(text: str) -> str:
    """A text on one line, without the tag, the emphasis or the quotes that stand around it."""
    bare = " ".join(text.split())
    tagged = _TAGGED.match(bare)
    bare = tagged[2].strip() if tagged else bare
    for mark in ("**", "__", "*"):
        inner = bare[len(mark) : -len(mark)]
        if bare.startswith(mark) and bare.endswith(mark) and inner and mark not in inner:
            bare = inner
    for opening, closing in _QUOTES:
        inner = bare[1:-1]
        if len(bare) > 1 and bare[0] == opening and bare[-1] == closing and opening not in inner:
            return inner.strip()
    return bare


def _is_long_enough(text: str) -> bool:
    return len(text.split()) >= LEAST_WORDS or len(_SPACELESS.findall(text)) >= LEAST_LETTERS
