"""Makes ``nouns.txt.gz`` from WordNet 3.0's files (Debian: ``wordnet-base``).

    python -m autointerp_core.labels.categories.build /usr/share/wordnet

Kept of WordNet: single-word nouns, their commonest senses, and what each sense is a kind (or an
instance) of. Lines of the file: the number of synsets; a line a synset, ``name`` and its parents'
line numbers; then a line a noun with its senses' line numbers, commonest first.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

SENSES = 3
_PARENT = ("@", "@i")


def main(source: Path, target: Path) -> None:
    """Read WordNet's noun files from ``source`` and write the table."""
    name: dict[int, str] = {}
    parents: dict[int, list[int]] = {}
    for line in (source / "data.noun").read_text("utf-8").splitlines():
        if line.startswith(" "):
            continue
        parts = line.split(" | ")[0].split()
        offset, words = int(parts[0]), int(parts[3], 16)
        name[offset] = parts[4].replace("_", " ")
        at = 4 + 2 * words
        pointers = [parts[at + 1 + 4 * i : at + 5 + 4 * i] for i in range(int(parts[at]))]
        parents[offset] = [int(p[1]) for p in pointers if p[0] in _PARENT and p[2] == "n"]
    nouns: dict[str, list[int]] = {}
    for line in (source / "index.noun").read_text("utf-8").splitlines():
        parts = line.split()
        if line.startswith(" ") or not parts[0].isalpha() or len(parts[0]) < 3:
            continue
        nouns[parts[0]] = [int(o) for o in parts[-int(parts[2]) :][:SENSES]]
    used: set[int] = set()
    todo = [offset for senses in nouns.values() for offset in senses]
    while todo:
        offset = todo.pop()
        if offset not in used:
            used.add(offset)
            todo += parents[offset]
    order = sorted(used)
    number = {offset: index for index, offset in enumerate(order)}
    lines = [str(len(order))]
    for offset in order:
        lines.append("\t".join([name[offset], *(str(number[p]) for p in parents[offset])]))
    for noun, senses in sorted(nouns.items()):
        lines.append("\t".join([noun, *(str(number[o]) for o in senses)]))
    with gzip.GzipFile(target, "wb", compresslevel=9, mtime=0) as handle:
        handle.write(("\n".join(lines) + "\n").encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).with_name("nouns.txt.gz"))
