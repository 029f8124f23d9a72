"""Twenty concepts planted to measure ``find-features``, written before anything was measured.

None of them is among those that labels are measured on. Twelve are sets of words, eight are rules
over text. Nothing was tried on them before they were committed but how many documents of the
demo's text each holds for: at least 22, so that twenty can be drawn from them (weekdays, with 9,
and Roman numerals, with 18, gave way to verbs of motion and to words before a colon).
"""

from __future__ import annotations

from benchmarks.planted.concepts import LEXICAL, Concept
from benchmarks.planted.patterns import pattern_concept


def _words(name: str, members: str) -> Concept:
    return Concept(LEXICAL, name, (name,), tuple(members.split()))


FIND_CONCEPTS: tuple[Concept, ...] = (
    _words("motion", "went walked travelled traveled crossed returned arrived entered sailed rode"),
    _words(
        "sports",
        "football baseball basketball tennis golf hockey soccer cricket swimming athlete athletes "
        "championship league team teams coach stadium",
    ),
    _words(
        "stage and screen",
        "film films movie movies cinema actor actors theatre theater screenplay Hollywood premiere",
    ),
    _words(
        "computing",
        "computer computers software hardware programming internet data digital file files memory",
    ),
    _words(
        "clothing",
        "dress coat shirt hat shoes trousers clothes clothing robe gloves cloak jacket uniform",
    ),
    _words(
        "shapes of land",
        "mountain mountains hill hills valley valleys desert plain plains plateau volcano cliff",
    ),
    _words(
        "grammar and writing systems",
        "vowel vowels consonant consonants grammar verb verbs noun nouns syllable dialect dialects "
        "alphabet alphabets pronunciation",
    ),
    _words("superlatives", "best worst highest lowest earliest oldest longest strongest deepest"),
    _words("doubt", "perhaps maybe possibly probably apparently presumably supposedly likely"),
    _words("contrast", "however nevertheless nonetheless instead otherwise despite"),
    _words("space travel", "astronaut astronauts spacecraft mission missions rocket shuttle NASA"),
    _words("the press", "newspaper newspapers magazine magazines journal editor press printed"),
    pattern_concept("word before a colon", r"(?P<x>[^\W\d_]+)(?=:)"),
    pattern_concept("ordinals in digits", r"(?<![\w.,])(?P<x>\d+(?:st|nd|rd|th))(?!\w)"),
    pattern_concept("words ending in -ment", r"(?<![^\W_])(?P<x>[^\W\d_]{3,}ments?)(?![^\W_])"),
    pattern_concept("words ending in -ist", r"(?<![^\W_])(?P<x>[^\W\d_]{3,}ists?)(?![^\W_])"),
    pattern_concept("words ending in -ness", r"(?<![^\W_])(?P<x>[^\W\d_]{2,}ness)(?![^\W_])"),
    pattern_concept("first part of a hyphenated word", r"(?<![^\W_])(?P<x>[a-z]+)(?=-[a-z])"),
    pattern_concept("word before a semicolon", r"(?P<x>[^\W\d_]+)(?=;)"),
    pattern_concept("word after “between”", r"(?<![^\W_])[Bb]etween (?P<x>[^\W_]+)"),
)
