"""Pattern concepts: rules over text that the word fired on cannot name."""

from __future__ import annotations

import re
from collections.abc import Iterator

from benchmarks.planted.concepts import PATTERN, Concept, Rule, Span

_AFTER = ("after", "following", "preceded by")

_W = r"[^\W\d_]+(?:['’][^\W\d_]+)*"
"""A word."""
_NUMBER = r"\d+(?:[.,]\d+)*"
_SHORT = 60
"""Characters that a quotation or a bracket may hold, so that a window can show both its ends."""


def _rule(pattern: str, flags: re.RegexFlag) -> Rule:
    """Spans of the group ``x``; none at the very start of the text."""
    compiled = re.compile(pattern, flags)

    def find(text: str) -> Iterator[Span]:
        return (m.span("x") for m in compiled.finditer(text) if m.start("x") > 0)

    return find


def _pattern(name: str, categories: str, pattern: str, flags: int = 0) -> Concept:
    rule = _rule(pattern, re.RegexFlag(flags))
    return Concept(PATTERN, name, tuple(categories.split(", ")), rule=rule)


def pattern_concept(name: str, pattern: str) -> Concept:
    """What a pattern's group ``x`` stands for; named by its own name."""
    return _pattern(name, name, pattern)


def _after_word(words: str) -> Concept:
    """The word after these words, whatever it is."""
    before = words.replace(" ", r"\s+")
    forms = ", ".join(f'"{word} {words}"' for word in (*_AFTER, "after the word", "after word"))
    pattern = rf"(?<![^\W_]){before}\s+(?P<x>{_W}|{_NUMBER})"
    return _pattern(f'after "{words}"', forms, pattern, re.IGNORECASE)


def _phrase_end(words: str) -> Concept:
    """The last word of a phrase, and only there."""
    first, last = words.rsplit(" ", 1)
    before = first.replace(" ", r"\s+")
    pattern = rf"(?<![^\W_]){before}\s+(?P<x>{last})(?![^\W_])"
    flags = re.IGNORECASE if words.islower() else re.RegexFlag(0)
    return _pattern(f'"{words}"', f'"{words}"', pattern, flags)


def _inside(pattern: str) -> Rule:
    """The words within short spans that the pattern finds."""
    outer = re.compile(pattern)
    word = re.compile(rf"{_W}|{_NUMBER}")

    def find(text: str) -> Iterator[Span]:
        for match in outer.finditer(text):
            low, high = match.span("x")
            yield from (m.span() for m in word.finditer(text, low, high))

    return find


def _quoted(text: str) -> Iterator[Span]:
    """Words in short quotations; straight quotation marks pair up within their paragraph."""
    word = re.compile(rf"{_W}|{_NUMBER}")
    opened: int | None = None
    for match in re.finditer(r'["“”\n]', text):
        mark, at = match.group(), match.start()
        opens = (
            at + 1 < len(text)
            and not text[at + 1].isspace()
            and (at == 0 or text[at - 1].isspace() or text[at - 1] in "([—")
        )
        if mark == "\n":
            opened = None
        elif mark == "“" or (mark == '"' and opens):
            opened = at
        elif opened is not None:
            if at - opened <= _SHORT:
                yield from (m.span() for m in word.finditer(text, opened + 1, at))
            opened = None


_SENTENCE_START = r"(?<=[.!?])[\"”')]?\s+[\"“'(]?"
_YEARS = r"(?:1[0-9]\d\d|20[0-2]\d)"

PATTERN_CONCEPTS: tuple[Concept, ...] = (
    _pattern(
        "amounts after a currency sign",
        "currency, dollar sign, after dollar",
        rf"[$£€]\s?(?P<x>{_NUMBER})",
    ),
    Concept(
        PATTERN,
        "words inside quotation marks",
        ("quote", "quoted", "quotation", "quotation mark"),
        rule=_quoted,
    ),
    _pattern(
        "capitalised word at sentence start",
        "sentence start, sentence first, sentence beginning, sentence begin, sentence opening, "
        "sentence starting",
        rf"(?:{_SENTENCE_START}|\n)(?P<x>[A-Z][^\W\d_]*)",
    ),
    _pattern(
        "first word of a paragraph",
        "paragraph first, paragraph start, paragraph beginning, line start, line first, "
        "line beginning, after line break, after newline, after paragraph",
        rf"\n\s*(?P<x>{_W}|{_NUMBER})",
    ),
    _after_word("the"),
    _after_word("of"),
    _after_word("in"),
    _after_word("to"),
    _after_word("by"),
    _after_word("such as"),
    _after_word("of the"),
    _after_word("in the"),
    _after_word("as a"),
    _phrase_end("United States"),
    _phrase_end("such as"),
    _phrase_end("as well"),
    _phrase_end("number of"),
    _phrase_end("more than"),
    _phrase_end("for example"),
    _phrase_end("used to"),
    _phrase_end("have been"),
    _pattern("years", "year, date", rf"(?<![\w.,])(?P<x>{_YEARS})(?![\w]|[.,]\d)"),
    _pattern(
        "numbers that are not years",
        "number, digit, numeral",
        rf"(?<![\w.,])(?!{_YEARS}(?![\w]|[.,]\d))(?P<x>{_NUMBER})(?!\w)",
    ),
    _pattern(
        "words all in capitals",
        "caps, capitals, uppercase, upper case, acronym, abbreviation, capital letter",
        r"(?<![\w])(?P<x>[A-Z]{2,})(?![\w])",
    ),
    _pattern(
        "capitalised names within a sentence",
        "capitalised, capitalized, proper, name",
        r"(?<=[a-z,;] )(?P<x>[A-Z][a-z]+)",
    ),
    _pattern(
        "word after a comma",
        '"after comma", "after a comma", "following comma", "preceded by comma"',
        rf", (?P<x>{_W})",
    ),
    _pattern(
        "last word of a sentence",
        "before period, before full stop, sentence end, sentence last, sentence ending, "
        "sentence final",
        rf"(?P<x>{_W})(?=\.[\"”)]?(?:\s+[\"“(]?[A-Z]|\n|$))",
    ),
    Concept(
        PATTERN,
        "words in parentheses",
        ("parenthesis", "parentheses", "bracket", "bracketed", "parenthetical"),
        rule=_inside(rf"\((?P<x>[^()\n]{{1,{_SHORT}}})\)"),
    ),
    _pattern(
        "second part of a hyphenated word",
        "hyphen, hyphenated",
        rf"[^\W_]-(?P<x>{_W})",
    ),
    _pattern("words ending in -tion", "tion", r"(?<![^\W_])(?P<x>[^\W\d_]+tions?)(?![^\W_])"),
    _pattern("words ending in -ly", "ly, adverb", r"(?<![^\W_])(?P<x>[^\W\d_]{3,}ly)(?![^\W_])"),
    _pattern(
        "full stop at the end of a sentence",
        "period, full stop, sentence end",
        r"(?P<x>\.)(?=[\"”)]?(?:\s+[\"“(]?[A-Z]|\n|$))",
    ),
    _pattern("commas", "comma", r"(?P<x>,)"),
    _pattern("semicolons", "semicolon", r"(?P<x>;)"),
    _pattern(
        "word after a number",
        '"after number", "after a number", "following number", "after digit", "after year"',
        rf"(?<![\w.,]){_NUMBER} (?P<x>{_W})",
    ),
    _pattern(
        "word after a possessive",
        'possessive, genitive, "after s", apostrophe',
        rf"['’]s (?P<x>{_W})",
    ),
    _pattern(
        "word before an opening bracket",
        "before parenthesis, before bracket, before parentheses",
        rf"(?P<x>{_W}|{_NUMBER}) ?(?=\()",
    ),
    _pattern("initials", "initial, single letter, abbreviation", r"(?<![\w.])(?P<x>[A-Z])(?=\.)"),
    _pattern("percentages", "percent, percentage", rf"(?<![\w.,])(?P<x>{_NUMBER})(?=\s?%)"),
    _pattern("decades", "decade, year", r"(?<!\w)(?P<x>1\d\d0s)(?!\w)"),
    _pattern("long words", "long", r"(?<![^\W_])(?P<x>[^\W\d_]{13,})(?![^\W_])"),
)
