"""``python -m benchmarks.dominant_words``: do search labels name the word a feature peaks on?

A feature has a dominant word where at least 60 % of its top 20 examples peak inside one word
(letters, two at least; whatever its case). Its label holds the word where one of the label's words
is that word or a form of it: equal up to the last letters, as in "war" and "wars".

Measured twice: on all documents, with labels made from all of them; and on the label half alone, as
labels are made where documents are held out, which is what people are shown.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable

import regex

from autointerp_core.home import studies_dir
from autointerp_core.labels.document_split import Split, shown_examples
from autointerp_core.labels.explain.example_lines import whole_word
from autointerp_core.labels.search.labeler import SearchLabeler
from autointerp_core.labels.search.record import search_labeler
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
    split = Split(study)
    features = study.features.tolist()
    every = study.iter_examples(features, limit=EXAMPLES)
    half = ((feature, shown_examples(split, feature, limit=EXAMPLES)) for feature in features)
    rows = [
        *_measured("", every, SearchLabeler(study)),
        *_measured("_in_label_half", half, search_labeler(split)),
    ]
    return publish("dominant_words", rows)


def _measured(
    where: str, examples: Iterable[tuple[int, list[Example]]], labeler: SearchLabeler
) -> list[Row]:
    """How many features have a dominant word, and the share of their labels that hold it."""
    words = {f: word for f, found in examples if (word := dominant(found)) is not None}
    missed = [
        (found.feature, words[found.feature], found.text)
        for found in labeler.label_all(list(words))
        if not holds(found.text or "", words[found.feature])
    ]
    print(f"without their word{where.replace('_', ' ')}:")
    for feature, word, text in missed:
        print(f"{feature:>5}  {word:<16} {text}")
    share = 1 - len(missed) / len(words)
    return [
        Row(f"features_with_a_dominant_word{where}", len(words)),
        Row(f"search_labels_that_hold_it{where}", share, LIMIT, ">="),
    ]


if __name__ == "__main__":
    sys.exit(main())
