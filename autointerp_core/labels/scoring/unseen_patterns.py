"""Which labels name something that is not in the meaning of words: marks, places, neighbours.

A scorer that compares meanings cannot see whether a word stands after a quotation mark or at the
start of a sentence, whether it has a capital, or that a mark is there at all: whatever number it
gives to such a label says nothing about the label. By rule, on the label alone; a label of which
less than half of the listed things are marks is judged by the others.
"""

from __future__ import annotations

import regex

_SIGN = (
    r"(?:quot(?:ation|e) marks?|commas?|semicolons?|full stops?|hyphens?|(?:en|em) dash(?:es)?"
    r"|apostrophes?|parenthes[ie]s|brackets?|(?:exclamation|question|punctuation) marks?"
    r"|ellips[ie]s|ampersands?|new ?lines?|line breaks?|white ?space|punctuation"
    r"|[\p{L} ]+\([^\p{L}\p{N}\s]+\))"  # as "dollar sign ($)"
)
_CLASS = (
    r"(?:years|numbers|dollar sign|capitali[sz]ed \w+|all-caps \w+|"
    r"(?:the |a )?(?:words?|tokens?|letters?|names?))"
)
_BESIDE = (
    rf"\b(?:after|before|following|preceding|follow|precede|followed by|preceded by) "
    rf"(?:an? |the |each |every )?(?:opening |closing |left |right )?"
    rf"(?:[\"“”„«»「]|{_SIGN}|{_CLASS}(?!\w))"
    r"|\b(?:previous|next|preceding|following) (?:word|token|character|letter|line)s?\b"
)
_TEXT = r"(?:document|text|passage|sequence|sentence|paragraph|line|clause|quot(?:e|ation)|word)s?"
_PLACE = (
    rf"\b(?:first|last|initial|final|opening|closing|second) (?:word|token|character|letter)s?"
    rf"(?: (?:of|in) (?:an? |the |each |every )?{_TEXT})?"
    rf"|\b(?:start|beginning|end)s? of (?:an? |the |each |every )?{_TEXT}\b"
    rf"|\b{_TEXT}(?:-| )(?:start|beginning|end|initial|final)s?\b"
    r"|\b(?:inside|within|in) (?:quotes|quotation marks|parentheses|brackets)"
    r"|\b(?:BOS|beginning-of-sequence)\b"
)
_SPELLING = (
    r"\b(?:capitali[sz]ed|all-caps|capital letters?|upper-?case|lower-?case)\b"
    r"|\b(?:starting|ending|beginning|containing|starts|ends|begins)(?: with| in)? [\"“]"
)
_KINDS = (
    ("what stands beside a word", regex.compile(_BESIDE, regex.IGNORECASE)),
    ("a place in the text", regex.compile(_PLACE, regex.IGNORECASE)),
    ("spelling", regex.compile(_SPELLING, regex.IGNORECASE)),
)
_MARK = regex.compile(rf"\b{_SIGN}(?!\w)", regex.IGNORECASE)
_WORDS = regex.compile(r"[\p{L}\p{N}]")
_LISTED = regex.compile(r"[,;]\s|\s(?:and|or)\s")


def unseen_pattern(label: str) -> str | None:
    """What a label names beside the meaning of words, in a few words; None where it names none.

    >>> unseen_pattern('"the" after "in"')
    'what stands beside a word'
    >>> unseen_pattern("comma (,), colon (:)")
    'marks'
    >>> unseen_pattern('"the"') is None
    True
    """
    for name, pattern in _KINDS:
        if pattern.search(label):
            return name
    # The context that a search label adds ("comma (,) near you, said") is no part of the list.
    listed = [one for one in _LISTED.split(label.partition(" near ")[0]) if one.strip()]
    marks = sum(not _WORDS.search(one) or bool(_MARK.search(one)) for one in listed)
    return "marks" if marks and marks * 2 >= len(listed) else None
