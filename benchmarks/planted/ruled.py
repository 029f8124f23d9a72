"""Concepts chosen by a rule, so that nobody's taste is in them, split before any measurement.

A concept is a WordNet noun synset; its members are words of the Brown corpus, which says by hand
which words are nouns. Beside its own name each has a *broadened* label (a synset above it, three
times as wide) and a *narrowed* one (its commonest member): a metric that ranks labels must prefer
the own name to both.

The rule, in full. A *member* has three letters at least, occurs five times and is no commoner than
one word in 2,000, is in lower case in three of four places and a common noun in nine of ten; its
singular (by its tags) has a first sense that it is the leading word of, and that is no name. A
*concept* has four members, none with more than 60 % of the occurrences, stands in 24 passages at
least and 7 of those that test labels, in a tenth of all at most, and is not wider than a sixtieth
of all nouns. A *name*, of concept or broadened label, has one or two words; one word names the
synset by its first sense and occurs three times as a noun, two stand together in the corpus; it is
plural where the corpus has the plural one time in ten. The broadened label is the nearest synset
above, by the shortest way, that has such a name, is wide enough, and is three steps or more from
WordNet's top ("group" and "attribute" are nearer to it, "person" and "quality" are not). Synsets
come in the order of a hash of their names; one is left out that shares 30 % of its occurrences (of
the smaller of the two) with one taken before, or 60 % with one of the *first forty*, or its name
with any.

The first forty are of an earlier rule, on the demo's corpus; its names had other first senses
("points", "spaces") and its members too ("left", "front"). Everybody has seen them: they are for
*development*, with the new ones that are left when forty, by another hash, *test* what is chosen.

    python -m benchmarks.planted.ruled              writes ruled.json again
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from autointerp_core.labels.document_split import TEST, part_of
from autointerp_core.labels.search.categories import ancestors, plural, wordnet
from benchmarks.planted.brown import Tagged, fetched, passages, text_of
from benchmarks.planted.concepts import LEXICAL, Concept

TESTED = 40
MIN_LETTERS, COMMONEST, MIN_TIMES, LOWER, NOUN = 3, 1 / 2000, 5, 0.75, 0.9
MIN_MEMBERS, MOST_SHARE = 4, 0.6
MIN_PASSAGES, MIN_TEST_PASSAGES, MOST_PASSAGES = 24, 7, 0.1
NARROW = 1 / 60
WIDER, STEPS = 3, 3
NAMED, PLURAL = 3, 0.1
OVERLAP, OLD_OVERLAP = 0.3, 0.6
DEVELOPMENT, TESTING = "development", "test"
FIRST, SECOND = 1, 2
FILE = Path(__file__).with_name("ruled.json")


@dataclass(frozen=True)
class Ruled:
    """A concept, and two labels that are nearly right."""

    name: str
    broadened: str
    narrowed: str
    half: str
    members: tuple[str, ...]
    rule: int = SECOND
    """Which rule took it: the first or the second."""

    @property
    def concept(self) -> Concept:
        """To plant it; what names it is not asked of these."""
        return Concept(LEXICAL, self.name, (self.name,), self.members)


@cache
def ruled() -> tuple[Ruled, ...]:
    """The committed concepts."""
    return tuple(
        Ruled(**{**row, "members": tuple(row["members"])}) for row in json.loads(FILE.read_bytes())
    )


class TaggedWords:
    """What a tagged corpus says of its words, all in lower case."""

    def __init__(self, corpus: Sequence[list[Tagged]]):
        self.times: Counter[str] = Counter()
        self._lower: Counter[str] = Counter()
        self._singular: Counter[str] = Counter()
        self._plural: Counter[str] = Counter()
        self._pairs: set[tuple[str, str]] = set()
        self.places: dict[str, set[int]] = {}
        self.corpus = len(corpus)
        self.testing = {
            place
            for place, passage in enumerate(corpus)
            if part_of(text_of(passage).encode()) == TEST
        }
        for place, passage in enumerate(corpus):
            before = ""
            for written, tag in passage:
                word = written.casefold()
                self.times[word] += 1
                self._lower[word] += written.islower()
                self._singular[word] += _bare(tag) == "nn"
                self._plural[word] += _bare(tag) == "nns"
                self._pairs.add((before, word))
                self.places.setdefault(word, set()).add(place)
                before = word

    def nouns(self) -> dict[str, str]:
        """Words that may be members, with their singulars."""
        most = COMMONEST * self.times.total()
        found = {}
        for word, count in self.times.items():
            usual = MIN_TIMES <= count <= most and self._lower[word] >= LOWER * count
            nouns = self._singular[word] + self._plural[word]
            if len(word) < MIN_LETTERS or not word.isalpha() or not usual or nouns < NOUN * count:
                continue
            singular = _singular(word) if self._plural[word] > self._singular[word] else word
            if singular in wordnet().nouns:
                found[word] = singular
        return found

    def label(self, name: str) -> str | None:
        """A synset's name as a label; None: nobody calls it so here."""
        many = plural(name)
        first, space, last = many.rpartition(" ")
        if space:
            if (first, last) in self._pairs:
                return many
            return name if (first, name.rpartition(" ")[2]) in self._pairs else None
        one, more = self._singular[name], self._plural[many]
        if one + self._plural[name] + more < NAMED:
            return None
        return many if more >= PLURAL * one and more else name


def choose(corpus: Sequence[list[Tagged]], first: Sequence[Ruled]) -> list[Ruled]:
    """The concepts that the rule takes from a tagged corpus, by the hash that splits them."""
    words, table = TaggedWords(corpus), wordnet()
    under: dict[int, set[str]] = {}
    for word, singular in words.nouns().items():
        sense = table.nouns[singular][0]
        if table.names[sense] == singular:
            for synset in ancestors(sense):
                under.setdefault(synset, set()).add(word)
    old = [set(one.members) for one in first]
    names = {one.name for one in first}  # of the first, all are plural
    taken: list[tuple[str, str, set[str]]] = []
    for synset in sorted(under, key=lambda each: (_hash(table.names[each], "second choice"), each)):
        members = under[synset]
        name, wider = _label(synset, words), _wider(synset, words)
        known = plural(table.names[synset])
        if name is None or wider is None or known in names or name == wider:
            continue
        if table.size[synset] > NARROW * len(table.nouns) or not _fits(members, words):
            continue
        if any(_shared(members, others, words.times) > OVERLAP for _, _, others in taken):
            continue
        if any(_shared(members, others, words.times) > OLD_OVERLAP for others in old):
            continue
        names.add(known)
        taken.append((name, wider, members))
    taken.sort(key=lambda entry: _hash(entry[0], "second half"))
    return [
        Ruled(
            name,
            wider,
            max(sorted(members), key=lambda word: words.times[word]),
            TESTING if place < TESTED else DEVELOPMENT,
            tuple(sorted(members)),
        )
        for place, (name, wider, members) in enumerate(taken)
    ]


def _label(synset: int, words: TaggedWords) -> str | None:
    """The name of a synset, as a label; None: it has none that says what it is."""
    table = wordnet()
    name = table.names[synset]
    if not name.islower() or len(name.split()) > 2:
        return None
    if " " not in name and table.nouns.get(name, (-1,))[0] != synset:
        return None
    return words.label(name)


def _fits(members: set[str], words: TaggedWords) -> bool:
    if len(members) < MIN_MEMBERS:
        return False
    counts = [words.times[word] for word in members]
    found = set().union(*(words.places[word] for word in members))
    few = len(found) < MIN_PASSAGES or len(found & words.testing) < MIN_TEST_PASSAGES
    many = len(found) > MOST_PASSAGES * words.corpus
    return not few and not many and max(counts) <= MOST_SHARE * sum(counts)


def _wider(synset: int, words: TaggedWords) -> str | None:
    """The label of the nearest synset above that is wide enough and has one."""
    table, depth = wordnet(), _steps()
    level = list(table.parents[synset])
    seen: set[int] = set()
    while level:
        for parent in level:
            if table.size[parent] >= WIDER * max(table.size[synset], 1) and depth[parent] >= STEPS:
                label = _label(parent, words)
                if label is not None:
                    return label
        seen.update(level)
        level = [p for parent in level for p in table.parents[parent] if p not in seen]
    return None


@cache
def _steps() -> dict[int, int]:
    """How far every synset is from the top, by the shortest way."""
    table = wordnet()
    below: dict[int, list[int]] = {}
    for synset, parents in enumerate(table.parents):
        for parent in parents:
            below.setdefault(parent, []).append(synset)
    level = [synset for synset, parents in enumerate(table.parents) if not parents]
    found: dict[int, int] = {}
    while level:
        depth = max(found.values(), default=-1) + 1
        found.update((synset, depth) for synset in level)
        level = [child for one in level for child in below.get(one, []) if child not in found]
    return found


def _singular(word: str) -> str:
    """The singular of a plural that WordNet knows; the word itself where it knows none."""
    for ending, instead in (("ies", "y"), ("s", ""), ("es", ""), ("men", "man"), ("ves", "f")):
        if word.endswith(ending) and word.removesuffix(ending) + instead in wordnet().nouns:
            return word.removesuffix(ending) + instead
    return word


def _bare(tag: str) -> str:
    """A tag without what says that the word stands in a headline."""
    return tag.removesuffix("-hl")


def _shared(one: set[str], other: set[str], times: Mapping[str, int]) -> float:
    """Share of the occurrences of the smaller of two sets of words that are the other's too."""
    both = sum(times[word] for word in one & other)
    least = min(sum(times[word] for word in one), sum(times.get(word, 0) for word in other))
    return both / max(least, 1)


def _hash(name: str, purpose: str) -> str:
    return hashlib.blake2b(f"{purpose}\n{name}".encode(), digest_size=8).hexdigest()


def main() -> None:
    """Choose from the Brown corpus and write ``ruled.json``."""
    first = [one for one in ruled() if one.rule == FIRST]
    chosen = choose(passages(fetched()), first)
    rows = [asdict(one) for one in (*first, *chosen)]
    FILE.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    for one in chosen:
        if one.half == DEVELOPMENT:  # nobody need see the others before they are used
            print(f"{one.name} < {one.broadened} > {one.narrowed}: {len(one.members)}")


if __name__ == "__main__":
    main()
