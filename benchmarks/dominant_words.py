"""``python -m benchmarks.dominant_words``: do search labels name the word a feature peaks on?

A feature has a dominant word where at least 60 % of its top 20 examples peak inside one word
(letters, two at least; whatever its case). Its label holds the word where one of the label's words
is that word or a form of it: equal up to the last letters, as in "war" and "wars".
"""

from __future__ import annotations

import sys
from collections import Counter

import regex

from autointerp_core.home import studies_dir
from autointerp_core.labels.explain.example_lines import whole_word
from autointerp_core.labels.search.labeler import SearchLabeler
from autointerp_core.pipeline import built_demo
from autointerp_core.store.study import Example, Study
from benchmarks.report import Row, publish

SHARE, EXAMPLES = 0.6, 20
LIMIT = 0.97
_WORD = regex.compile(r"[\p{L}\p{M}]{2,}")


def dominant(examples: list[Example]) -> str | None:
    """The word in which most of the examples peak, lower case; None where there is none."""
    words = Counter(
        found.group().casefold()
        for found in (_WORD.search(whole_word(example)) for example in examples)
        if found is not None
    )
    if not words:
        return None
    word, count = words.most_common(1)[0]
    return word if count >= SHARE * len(examples) else None


def holds(label: str, word: str) -> bool:
    """Whether the label has the word, or another form of it."""
    for said in _WORD.findall(label.casefold()):
        shared = min(len(said), len(word))
        stem = max(shared - 1, 3)
        same = abs(len(said) - len(word)) <= 3 and said[:stem] == word[:stem] and shared >= 3
        if said == word or same:
            return True
    return False


def main() -> int:
    built = built_demo()
    if built is None:
        print("the demo study is not built: run  make demo", file=sys.stderr)
        return 2
    study = Study(studies_dir() / built)
    words = {
        feature: word
        for feature, examples in study.iter_examples(study.features.tolist(), limit=EXAMPLES)
        if (word := dominant(examples)) is not None
    }
    labels = SearchLabeler(study).label_all(list(words))
    missed = [
        (found.feature, words[found.feature], found.text)
        for found in labels
        if not holds(found.text or "", words[found.feature])
    ]
    for feature, word, text in missed:
        print(f"{feature:>5}  {word:<16} {text}")
    share = 1 - len(missed) / len(words)
    return publish(
        "dominant_words",
        [
            Row("features_with_a_dominant_word", len(words)),
            Row("search_labels_that_hold_it", share, LIMIT, ">="),
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
