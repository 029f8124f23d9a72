"""Turning what a language model answered into a label, or into None.

Does: takes away thoughts, markers, JSON, markdown, quotes, polite openings and "label:" in the
languages that models answer in; keeps the first line that is a label; enforces nine words. Does
not: invent, complete, or translate anything. An answer that holds no label (empty, a refusal, the
instructions echoed, prose, or something that still looks like markup) becomes None, never a
phrase of our own.
"""

from __future__ import annotations

import regex

from autointerp_core.labels.explain.prose import (
    EMPTY_WORDS,
    REFUSAL,
    bold_name,
    first_sentence,
    is_talk,
    without_opening,
)
from autointerp_core.labels.explain.stated_label import stated_label
from autointerp_core.labels.providers.json_reply import answer_text
from autointerp_core.labels.providers.reply_markup import is_markup
from autointerp_core.store.text_cleaning import MAX_LABEL_WORDS

MAX_LABEL_CHARS = 120
"""Nine words of a script without spaces can be a page; nobody reads that as a label."""

_FENCE = regex.compile(r"^\s*(?:```\w*|~~~\w*)\s*$")
_PREFIX = regex.compile(
    r"^(?:(?:the|a|my|one|possible|best|final|short|suggested|common|here(?:'s| is))\s+)*"
    r"(?:label|answer|explanation|feature|pattern|title|output|response|reply|concept|description"
    r"|assistant)"
    r"(?:\s+(?:name|label|text|is|would be|could be)|\s*#?\d+)*"
    r"(?:\s*[:：=]+\s*|\s+[-–—]+\s+|\s*[–—]+\s*)",
    regex.I,
)
_LEADS_UP = regex.compile(
    r"^(?:(?:in other words|what (?:they|these|the words) (?:all )?(?:share|have in common)"
    r"|here it is|here(?:['’]s| is) (?:one|it|mine)|here you (?:go|are)|best|result)\s*[:：]"
    r"|/(?:no_?)?think\b)\s*",
    regex.I,
)
_COUNTED = regex.compile(
    r"\s*[(\[](?:\d+ words?|note\b|word count|words?:)[^()\[\]]*[)\]]\s*$"
    # A switch of the prompt's, repeated, and small flags of joy.
    r"|\s+/(?:no_?)?think\s*$|(?<=\p{L}\W{0,3})(?<!emojis?\W{0,3})\s+[🎉✨👍🚀😊🙂✅✔☑👌💯🤗]\ufe0f?\s*$",
    regex.I,
)
_RULE = regex.compile(r"^[\s|:=_*~-]+$")
_ROW = regex.compile(r"^\s*\|([^|]*)\|\s*$")
_WRAPPING_TAG = regex.compile(r"^<(\w+)(?:\s[^<>]*)?>([^<>]+)</\1>[.\s]*$")
_LINE_BREAK = regex.compile(r"\s*<br\s*/?>\s*$", regex.I)
_ODD_MARKS = regex.compile(r"(?<=\p{L})(?:\*\*|<<|>>)|(?:\*\*|<<|>>)(?=\p{L})")
_BULLET = regex.compile(
    r"^(?:[-*•>#–—→➤►▶✅✔☑👉🏷📌🔖📝💡🎯]+\ufe0f?\s+|\(?\d{1,2}[.)]\s+|\d\ufe0f?\u20e3\s*)"
)
_WRAPPERS = "\"'`*_“”‘’«»„「」『』 \t"
_MARKS = regex.compile(r"<<(.*?)>>|\*\*(.*?)\*\*|__(.*?)__|`(.*?)`")
_HAS_WORD = regex.compile(r"[\p{L}\p{N}]")
_TWICE = regex.compile(r"(.+?) (?:and|or) \1", regex.I)
_TRAILING = " \t.,;:!?。、，；：!-–—"


def clean_answer(text: str | None, echo: str = "") -> str | None:
    """The label inside an answer, or None where there is none.

    Args:
        text: what the model wrote.
        echo: the instructions it was given; an answer that only repeats a part of them
            (eight or more characters of one line) is no label.
    """
    said = answer_text(text)
    label = _labelled_line(said)
    if label is None:
        return None
    label = _without_repeats(label)
    if is_refusal(label) or _echoes(label, echo) or is_markup(label) or _half_a_brace(label):
        return None
    short = limit_words(label)
    return short if _HAS_WORD.search(short) or _is_quoted_mark(short) else None


def _labelled_line(said: str) -> str | None:
    """The line of an answer that is its label, without decoration.

    The first line, polite openings left out; behind prose, only what is called a label or
    stands out by its type (the last such).
    """
    lines = [_ROW.sub(r"\1", line) for line in said.splitlines()]
    lines = [line for line in lines if not _FENCE.match(line) and not _RULE.match(line)]
    after_prose = False
    awaited = False
    """The line before said that the label comes now."""
    found: str | None = None
    for number, line in enumerate(lines):
        line = without_opening(line)
        named = bold_name(line)
        if named is not None and stated_label(f"{named}:") is None:
            line = f"**{named}**"
        stated = line if awaited else stated_label(line)
        awaited = stated is not None and not stated.strip(_WRAPPERS)
        if awaited:
            continue
        sentence = first_sentence(line if stated is None else stated)
        label = _clean_line(sentence)
        if not label:
            if REFUSAL.match(line.strip(_WRAPPERS)):
                return None
            continue
        if stated is None and _introduces(line) and number + 1 < len(lines):
            continue
        if is_talk(line if stated is None else stated, label):
            if is_refusal(label):
                return None
            after_prose = True
            continue
        if after_prose and stated is None and not _stands_out(line):
            continue
        found = label
        # A label that is talked about may not be the last word.
        after_prose = after_prose or (stated is not None and sentence != stated)
        if not after_prose:
            break
    return found


def _introduces(line: str) -> bool:
    """A line that leads up to the next one."""
    return line.rstrip(" *_`").endswith((":", "："))


def _stands_out(line: str) -> bool:
    """All of a line in bold or in quotes, as answers are set apart from their reasons."""
    bare = line.strip(" \t.-#>")
    return bool(regex.fullmatch(r"\*\*[^*]+\*\*|[\"“„«「][^\"”“»」]+[\"”“»」]|__[^_]+__", bare))


def _clean_line(line: str) -> str:
    """One line without decoration; empty where nothing is left (a bare ``Label:``)."""
    label = " ".join("".join(c for c in line if c.isprintable() or c.isspace()).split())
    label = _LINE_BREAK.sub("", label)
    previous = None
    # Decorations nest ("**Label:** "x""), so strip until nothing changes.
    while label != previous:
        previous = label
        label = _LEADS_UP.sub("", _BULLET.sub("", _COUNTED.sub("", label)))
        label = _MARKS.sub(lambda m: next(g for g in m.groups() if g is not None), label)
        label = _PREFIX.sub("", _WRAPPING_TAG.sub(r"\2", label))
        label = _unwrap(label).rstrip(_TRAILING) if not label.endswith("...") else label[:-3]
        label = " ".join(label.split())
    if '"' not in label:
        label = _ODD_MARKS.sub("", label)
    return label if _HAS_WORD.search(label) or _is_quoted_mark(label) else ""


def _without_repeats(label: str) -> str:
    """A list names each thing once; small models go round in circles."""
    twice = _TWICE.fullmatch(label)
    if twice:
        return str(twice.group(1))
    parts = label.split(", ")
    kept = dict.fromkeys(part.casefold() for part in parts)
    if len(kept) == len(parts):
        return label
    first = {part.casefold(): part for part in reversed(parts)}
    return ", ".join(first[part] for part in kept)


_QUOTES = (
    *('""', "''", "“”", "„“", "„”", "””", "‘’", "‚‘", "‹›", "«»", "»«"),
    *("「」", "『』", "《》", "〈〉"),
)
_AROUND = [(pair[0], pair[1]) for pair in [*_QUOTES, "()", "[]", "{}", "~~"]]


def _unwrap(label: str) -> str:
    """Quotes and emphasis around the whole of it; quotes around a part of it stay."""
    label = label.strip(" \t*_`\ufffd")
    for pair in _AROUND:
        opening, closing = pair[0], pair[1]
        inner = label[1:-1]
        around = label.startswith(opening) and label.endswith(closing) and len(label) > 1
        whole = around and opening not in inner and closing not in inner
        if whole and _HAS_WORD.search(inner):
            return inner.strip()
    for mark in '"“”':
        # An answer cut off, or opened, in the middle of a quotation.
        if label.count(mark) == 1 and (label.startswith(mark) or label.endswith(mark)):
            return label.strip(mark).strip()
    return label


def _is_quoted_mark(label: str) -> bool:
    """``","`` is a fair name for a feature that fires on commas; a bare ``,`` is not."""
    return len(label) >= 3 and label[0] == label[-1] == '"' and not label[1:-1].isspace()


def is_refusal(label: str) -> bool:
    """True where a model declines, stalls, or says it does not know."""
    if REFUSAL.match(label):
        return True
    if _is_quoted_mark(label):
        return False
    words = [w.strip(_WRAPPERS + _TRAILING + "()[]").lower() for w in label.split()]
    return all(word in EMPTY_WORDS or not word for word in words)


def _half_a_brace(label: str) -> bool:
    """True for a piece of something written for a machine; a brace in quotes may be named."""
    outside = regex.sub(r"\"[^\"]*\"|'[^']*'|`[^`]*`", "", label)
    return outside.count("{") != outside.count("}")


def _echoes(label: str, echo: str) -> bool:
    """True where the answer is a piece of the instructions."""
    flat = " ".join(label.lower().split())
    return len(flat) >= 8 and flat in " ".join(echo.lower().split())


def limit_words(label: str, words: int = MAX_LABEL_WORDS) -> str:
    """The first ``words`` words; a cut never ends on a hanging conjunction or an open quote."""
    parts = label.split()
    if len(parts) > words:
        parts = parts[:words]
        while len(parts) > 1 and parts[-1].lower().strip(_TRAILING) in _HANGING:
            parts.pop()
    short = " ".join(parts)
    if len(short) > MAX_LABEL_CHARS:
        short = short[:MAX_LABEL_CHARS].rsplit(" ", 1)[0].rstrip() or short[:MAX_LABEL_CHARS]
    if short != label:
        short = short.rstrip(_TRAILING)
        if short.count('"') % 2:
            short = short.replace('"', "")
    return short


_SMALL = "a an the of to in on at by for with and or as from that which is are"
_HANGING = frozenset(_SMALL.split())
