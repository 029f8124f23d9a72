"""Turning what a language model answered into a label, or into None.

Does: strips reasoning blocks, markdown, quotes and prefixes; keeps the first line that
says something; enforces nine words. Does not: invent, complete, or translate anything.
An answer that holds no label (empty, a refusal, the instructions echoed) becomes None,
never a phrase of our own.
"""

from __future__ import annotations

import regex

from autointerp_core.store.text_cleaning import MAX_LABEL_WORDS

MAX_LABEL_CHARS = 120
"""Nine words of a script without spaces can be a page; nobody reads that as a label."""

_THINK = regex.compile(r"<(think|thinking|reasoning)>.*?</\1>", regex.S | regex.I)
_UNCLOSED_THINK = regex.compile(r"<(think|thinking|reasoning)>.*", regex.S | regex.I)
_SPECIAL = regex.compile(r"<\|[^|<>]{1,40}\|>|</?s>|\[/?INST\]")
_FENCE = regex.compile(r"^\s*(?:```\w*|~~~\w*)\s*$")
_PREFIX = regex.compile(
    r"^(?:(?:the|a|my|one|possible|best|final|short|suggested|common|here(?:'s| is))\s+)*"
    r"(?:label|answer|explanation|feature|pattern|title|output|response|concept|description)"
    r"(?:\s+(?:name|label|text|is|would be|could be))*\s*(?::|=|-|–|—)+\s*",
    regex.I,
)
_BULLET = regex.compile(r"^(?:[-*•>#]+\s+|\(?\d{1,2}[.)]\s+)")
_WRAPPERS = "\"'`*_“”‘’«»„「」『』 \t"
_MARKS = regex.compile(r"<<(.*?)>>|\*\*(.*?)\*\*|__(.*?)__|`(.*?)`")
_REFUSAL = regex.compile(
    r"^(?:i(?:['’]m| am)\s+(?:sorry|unable|not (?:able|sure|certain)|an? (?:ai|language|assistant))"
    r"|i\s+(?:can(?:['’]t|not|\s+not)|could(?: not|n['’]t)|do(?:n['’]t| not) (?:know|have|see)"
    r"|apologi[sz]e|(?:won['’]t|will not) )"
    r"|i['’]d be happy|i would be happy|i['’]ll (?:help|try|need)"
    r"|sorry\b|apologies\b|unfortunately\b|as an? (?:ai|language model|assistant)\b"
    r"|sure[,!.]|of course[,!.]|certainly[,!.]|okay[,!.]|please (?:provide|give|share|let me)"
    r"|(?:there is )?(?:not enough|insufficient) (?:information|context|data|examples)"
    r"|(?:cannot|can['’]t|could not|unable to) (?:be )?(?:determine|identify|label|find|answer)"
    r"|no (?:clear |common |obvious |specific |consistent )*"
    r"(?:pattern|label|answer|feature|theme)\b)",
    regex.I,
)
_NOTHING = """
n/a na none null nil unknown unclear undetermined unsure nothing label labels answer text no yes
nan todo tbd blank empty feature example examples undefined unlabeled unlabelled word words phrase
pattern marked detector the a an and or of to is
"""
_EMPTY_WORDS = frozenset(_NOTHING.split())
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
    if not text:
        return None
    text = _UNCLOSED_THINK.sub("", _THINK.sub("", text))
    text = _SPECIAL.sub("\n", text)
    for line in text.splitlines():
        if _FENCE.match(line):
            continue
        label = _clean_line(line)
        if label:
            label = _without_repeats(label)
            return None if is_refusal(label) or _echoes(label, echo) else limit_words(label)
        if _REFUSAL.match(line.strip(_WRAPPERS)):
            return None
    return None


def _clean_line(line: str) -> str:
    """One line without decoration; empty where nothing is left (a bare ``Label:``)."""
    label = " ".join("".join(c for c in line if c.isprintable() or c.isspace()).split())
    previous = None
    # Decorations nest ("**Label:** "x""), so strip until nothing changes.
    while label != previous:
        previous = label
        label = _BULLET.sub("", label)
        label = _MARKS.sub(lambda m: next(g for g in m.groups() if g is not None), label)
        label = _PREFIX.sub("", label)
        label = _unwrap(label).rstrip(_TRAILING) if not label.endswith("...") else label[:-3]
        label = " ".join(label.split())
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


def _unwrap(label: str) -> str:
    """Quotes and emphasis around the whole of it; quotes around a part of it stay."""
    label = label.strip(" \t*_`")
    for opening, closing in ('""', "''", "“”", "‘’", "«»", "「」", "『』"):
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
    if _REFUSAL.match(label):
        return True
    if _is_quoted_mark(label):
        return False
    words = [w.strip(_WRAPPERS + _TRAILING + "()[]").lower() for w in label.split()]
    return all(word in _EMPTY_WORDS or not word for word in words)


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
