"""What must not suffer where labels that name one of a feature's words are mistrusted.

* *one word*: features that fire on a single word, whose right label is that word in quotation
  marks, and whose wrong ones are what the word is a kind of: the name and the broadened label of a
  development concept for its commonest member; the word's class ("prepositions") for the commonest
  words of each class of function words in the Brown corpus.
* *named among them*: development concepts whose own name is among the words they fire on. The right
  label is the name, the wrong ones are the broadened and the narrowed label.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache

from autointerp_core.labels.search.categories import plural, wordnet
from benchmarks.planted.brown import fetched, passages
from benchmarks.planted.concepts import LEXICAL, Concept
from benchmarks.planted.ruled import DEVELOPMENT, SECOND, ruled

ONE_WORD, NAMED_AMONG = "one word", "named among"
CLASSES = {
    "at": "articles",
    "in": "prepositions",
    "cc": "conjunctions",
    "pp$": "possessive pronouns",
    "ppss": "pronouns",
    "md": "modal verbs",
    "rb": "adverbs",
    "ql": "qualifiers",
    "cd": "numbers",
}
"""Tags of the Brown corpus, and what its manual calls them."""
EACH, SHARE = 3, 0.8
MIN_NAMED = 5


@dataclass(frozen=True)
class Guard:
    """A feature, its right label and the wrong ones."""

    kind: str
    right: str
    wrong: tuple[str, ...]
    members: tuple[str, ...]

    @property
    def concept(self) -> Concept:
        """To plant it."""
        return Concept(LEXICAL, self.right, (self.right,), self.members)


@cache
def guards() -> tuple[Guard, ...]:
    """All of them, by the rules above."""
    times: Counter[str] = Counter()
    tagged: Counter[tuple[str, str]] = Counter()
    for passage in passages(fetched()):
        for word, tag in passage:
            times[word.casefold()] += 1
            tagged[word.casefold(), tag.removesuffix("-hl")] += 1
    concepts = [one for one in ruled() if one.half == DEVELOPMENT and one.rule == SECOND]
    found = [
        Guard(ONE_WORD, f'"{one.narrowed}"', (one.name, one.broadened), (one.narrowed,))
        for one in concepts
    ]
    for tag, name in CLASSES.items():
        own = [w for w in times if w.isalpha() and tagged[w, tag] >= SHARE * times[w]]
        own.sort(key=lambda word: (-times[word], word))
        found += [Guard(ONE_WORD, f'"{word}"', (name,), (word,)) for word in own[:EACH]]
    for one in concepts:
        forms = {one.name, plural(one.name), *_singulars(one.name)}
        words = {form for form in forms if times[form] >= MIN_NAMED} - set(one.members)
        if words:
            members = tuple(sorted({*one.members, *words}))
            found.append(Guard(NAMED_AMONG, one.name, (one.broadened, one.narrowed), members))
    return tuple(found)


def _singulars(name: str) -> list[str]:
    return [
        noun
        for noun in (name.removesuffix("s"), name.removesuffix("es"))
        if noun in wordnet().nouns
    ]
