"""What several words are kinds of: the category that a list of nouns shares, from WordNet."""

from __future__ import annotations

import gzip
import math
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

COVERS = 0.6
"""Share of the words' weight that must be kinds of a category."""
LEAST = 3
"""Different words that must be."""
NARROWEST = 1 / 60
"""Of all nouns at most: "entity" or "artifact" says nothing."""
MOST_WORDS = 3
RARER = 0.8
"""What a word counts for kinds of a rarer sense of it, which is a weaker reason."""
_TABLE = Path(__file__).with_name("nouns.txt.gz")


class Category(NamedTuple):
    """A category, and the share of the words' weight it covers."""

    name: str
    share: float


class Nouns(NamedTuple):
    """WordNet's nouns; synsets are numbered."""

    names: list[str]
    parents: list[tuple[int, ...]]
    nouns: dict[str, tuple[int, ...]]
    size: list[int]
    """Nouns (by their first sense) under each synset."""


def category(words: Mapping[str, float]) -> Category | None:
    """The narrowest category that most of the words are kinds of; None where there is none.

    Args:
        words: lower-case words and their weights.
    """
    table = wordnet()
    total = sum(words.values())
    share: dict[int, float] = {}
    holds: dict[int, int] = {}
    for word, weight in words.items():
        certain, less = weight / total, RARER * weight / total
        for synset, trust in _kinds(word):
            share[synset] = share.get(synset, 0.0) + (certain if trust == 1.0 else less)
            holds[synset] = holds.get(synset, 0) + 1
    best: tuple[float, int] | None = None
    for synset, covered in share.items():
        if covered < COVERS or holds[synset] < LEAST:
            continue
        size = table.size[synset] / len(table.nouns)
        if size > NARROWEST:
            continue
        if len(table.names[synset].split()) > MOST_WORDS:
            continue
        value = covered * covered * -math.log(max(size, 1e-6))
        if best is None or (value, -synset) > best:
            best = (value, -synset)
    if best is None:
        return None
    return Category(table.names[-best[1]], share[-best[1]])


@lru_cache(maxsize=50_000)
def _kinds(word: str) -> tuple[tuple[int, float], ...]:
    """The synsets that a word is a kind of, and how far that can be trusted."""
    reached: dict[int, float] = {}
    for rank, sense in enumerate(wordnet().nouns.get(lemma(word), ())):
        for synset in ancestors(sense):
            reached[synset] = max(reached.get(synset, 0.0), 1.0 if rank == 0 else RARER)
    return tuple(reached.items())


def plural(name: str) -> str:
    """Simple English plural of a category's name, for a label: "months", "countries"."""
    if name.endswith(("s", "x", "ch", "sh")):
        return name + ("" if name.endswith("s") and not name.endswith("ss") else "es")
    if name.endswith("y") and name[-2:-1] not in "aeiou":
        return name[:-1] + "ies"
    if name.endswith("man"):
        return name[:-3] + "men"
    return name + "s"


def lemma(word: str) -> str:
    """The word in lower case, or its singular where only that is known."""
    table = wordnet()
    if word in table.nouns:
        return word
    for ending, instead in (("ies", "y"), ("es", ""), ("s", "")):
        if word.endswith(ending) and word.removesuffix(ending) + instead in table.nouns:
            return word.removesuffix(ending) + instead
    return word


def ancestors(synset: int) -> set[int]:
    """What a synset is a kind of; itself is the word, not a category."""
    return _above(synset, wordnet().parents)


def _above(synset: int, parents: Sequence[tuple[int, ...]]) -> set[int]:
    found: set[int] = set()
    todo = [*parents[synset]]
    while todo:
        parent = todo.pop()
        if parent not in found:
            found.add(parent)
            todo += parents[parent]
    return found


@cache
def wordnet() -> Nouns:
    """The table, read once."""
    with gzip.open(_TABLE, "rt", encoding="utf-8") as handle:
        lines = handle.read().splitlines()
    count = int(lines[0])
    synsets = [line.split("\t") for line in lines[1 : count + 1]]
    names = [parts[0] for parts in synsets]
    parents = [tuple(map(int, parts[1:])) for parts in synsets]
    nouns = {
        parts[0]: tuple(map(int, parts[1:]))
        for parts in (line.split("\t") for line in lines[count + 1 :])
    }
    table = Nouns(names, parents, nouns, [0] * count)
    for senses in nouns.values():
        for synset in _above(senses[0], parents):
            table.size[synset] += 1
    return table
