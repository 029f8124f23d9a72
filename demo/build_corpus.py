"""Make `demo/corpus/corpus.parquet`, the bundled held-out text, and its ATTRIBUTION.md.

    demo/fetch_sources.sh SOURCES && python demo/build_corpus.py SOURCES

Three sources, all free to redistribute: Wikipedia articles of middle length (CC BY-SA 3.0), the
opening chapters of Jane Austen's *Persuasion* and the founding documents of the United States
(public domain). The longer and shorter articles and the other novels are training text of the
demo SAE: see `train_sae.py`. Nothing here is read by it.
"""

import argparse
import bz2
import gzip
import re
import struct
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.parquet as pq
from wikitext import paragraphs

CORPUS = Path(__file__).parent / "corpus"
DUMP = (
    "gensim/gensim/test/test_data/"
    "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
)
NOVELS = "r-cran-janeaustenr/usr/lib/R/site-library/janeaustenr/data"
DOCUMENTS = "miscfiles/usr/share/state"

# Articles with this many characters of wikitext are held out; all others are training text.
HELD_OUT_SIZES = range(8_000, 76_000)
HELD_OUT_NOVEL = "persuasion"
NOVEL_WORDS = 20_000

# A passage closes at the first paragraph end past 105 words, or past 50 where its section ends; one
# that comes out shorter than 40 words, or too long for a context of 512 tokens, is left out.
FULL, SECTION_END, SHORTEST, LONGEST = 105, 50, 40, 330


@dataclass(frozen=True)
class Article:
    """One Wikipedia article at the revision of the dump."""

    title: str
    revision: (
        str  # "https://en.wikipedia.org/w/index.php?oldid=" + revision shows it, with its authors
    )
    date: str
    wikitext: str

    @property
    def url(self) -> str:
        return f"https://en.wikipedia.org/w/index.php?oldid={self.revision}"

    @property
    def held_out(self) -> bool:
        return len(self.wikitext) in HELD_OUT_SIZES


@dataclass(frozen=True)
class Passage:
    text: str
    title: str
    source: str


def wikipedia(sources: Path) -> Iterator[Article]:
    """Every article of gensim's test dump that is neither a redirect nor a disambiguation page."""
    with bz2.open(sources / DUMP) as dump:
        for _, page in ElementTree.iterparse(dump):
            if not page.tag.endswith("}page"):
                continue
            text = page.findtext("{*}revision/{*}text") or ""
            title = page.findtext("{*}title") or ""
            redirect = text.lstrip().upper().startswith("#REDIRECT")
            ambiguous = "(disambiguation)" in title or re.search(
                r"(?i)\{\{(disambig|hndis|geodis)", text
            )
            if page.findtext("{*}ns") == "0" and not redirect and not ambiguous:
                yield Article(
                    title=title,
                    revision=page.findtext("{*}revision/{*}id") or "",
                    date=(page.findtext("{*}revision/{*}timestamp") or "")[:10],
                    wikitext=text,
                )
            page.clear()


def novels(sources: Path) -> dict[str, list[tuple[str, str]]]:
    """Jane Austen's novels: name → (chapter, paragraph) in order.

    R keeps them in a lazy-load database: zlib blocks, one a novel, each led by its size, holding a
    serialised character vector: header 00 04 00 09, big-endian length, bytes, once a line.
    """
    blob = (sources / NOVELS / "Rdata.rdb").read_bytes()
    found, at = {}, 0
    while at < len(blob):
        # The database does not say where a block ends, but zlib does.
        unpack = zlib.decompressobj()
        data = unpack.decompress(blob[at + 4 :])
        at = len(blob) - len(unpack.unused_data)
        lines = []
        for head in re.finditer(rb"\x00\x04\x00\x09", data):
            (length,) = struct.unpack_from(">i", data, head.end())
            lines.append(
                data[head.end() + 4 : head.end() + 4 + max(length, 0)].decode("utf8", "replace")
            )
        title = next(line for line in lines if line.strip())
        found[re.sub(r"[^a-z]", "", title.lower())] = list(_chapters(lines))
    return found


def _chapters(lines: list[str]) -> Iterator[tuple[str, str]]:
    chapter = ""
    for block in re.split(r"\n\s*\n", "\n".join(lines)):
        text = " ".join(block.replace("_", "").split())
        if re.match(r"(?i)(chapter|volume)\b", text):
            chapter = text
        elif chapter and re.search(r"[.!?][\"'”’)]{0,2}$", text):
            yield chapter, text


def founding_documents(sources: Path) -> Iterator[tuple[str, str, str]]:
    """Yield (title, section, paragraph) of the Declaration of Independence and the Constitution."""
    for name, title in (
        ("us-declaration.gz", "Declaration of Independence"),
        ("us-constitution.gz", "Constitution of the United States"),
    ):
        section = ""
        whole = gzip.decompress((sources / DOCUMENTS / name).read_bytes()).decode()
        for block in whole.split("\n\n"):
            text = " ".join(block.split())
            if re.match(r"(Article|Amendment|Preamble|Section)\b.{0,20}$", text):
                section = text
            elif len(text) > 60 and re.search(r"[.;:]$", text):
                yield title, section, text


def passages(parts: Iterable[tuple[str, str]], title: str, source: str) -> Iterator[Passage]:
    """Join whole consecutive (section, paragraph)s into passages of readable length."""
    held: list[str] = []
    held_section, words = "", 0
    for section, paragraph in [*parts, ("", "")]:
        last = not paragraph
        if last or words >= FULL or (words >= SECTION_END and section != held_section):
            if SHORTEST <= words <= LONGEST:
                yield Passage("\n".join(held), title, source)
            held, words = [], 0
        held.append(paragraph)
        held_section, words = section, words + len(paragraph.split())


def corpus(sources: Path) -> tuple[list[Passage], list[Article]]:
    """All passages of the bundled corpus, and the articles that are in it."""
    articles = [article for article in wikipedia(sources) if article.held_out]
    rows = [
        passage
        for article in articles
        for passage in passages(
            paragraphs(article.wikitext),
            article.title,
            article.url,
        )
    ]
    opening, words = [], 0
    for chapter, paragraph in novels(sources)[HELD_OUT_NOVEL]:
        if words > NOVEL_WORDS:
            break
        opening.append((chapter, paragraph))
        words += len(paragraph.split())
    rows += passages(opening, "Persuasion (Jane Austen, 1817)", "public domain")
    for wanted in ("Declaration of Independence", "Constitution of the United States"):
        parts = [
            (section, text)
            for title, section, text in founding_documents(sources)
            if title == wanted
        ]
        rows += passages(parts, wanted, "public domain")
    return rows, articles


def attribution(rows: list[Passage], articles: list[Article]) -> str:
    """ATTRIBUTION.md: each title with its licence, and what was changed."""
    counts = Counter(row.title for row in rows)
    wikipedia_titles = {article.title for article in articles}
    listed = "\n".join(
        f"| [{a.title}]({a.url}) | {a.date} | {counts[a.title]} |"
        for a in articles
        if a.title in counts
    )
    others = "\n".join(f"| {t} | {n} |" for t, n in counts.items() if t not in wikipedia_titles)
    words = sum(len(row.text.split()) for row in rows)
    return f"""<!-- Written by demo/build_corpus.py -->
# Where the bundled corpus comes from

`corpus.parquet`: {len(rows):,} passages, {words:,} words of English. Columns: `text` (one to a few
whole paragraphs), `title`, `source`. The licence of this text is separate from the licence of the
code.

## Wikipedia, CC BY-SA 3.0

The passages below are from English Wikipedia, © the Wikipedia contributors, under the
[Creative Commons Attribution-ShareAlike 3.0](https://creativecommons.org/licenses/by-sa/3.0/)
licence (also offered by them under the GFDL). Each title links to the revision used; its history
names the authors. The rows with a wikipedia.org `source` may be shared and changed under the same
licence.

**Changed:** wiki markup turned into plain text; lists, tables, references, captions, formulas, link
sections, and every paragraph that was not complete without them left out; asides in brackets that
held only a pronunciation or foreign script left out; neighbouring paragraphs of one section joined
into passages.

**Obtained from** the test data of the `gensim` 4.4.0 wheel on PyPI (an extract of a 2016 dump,
`{DUMP.rpartition("/")[2]}`). Articles of
{HELD_OUT_SIZES.start:,}–{HELD_OUT_SIZES.stop:,} characters of wikitext are here; of the others, the
demo SAE's training text was drawn.

| article | revision of | passages |
|---|---|---|
{listed}

## Public domain

*Persuasion* from Debian's `r-cran-janeaustenr` (itself from Project Gutenberg; opening chapters
only), the founding documents from Debian's `miscfiles` (a text of the U.S. Senate). Lines joined
into paragraphs, paragraphs into passages.

| text | passages |
|---|---|
{others}
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sources", type=Path, help="folder filled by fetch_sources.sh")
    rows, articles = corpus(parser.parse_args().sources)
    CORPUS.mkdir(exist_ok=True)
    table = pa.table(
        {name: [getattr(row, name) for row in rows] for name in ("text", "title", "source")}
    )
    pq.write_table(table, CORPUS / "corpus.parquet", compression="zstd", compression_level=19)
    (CORPUS / "ATTRIBUTION.md").write_text(attribution(rows, articles), encoding="utf8")
    print(f"{len(rows)} passages, {sum(len(row.text.split()) for row in rows)} words")


if __name__ == "__main__":
    main()
