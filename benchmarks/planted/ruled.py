"""Forty concepts chosen by a rule, so that nobody's taste is in them, split before any measurement.

A concept is a WordNet noun synset; its members are the corpus' words whose first sense is under
it. Beside its own name each has a *broadened* label (a synset above it, three times as wide) and a
*narrowed* one (its commonest member): a metric that ranks labels must prefer the own name to both.

The rule, in full. A member has four letters at least, is no commoner than one word in 3,000, occurs
three times, half of them in lower case, and reads as a noun: after an article or the like in 7 % of
its places, before a mark or a function word in 21 %, and no verb or adjective is spelt with it
("-ed", "-ing", "-er", "-est", "-ly"). A concept has four members, none with more than 60 % of the
occurrences, stands in 24 documents at least and in half of all at most, and has a name of one
or two words. Synsets come in the order of a hash of their names, things before others; one is left
out that shares 30 % of its occurrences (of the smaller of the two) with one taken before, or 60 %
with an older planted concept. The first forty stay. Half of them, by another hash, are for
*validation*: what a scorer looks at may be chosen by them. The others *test* it.

    python -m benchmarks.planted.ruled              writes ruled.json again
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from autointerp_core.labels.search.categories import ancestors, lemma, plural, wordnet
from autointerp_core.sources.dataset import open_dataset
from autointerp_core.sources.demo import DEMO
from benchmarks.planted.concepts import LEXICAL, LEXICAL_CONCEPTS, Concept

WANTED = 40
MIN_LETTERS, COMMONEST, MIN_TIMES = 4, 1 / 3000, 3
MIN_MEMBERS, MOST_SHARE = 4, 0.6
MIN_DOCUMENTS, MOST_DOCUMENTS = 24, 0.5
THINGS, NARROW_THINGS = "physical entity", 1 / 60
"""Things one can touch are taken first, and may be wider categories than thoughts."""
NARROW = 1 / 150
HEADED = 0.07
WIDER = 3
OVERLAP, OLD_OVERLAP = 0.3, 0.6
VALIDATION, TESTING = "validation", "test"
FILE = Path(__file__).with_name("ruled.json")
_WORD = re.compile(r"[^\W\d_]+")
_HEADED = re.compile(
    r"(?<![^\W_])(?:the|an?|this|its?|his|her|their|these|some|other|of|no|two)\s+([^\W\d_]+)", re.I
)
_ENDED = re.compile(
    r"([^\W\d_]+)(?=[.,;:)]|'s|\s+(?:of|in|and|or|was|were|is|are|to|for|on|at|by|with|that|from|as)"
    r"(?![^\W_]))"
)


@dataclass(frozen=True)
class Ruled:
    """A concept, and two labels that are nearly right."""

    name: str
    broadened: str
    narrowed: str
    half: str
    members: tuple[str, ...]

    @property
    def concept(self) -> Concept:
        """To plant it; what names it is not asked of these."""
        return Concept(LEXICAL, self.name, (self.name,), self.members)


@cache
def ruled() -> tuple[Ruled, ...]:
    """The committed forty."""
    return tuple(
        Ruled(**{**row, "members": tuple(row["members"])}) for row in json.loads(FILE.read_bytes())
    )


def choose(texts: Sequence[str]) -> list[Ruled]:
    """The forty concepts that the rule takes from a corpus, validation first."""
    times: Counter[str] = Counter()
    lower: Counter[str] = Counter()
    headed: Counter[str] = Counter()
    ended: Counter[str] = Counter()
    places: dict[str, set[int]] = {}
    for index, text in enumerate(texts):
        for word in _WORD.findall(text):
            times[word.casefold()] += 1
            lower[word] += word.islower()
            places.setdefault(word.casefold(), set()).add(index)
        headed.update(match.group(1).casefold() for match in _HEADED.finditer(text))
        ended.update(match.group(1).casefold() for match in _ENDED.finditer(text))
    nouns = wordnet()
    under: dict[int, list[str]] = {}
    for word, count in times.items():
        noun = lemma(word)
        usual = MIN_TIMES <= count <= COMMONEST * times.total() and lower[word] >= count / 2
        if len(word) < MIN_LETTERS or not usual or noun not in nouns.nouns:
            continue
        is_noun = min(headed[word] / count, ended[word] / count / 3) >= HEADED
        if is_noun and not any(form in times for form in _other_words(noun)):
            for synset in ancestors(nouns.nouns[noun][0]):
                under.setdefault(synset, []).append(word)

    def is_thing(synset: int) -> bool:
        return any(nouns.names[parent] == THINGS for parent in ancestors(synset))

    def turn(synset: int) -> tuple[bool, str, int]:
        return not is_thing(synset), _hash(nouns.names[synset], "choice"), synset

    order = sorted(under, key=turn)
    old = [{form.casefold() for form in concept.members} for concept in LEXICAL_CONCEPTS]
    taken: list[tuple[int, set[str]]] = []
    for synset in order:
        members = set(under[synset])
        narrow = NARROW_THINGS if is_thing(synset) else NARROW
        if nouns.size[synset] > narrow * len(nouns.nouns):
            continue
        if not _fits(nouns.names[synset], members, times, places, len(texts)):
            continue
        if any(_shared(members, words, times) > OVERLAP for _, words in taken):
            continue
        if any(_shared(members, words, times) > OLD_OVERLAP for words in old):
            continue
        if any(nouns.names[synset] == nouns.names[other] for other, _ in taken):
            continue
        if _wider(synset) is None:
            continue
        taken.append((synset, members))
        if len(taken) == WANTED:
            break
    taken.sort(key=lambda entry: _hash(nouns.names[entry[0]], "half"))
    return [
        Ruled(
            plural(nouns.names[synset]),
            plural(nouns.names[_wider(synset) or 0]),
            max(sorted(members), key=lambda word: times[word]),
            VALIDATION if place < WANTED // 2 else TESTING,
            tuple(sorted(members)),
        )
        for place, (synset, members) in enumerate(taken)
    ]


def _fits(
    name: str,
    members: set[str],
    times: Mapping[str, int],
    places: Mapping[str, set[int]],
    documents: int,
) -> bool:
    if len(members) < MIN_MEMBERS or len(name.split()) > 2 or not name.islower():
        return False
    counts = [times[word] for word in members]
    found = len(set().union(*(places[word] for word in members)))
    few = found < MIN_DOCUMENTS or found > MOST_DOCUMENTS * documents
    return not few and max(counts) <= MOST_SHARE * sum(counts)


def _other_words(noun: str) -> tuple[str, ...]:
    """Forms that a verb or an adjective spelt like the noun would have."""
    stem = noun.removesuffix("e")
    return (
        *(stem + ending for ending in ("ed", "ing", "er", "est")),
        *(noun + noun[-1] + ending for ending in ("ed", "ing")),
        noun + "ly",
        noun.removesuffix("y") + "ily",
    )


def _wider(synset: int) -> int | None:
    """The nearest synset above, wide enough, with a short name."""
    table = wordnet()
    level = list(table.parents[synset])
    seen: set[int] = set()
    while level:
        for parent in level:
            wide = table.size[parent] >= WIDER * max(table.size[synset], 1)
            if wide and len(table.names[parent].split()) <= 2:
                return parent
        seen.update(level)
        level = [p for parent in level for p in table.parents[parent] if p not in seen]
    return None


def _shared(one: set[str], other: set[str], times: Mapping[str, int]) -> float:
    """Share of the occurrences of the smaller of two sets of words that are the other's too."""
    both = sum(times[word] for word in one & other)
    least = min(sum(times[word] for word in one), sum(times.get(word, 0) for word in other))
    return both / max(least, 1)


def _hash(name: str, purpose: str) -> str:
    return hashlib.blake2b(f"{purpose}\n{name}".encode(), digest_size=8).hexdigest()


def main() -> None:
    """Choose from the demo's corpus and write ``ruled.json``."""
    chosen = choose(list(open_dataset(DEMO, "text").iterate()))
    FILE.write_text(json.dumps([asdict(one) for one in chosen], indent=1) + "\n", "utf-8")
    for one in chosen:
        print(f"{one.half:<11} {one.name} < {one.broadened} > {one.narrowed}: {len(one.members)}")


if __name__ == "__main__":
    main()
